"""Whether the parts that this process needs answer, for monitors and for `manage.py dev`."""

import socket
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.embedded.errors import EmbeddedError

PATIENCE = 1.0
PORTS = {"amqp": 5672, "amqps": 5671}


@login_not_required
@never_cache
@require_safe
def show(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """200 whenever the database answers: pages are served without a broker, work then only waits."""
    database = has_database()
    found = {"database": database, "broker": has_broker(settings.BROKER_URL)}
    return JsonResponse(found, status=200 if database else 503)


def has_database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, EmbeddedError):
        return False
    return True


def has_broker(url: str) -> bool:
    """Whether something accepts connections at the broker's address."""
    parts = urlsplit(url)
    try:
        if parts.scheme.endswith("+socket"):
            with socket.socket(socket.AF_UNIX) as local:
                local.settimeout(PATIENCE)
                local.connect(unquote(parts.path))
        else:
            address = (parts.hostname or "localhost", parts.port or PORTS.get(parts.scheme, 6379))
            socket.create_connection(address, timeout=PATIENCE).close()
    except OSError:
        return False
    return True
