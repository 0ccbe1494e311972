"""A small server of our own that speaks as much of OpenAI's protocol as a served judge needs, over real HTTP.

`transformers serve` could not stand in: it gives no log-probabilities.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from training.engine.judges.contract import Unscored
from training.engine.judges.local import LocalModel
from training.engine.model import LanguageModel

Tops = list[tuple[str, float]]


@dataclass
class Served:
    """What a test sees of the server, and how it makes it misbehave."""

    url: str = ""
    # What is answered to a completion: None for what the model says, else (status, body) or a function that does it.
    answer: Callable[[BaseHTTPRequestHandler, dict[str, Any]], tuple[int, bytes] | None] | None = None
    models: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


def completion(top: Tops, model: str = "served-model") -> bytes:
    """The body of a good answer with these likeliest tokens."""
    listed = [{"token": token, "logprob": value, "bytes": None} for token, value in top]
    logprobs = {"content": [{**listed[0], "top_logprobs": listed}] if listed else [], "refusal": None}
    message = {"role": "assistant", "content": top[0][0] if top else ""}
    choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "length"}
    return json.dumps({"id": "1", "object": "chat.completion", "model": model, "choices": [choice]}).encode()


@contextmanager
def serving(lm: LanguageModel, name: str = "served-model") -> Iterator[Served]:
    """Serve a model on a free port of the loopback interface."""
    served = Served(models=[{"id": name, "object": "model"}])
    lock, model = Lock(), LocalModel(lm)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(200, json.dumps({"object": "list", "data": served.models}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                served.asked.append(body)
                served.headers.append(dict(self.headers))
            given = served.answer(self, body) if served.answer else (200, said(body))
            if given:
                self.reply(*given)

        def reply(self, status: int, body: bytes) -> None:
            # A client that has gone away is what some tests are about.
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the base class's
            pass

    def said(body: dict[str, Any]) -> bytes:
        with lock:
            top = model.likeliest([body["messages"][0]["content"]], body["top_logprobs"])[0]
        assert not isinstance(top, Unscored)
        return completion(list(top), name)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
