"""The API under load: an effective constitution beside a call that does nothing, on one server, taking turns."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from constitution.profile_texts import ProfileText
from constitution.texts import ClauseText
from constitution.vocabulary import Context

PING = "/api/v1/ping"
EFFECTIVE = "/api/v1/constitutions/home/effective"
TURNS, TURN = 20, 50
CLIENTS = 4
# A clause of real length: the generated ones are shorter than a line.
LONGER = 20


@dataclass(frozen=True)
class Served:
    """Milliseconds at the median, one request at a time, and requests a second from several clients at once."""

    ping_ms: float
    effective_ms: float
    ping_per_s: float
    effective_per_s: float
    kilobytes: float

    def figures(self) -> dict[str, float]:
        """For the line of JSON: how many times a call that does nothing an effective constitution takes."""
        return {
            "api_ratio": round(self.effective_ms / self.ping_ms, 2),
            "api_load_ratio": round(self.ping_per_s / self.effective_per_s, 2),
            "api_ms": round(self.effective_ms, 2),
        }


def measure(clauses: Sequence[ClauseText], profiles: Sequence[ProfileText], contexts: Iterator[Context]) -> Served:
    """Publish, save, start the server as `bin/up` does, and ask; every question about another context."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RATIFY_VAR"] = folder
        secret = _prepare(clauses, profiles)
        with server() as port:
            asked = _questions(secret, [profile.slug for profile in profiles], contexts)
            return _measure(port, _request(PING), asked)


def _prepare(clauses: Sequence[ClauseText], profiles: Sequence[ProfileText]) -> str:
    """A database with a version, profiles and a token; the token's secret."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from constitution import actions, people, tokens
    from constitution import profiles as saved
    from constitution.models import Role

    call_command("migrate", verbosity=0)
    owner = people.register(username="bench", roles=[Role.OPERATOR], by="bench")
    texts = [clause.model_copy(update={"text": f"{clause.text} " * LONGER, "precedes": ()}) for clause in clauses]
    actions.publish(base=None, clauses=texts, title="A large constitution", summary="All of it.", by=owner)
    for profile in profiles:
        saved.create(content=profile, by=owner)
    return tokens.issue(name="bench", scopes=["read"], by=owner, per_minute=tokens.HIGHEST_RATE)[1]


@contextmanager
def server() -> Iterator[int]:
    """The web process on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "config.server", str(listening.fileno())]
        descriptors = [listening.fileno()]
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(command, pass_fds=descriptors, stdout=nowhere, stderr=nowhere)
        try:
            yield int(listening.getsockname()[1])
        finally:
            process.terminate()
            process.wait(timeout=20)


def _questions(secret: str, slugs: Sequence[str], contexts: Iterator[Context]) -> Callable[[], bytes]:
    """The next request each time: the profiles in turn, each time another context."""
    places = iter(range(sys.maxsize))

    def ask() -> bytes:
        query = [*next(contexts).items(), ("profile", slugs[next(places) % len(slugs)])]
        return _request(f"{EFFECTIVE}?{urlencode(query, doseq=True)}", secret)

    return ask


def _request(path: str, secret: str = "") -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *([f"Authorization: Bearer {secret}"] if secret else [])]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _measure(port: int, ping: bytes, ask: Callable[[], bytes]) -> Served:
    with socket.create_connection(("127.0.0.1", port)) as wire:
        for _ in range(3 * TURN):  # laws are compiled, connections opened
            _send(wire, ping)
            _send(wire, ask())
        pings: list[float] = []
        answers: list[float] = []
        sizes: list[int] = []
        for _ in range(TURNS):
            pings += [_send(wire, ping)[0] for _ in range(TURN)]
            for question in [ask() for _ in range(TURN)]:
                taken, size = _send(wire, question)
                answers.append(taken)
                sizes.append(size)
    loads = [(_load(port, [ping] * 400), _load(port, [ask() for _ in range(400)])) for _ in range(3)]
    return Served(
        ping_ms=1e3 * statistics.median(pings),
        effective_ms=1e3 * statistics.median(answers),
        ping_per_s=statistics.median(one for one, _ in loads),
        effective_per_s=statistics.median(other for _, other in loads),
        kilobytes=statistics.mean(sizes) / 1e3,
    )


def _load(port: int, requests: Sequence[bytes]) -> float:
    """Requests a second, from several clients at once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda number: _all(port, requests[number::CLIENTS]), range(CLIENTS)))
    return len(requests) / (time.perf_counter() - began)


def _all(port: int, requests: Sequence[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as wire:
        for request in requests:
            _send(wire, request)


def _send(wire: socket.socket, request: bytes) -> tuple[float, int]:
    """Seconds until the whole answer was there, and the size of its body. A refusal ends the measurement."""
    began = time.perf_counter()
    wire.sendall(request)
    received = b""
    while b"\r\n\r\n" not in received:
        received += wire.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{request[:200]!r} was answered with {head[:200]!r}")
    size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    missing = size - len(body)
    while missing > 0:
        missing -= len(wire.recv(min(missing, 1 << 16)))
    return time.perf_counter() - began, size
