"""Where alerts are sent beside mail: registering an address, removing it, sending, and sending again.

A delivery is tried at least once, often more: whoever takes it up counts `attempt` and holds it for longer than a try
can last, before a byte is sent. A worker that dies is followed by another, and the receiver tells the repetition by its
id. What a try writes counts only if no later one was begun. One worker sends at a time: receivers that do not answer
never keep all of them from other work.
"""

import base64
import hashlib
import json
import time
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import get_random_string, salted_hmac

from config.live import publish as announce
from constitution import ledger
from constitution.errors import Refused
from constitution.models import User
from training import alerts, policies, webhook_posting
from training.alert_records import Alert, Delivery, Webhook
from training.states import DELIVERED, DELIVERY, FAILED, WAITING
from training.webhook_posting import BadAddress, NotTaken

PREFIX = "whsec_"
MOST = 20
# Before the second try, the third and so on; after the last it has failed. A bit more than half a day in all.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 7200, 36000))
MOST_TRIES = len(PAUSES) + 1
# Longer than a try lasts: looking up a name, connecting, and the exchange.
HELD = timedelta(minutes=1)
SENDING_LOCK = 0x73656E64  # "send"
# Then others that wait for a worker have their turn.
AT_A_TIME_SECONDS = 20
WORKER = "cpu worker"
ANOTHER_KEY = "SECRET_KEY changed since this webhook was made, so its signature would not fit. Make a new one."

log = structlog.get_logger(__name__)


@transaction.atomic
def register(*, name: str, url: str, by: User) -> tuple[Webhook, str]:
    """Send alerts to this address from now on; the webhook and its secret, which is shown once.

    Raises NotAllowed, and Refused for an address that nothing is sent to.
    """
    policies.check_can_keep_webhooks(by)
    name, url = name.strip(), url.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise Refused("Name the webhook after who receives it, in at most 100 characters on one line.")
    try:
        host = webhook_posting.check_url(url, private=settings.WEBHOOKS_TO_PRIVATE).hostname
        webhook_posting.find(url, private=settings.WEBHOOKS_TO_PRIVATE)
    except (BadAddress, NotTaken) as refusal:
        raise Refused(str(refusal)) from refusal
    if Webhook.objects.filter(removed_at=None).count() >= MOST:
        raise Refused(f"There are {MOST} webhooks already. Remove one first.")
    salt = get_random_string(32)
    row = Webhook.objects.create(name=name, url=url, salt=salt, hint=_hint(_secret(salt)), made_by=by)
    # The address may hold a password, and the ledger is shown to strangers.
    ledger.append(action="webhook made", by=by, subject=f"webhook:{row.pk}", detail={"name": name, "host": host})
    announce("alerts")
    return row, PREFIX + base64.b64encode(_secret(salt)).decode()


@transaction.atomic
def remove(*, webhook: Webhook, by: User) -> Webhook:
    """Send nothing there any more; what waits has failed. Removing it again changes nothing. Raises NotAllowed."""
    policies.check_can_keep_webhooks(by)
    row = Webhook.objects.select_for_update().get(pk=webhook.pk)
    if row.removed_at is None:
        row.removed_at, row.removed_by = timezone.now(), by
        row.save(update_fields=["removed_at", "removed_by"])
        waiting = Delivery.objects.filter(webhook=row, state=WAITING)
        given_up = waiting.update(state=FAILED, held_until=None, error="The webhook was removed.")
        detail = {"name": row.name, "given_up": given_up}
        ledger.append(action="webhook removed", by=by, subject=f"webhook:{row.pk}", detail=detail)
        announce("alerts")
    return row


@transaction.atomic
def resend(*, delivery: Delivery, by: User) -> Delivery:
    """Try a failed delivery again, as often as a new one. Raises NotAllowed, and Refused where it has not failed."""
    policies.check_can_keep_webhooks(by)
    row = Delivery.objects.select_for_update(of=("self",)).select_related("webhook").get(pk=delivery.pk)
    if row.webhook.removed_at is not None:
        raise Refused("Its webhook was removed. Make a new one; it gets the alerts from then on.")
    if row.state != FAILED:
        raise Refused("It is on its way already." if row.state == WAITING else "It has arrived.")
    row.tries, row.due_at = 0, timezone.now()
    _leave(row, WAITING, by=by)
    return row


def deliver_due() -> int:
    """Send what is due, for a while; how much arrived. Of several at once, one sends."""
    arrived, end = 0, time.monotonic() + AT_A_TIME_SECONDS
    while time.monotonic() < end and (row := _take()):
        arrived += _deliver(row)
    return arrived


def body_of(alert: Alert) -> bytes:
    """What a receiver gets: the same bytes in every try."""
    data = {
        "id": alert.pk,
        "round": alert.round_id,
        "model": alert.checkpoint_id,
        "sentence": alert.sentence,
        "url": f"{settings.SITE}{alerts.path_of(alert)}",
    }
    content = {"type": alert.kind, "timestamp": alert.created_at.isoformat(), "data": data}
    return json.dumps(content, sort_keys=True).encode()


@transaction.atomic
def _take() -> Delivery | None:
    """The delivery that is due longest, ours until `HELD` is over; None where none is due, or somebody sends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SENDING_LOCK])
    waiting, now = Delivery.objects.filter(state=WAITING), timezone.now()
    if waiting.filter(held_until__gt=now).exists():
        return None
    due = waiting.select_for_update(of=("self",)).select_related("webhook", "alert")
    row = due.filter(due_at__lte=now).order_by("due_at", "pk").first()
    if row is not None:
        row.tries, row.attempt, row.held_until = row.tries + 1, row.attempt + 1, now + HELD
        row.save(update_fields=["tries", "attempt", "held_until"])
    return row


def _deliver(row: Delivery) -> bool:
    """Send it, and write down what came of it; whether it arrived."""
    try:
        _post(row)
    except BadAddress as error:
        return _finish(row, error=str(error), is_last=True)
    except NotTaken as error:
        return _finish(row, error=str(error), is_last=row.tries >= MOST_TRIES)
    return _finish(row)


def _post(row: Delivery) -> None:
    secret = _secret(row.webhook.salt)
    if _hint(secret) != row.webhook.hint:
        raise BadAddress(ANOTHER_KEY)
    body = body_of(row.alert)
    signed = webhook_posting.headers(secret=secret, message=row.message, timestamp=int(time.time()), body=body)
    sent = {**signed, "Content-Type": "application/json", "User-Agent": "Ratify"}
    webhook_posting.post(row.webhook.url, body=body, headers=sent, private=settings.WEBHOOKS_TO_PRIVATE)


@transaction.atomic
def _finish(taken: Delivery, *, error: str = "", is_last: bool = False) -> bool:
    """Arrived, failed for good, or to be tried again after a pause. Writes nothing where it is not ours any more."""
    held = Delivery.objects.select_for_update().filter(pk=taken.pk, attempt=taken.attempt, state=WAITING)
    row = held.first()
    if row is None:
        log.warning("another worker took the delivery over", delivery=taken.pk)
        return not error
    row.error, row.held_until = error[:400], None
    if not error:
        row.delivered_at = timezone.now()
        _leave(row, DELIVERED, by=WORKER)
    elif is_last:
        _leave(row, FAILED, by=WORKER)
    else:
        row.due_at = timezone.now() + PAUSES[row.tries - 1]
        row.save(update_fields=["error", "due_at", "held_until"])
    announce("alerts")
    return not error


def _leave(row: Delivery, state: str, *, by: User | str) -> None:
    move = DELIVERY.move(row.state, state)
    row.state = move.target
    row.save()
    detail = {"webhook": row.webhook_id, "message": row.message, "attempt": row.attempt}
    ledger.append(action=move.action, by=by, subject=f"alert:{row.alert_id}", detail=detail)
    announce("alerts")


def _secret(salt: str) -> bytes:
    return salted_hmac("training.webhooks", salt, algorithm="sha256").digest()


def _hint(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()[:16]
