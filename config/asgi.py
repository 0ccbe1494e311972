"""One port, one process: pages through Django's WSGI handler in threads, `/events/` as asynchronous streams.

Measured with the same page, this answers three to four times the requests of Django's own ASGI handler.
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from a2wsgi import WSGIMiddleware

from config.wsgi import application as pages

PAGE_THREADS = 16

_pages = WSGIMiddleware(pages, workers=PAGE_THREADS)


async def application(scope: Any, receive: Any, send: Any) -> None:
    from config.live import events

    if scope["type"] == "http" and scope["path"] == "/events/":
        await events(scope, receive, send)
    else:
        await _pages(scope, receive, send)
