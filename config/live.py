"""Live pages: a change is published as a short topic, and every open page that shows it fetches itself again.

PostgreSQL carries the topics (NOTIFY), one connection per web process listens, and each page holds one stream of
server-sent events. Topics are names such as `queue` or `round:3`, never content, so a stream needs no rights of
its own: what a person may see is decided where they fetch it.
"""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections, connection
from django.utils.module_loading import import_string

CHANNEL = "live"
RESYNC = "resync"  # the topic that means: you may have missed some
LONGEST_QUEUE = 100
PING_SECONDS = 15
STREAM_SECONDS = 900  # then the browser comes back by itself, and is asked again who it is
RECONNECT_SECONDS = 0.5


def publish(topic: str) -> None:
    """Tell every open page that `topic` changed, when the current transaction commits."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, topic])


class Hub:
    """All streams of this process, fed by one listening connection that lasts as long as anyone listens."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[str]] = set()
        self._listener: asyncio.Task[None] | None = None

    async def topics(self) -> AsyncIterator[str]:
        """Topics as they are published, `resync` first and after every gap, and "" now and then in silence.

        Ends when its reader falls `LONGEST_QUEUE` topics behind: it must come back and fetch everything.
        """
        queue: asyncio.Queue[str] = asyncio.Queue(LONGEST_QUEUE)
        self._queues.add(queue)
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        else:
            queue.put_nowait(RESYNC)
        try:
            while queue in self._queues:
                try:
                    yield await asyncio.wait_for(queue.get(), PING_SECONDS)
                except TimeoutError:
                    yield ""
        finally:
            self._queues.discard(queue)
            if not self._queues and self._listener:
                self._listener.cancel()
                self._listener = None

    async def _listen(self) -> None:
        while True:
            with suppress(psycopg.OperationalError, psycopg.InterfaceError, OSError):
                parameters = await sync_to_async(_connection_parameters)()
                async with await psycopg.AsyncConnection.connect(**parameters, autocommit=True) as listening:
                    await listening.execute(f"LISTEN {CHANNEL}")
                    self._spread(RESYNC)
                    async for notice in listening.notifies():
                        self._spread(notice.payload)
            await asyncio.sleep(RECONNECT_SECONDS)

    def _spread(self, topic: str) -> None:
        for queue in tuple(self._queues):
            try:
                queue.put_nowait(topic)
            except asyncio.QueueFull:
                self._queues.discard(queue)


hub = Hub()


async def events(scope: Any, receive: Any, send: Any) -> None:
    """ASGI: the stream of one page, as server-sent events. 403 without a signed-in person."""
    if not await sync_to_async(_is_signed_in)(scope):
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"Sign in to follow changes."})
        return
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sending = asyncio.create_task(_send_topics(send))
    leaving = asyncio.create_task(_disconnection(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _send_topics(send: Any) -> None:
    async def write(text: str, *, more: bool = True) -> None:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": more})

    await write("retry: 2000\n\n")
    end = time.monotonic() + STREAM_SECONDS
    topics = hub.topics()
    try:
        async for topic in topics:
            await write(f"data: {topic}\n\n" if topic else ": still here\n\n")
            if time.monotonic() > end:
                break
    finally:
        await topics.aclose()  # type: ignore[attr-defined]
    await write("", more=False)


async def _disconnection(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_signed_in(scope: Any) -> bool:
    close_old_connections()
    request = ASGIRequest(scope, io.BytesIO())
    try:
        request.get_host()
        request.session = _session_of(request)
        return get_user(request).is_authenticated
    except DisallowedHost:
        return False
    finally:
        close_old_connections()


def _session_of(request: ASGIRequest) -> Any:
    store = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    return store(request.COOKIES.get(settings.SESSION_COOKIE_NAME))


def _connection_parameters() -> dict[str, Any]:
    """How to connect to the database Django uses; starts the embedded server if need be."""
    connection.close()  # the old one may be to a server that is gone
    connection.ensure_connection()
    ours = {"context", "cursor_factory", "prepare_threshold"}
    return {name: value for name, value in connection.get_connection_params().items() if name not in ours}
