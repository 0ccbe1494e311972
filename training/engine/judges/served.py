"""A language model behind a server that speaks OpenAI's protocol (vLLM, llama.cpp, ...), asked over HTTP.

Whatever goes wrong with a request leaves its item unscored, with the reason: nothing is raised, and nothing is safe by
default. What a server answers is untrusted: it is read up to a limit, for a limited time, and into known shapes alone.
"""

import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, Field, ValidationError

from training.engine.judges.contract import JudgeError, Unscored
from training.engine.judges.question import Top

AT_ONCE = 8
MOST_BYTES = 1_000_000
GIVE_UP_AFTER = 5  # requests in a row that failed for good
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
# A line for each verdict would bury what a worker's log is read for.
logging.getLogger("httpx2").setLevel(logging.WARNING)
FAULTS = (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError, ValueError)


class ServerFault(Exception):
    """The server gave no usable answer; `again`: it may do so later, as nothing is wrong with the request."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


class _Token(BaseModel):
    token: str
    logprob: float = Field(allow_inf_nan=False, strict=True)


class _Place(BaseModel):
    top_logprobs: list[_Token] = Field(min_length=1)


class _Logprobs(BaseModel):
    content: list[_Place] = Field(min_length=1)


class _Choice(BaseModel):
    logprobs: _Logprobs


class _Completion(BaseModel):
    model: str = ""
    choices: list[_Choice] = Field(min_length=1)


class _Card(BaseModel):
    id: str
    root: str | None = None
    parent: str | None = None


class _Cards(BaseModel):
    data: list[_Card]


@dataclass(frozen=True)
class Server:
    """A served model. `timeout` seconds are what one try may take; `others` are models it must not turn out to be."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 30.0
    tries: int = 3
    pause: float = 0.5
    others: frozenset[str] = frozenset()
    kind: str = field(default="served", init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise JudgeError("ENGINE_URL must be an address such as http://host:8000/v1.")
        if parts.username or parts.password:
            raise JudgeError("ENGINE_URL must hold no password: put the key into ENGINE_KEY.")
        if not self.model:
            raise JudgeError("Set JUDGE_MODEL to the name under which the server serves the judge's model.")
        if self.timeout <= 0 or self.tries < 1:
            raise JudgeError("ENGINE_TIMEOUT must be above 0 and ENGINE_TRIES at least 1.")

    @property
    def identity(self) -> dict[str, str]:
        return {"model": self.model}

    def likeliest(self, prompts: Sequence[str], count: int) -> list[Top | Unscored]:
        """The `count` likeliest first tokens of the answer to each prompt, some prompts at a time."""
        line = _Line()
        with self._client() as client, ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda prompt: self._ask(client, line, prompt, count), prompts))

    def complete(self, body: object) -> bytes:
        """The body of a good answer to one chat completion, tried as often as any request. Raises ServerFault."""
        with self._client() as client:
            for attempt in range(self.tries):
                try:
                    return self._fetch(client, "POST", "chat/completions", body)
                except ServerFault as fault:
                    if not fault.again or attempt == self.tries - 1:
                        raise
                time.sleep(self.pause * 2**attempt)
        raise AssertionError("at least one try is made")

    def known_as(self) -> frozenset[str]:
        """Every name that the server gives the model, its own included; empty where it does not say."""
        try:
            with self._client() as client:
                cards = _Cards.model_validate_json(self._fetch(client, "GET", "models")).data
        except (*FAULTS, ServerFault):
            return frozenset()
        mine = [card for card in cards if card.id == self.model]
        return frozenset(name for card in mine for name in (card.id, card.root, card.parent) if name)

    def _ask(self, client: httpx2.Client, line: "_Line", prompt: str, count: int) -> Top | Unscored:
        if line.is_dead:
            return Unscored(f"not asked: {GIVE_UP_AFTER} requests in a row had failed")
        try:
            top = self._try(client, prompt, count)
        except ServerFault as fault:
            if fault.again:
                line.failed()
            return Unscored(str(fault))
        line.answered()
        return top

    def _try(self, client: httpx2.Client, prompt: str, count: int) -> Top:
        for attempt in range(self.tries):
            try:
                return self._read(self._fetch(client, "POST", "chat/completions", self._request(prompt, count)))
            except ServerFault as fault:
                if not fault.again or attempt == self.tries - 1:
                    raise
            time.sleep(self.pause * 2**attempt)
        raise AssertionError("at least one try is made")

    def _request(self, prompt: str, count: int) -> dict[str, object]:
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": count,
        }

    def _read(self, content: bytes) -> Top:
        try:
            found = _Completion.model_validate_json(content)
        except ValidationError:
            raise ServerFault("the server's answer holds no log-probabilities that can be read") from None
        if is_among(found.model, self.others):
            raise ServerFault("the server answered with a model that must not judge", again=False)
        return [(one.token, one.logprob) for one in found.choices[0].logprobs.content[0].top_logprobs]

    def _client(self) -> httpx2.Client:
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        return httpx2.Client(headers=headers, timeout=self.timeout)

    def _fetch(self, client: httpx2.Client, method: str, path: str, body: object = None) -> bytes:
        """The body of a good answer; anything else is a ServerFault, whose text quotes nothing that the server said."""
        end = time.monotonic() + self.timeout
        content = bytearray()
        try:
            with client.stream(method, f"{self.url.rstrip('/')}/{path}", json=body) as response:
                if response.status_code != httpx2.codes.OK:
                    status = response.status_code
                    raise ServerFault(f"the server answered with status {status}", again=status in BUSY)
                for part in response.iter_raw():
                    content += part
                    if len(content) > MOST_BYTES:
                        raise ServerFault("the server's answer is too large", again=False)
                    if time.monotonic() > end:
                        raise ServerFault(f"the server took more than {self.timeout:g} s")
        except httpx2.TimeoutException:
            raise ServerFault(f"the server took more than {self.timeout:g} s") from None
        except FAULTS as error:
            raise ServerFault(f"the server could not be asked ({type(error).__name__})") from None
        return bytes(content)


class _Line:
    """Whether it is worth asking on: a server that is gone must not cost every item all its tries."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures = 0
        self.is_dead = False

    def failed(self) -> None:
        with self._lock:
            self._failures += 1
            self.is_dead = self.is_dead or self._failures >= GIVE_UP_AFTER

    def answered(self) -> None:
        with self._lock:
            self._failures = 0


def is_among(name: str, others: frozenset[str]) -> bool:
    """Whether a model's name is one of others, whatever the folder or owner before it and the case."""
    return bool(name) and _last_part(name) in {_last_part(other) for other in others}


def _last_part(name: str) -> str:
    return name.rstrip("/").rsplit("/", 1)[-1].casefold()
