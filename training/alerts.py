"""Telling people what happened to a round or a model: a row, a notice to overseers and operators, and the webhooks.

Called in the transaction of what happened, which has its own ledger entry. The same thing is told once.
"""

import secrets
from collections.abc import Sequence

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from amendments import notices
from config.live import publish as announce
from constitution.digests import digest
from constitution.models import Role, Version
from training.alert_records import Alert, AlertKind, Delivery, Webhook
from training.models import Evaluation, Round
from training.promotion_records import Promotion

ROLES = (Role.OVERSEER, Role.OPERATOR)
LONGEST = 300


def paused(row: Round) -> None:
    """Tell that a constitutional checkpoint holds the round."""
    pause = row.pause or {}
    sentence = f"It paused at {pause['stage']} step {pause['step']} and waits for an overseer. {pause['reason']}"
    _tell(AlertKind.PAUSED, row, key=_key(row, AlertKind.PAUSED), sentence=sentence)


def failed(row: Round) -> None:
    """Tell that the round stopped with an error, which no machine will try again."""
    last = (row.error.strip().splitlines() or ["No reason is known."])[-1]
    sentence = f"It stopped with an error and waits for an operator. {last}"
    _tell(AlertKind.FAILED, row, key=_key(row, AlertKind.FAILED), sentence=sentence)


def finished(row: Round, evaluations: Sequence[Evaluation]) -> None:
    """Tell where what the round brought cannot be certified; a round that can be certified alarms nobody."""
    open_ = sorted({found.measure for found in evaluations if not found.can_certify})
    if open_:
        sentence = (
            f"It finished and cannot be certified: more than 5 % of the answers went unscored ({', '.join(open_)})."
        )
        _tell(AlertKind.UNCERTIFIED, row, key=_key(row, AlertKind.UNCERTIFIED), sentence=sentence)


def held(row: Round, why: str) -> None:
    """Tell that there is no room to start the round."""
    _tell(AlertKind.HELD, row, key=_key(row, AlertKind.HELD), sentence=why)


def unplanned(version: Version, why: str) -> None:
    """Tell that no round can be planned for a version; another reason is told anew."""
    key = f"{AlertKind.UNPLANNED}:{version.pk}:{digest(why)[:16]}"
    _tell(AlertKind.UNPLANNED, None, key=key, sentence=why)


def promoted(made: Promotion) -> None:
    """Tell that a person put a model into use, or brought one back."""
    kind = AlertKind.ROLLED_BACK if made.restores_id else AlertKind.PROMOTED
    did = "rolled back to" if made.restores_id else "put into use"
    over = f" over {', '.join(made.overridden)}" if made.overridden else ""
    said = f" Note: {made.note}" if made.note else ""
    sentence = f"{made.by} {did} {made.checkpoint}{over}.{said}"
    _tell(kind, made.checkpoint.round, key=f"promotion:{made.pk}", sentence=sentence, promotion=made)


def path_of(alert: Alert) -> str:
    """The page with the evidence."""
    if alert.checkpoint_id:
        return reverse("training:model-detail", args=[alert.checkpoint_id])
    if alert.round_id:
        return reverse("training:round-detail", args=[alert.round_id])
    return reverse("training:rounds")


def about(alert: Alert) -> str:
    """What it is about, by name."""
    if alert.checkpoint_id:
        return f"Model {alert.checkpoint_id}"
    return f"Round {alert.round_id}" if alert.round_id else "Rounds"


def latest() -> QuerySet[Alert]:
    """Alerts with their deliveries, newest first."""
    return Alert.objects.prefetch_related("deliveries__webhook").order_by("-pk")


def _tell(kind: AlertKind, row: Round | None, *, key: str, sentence: str, promotion: Promotion | None = None) -> None:
    checkpoint = promotion.checkpoint if promotion else None
    alert, is_new = Alert.objects.get_or_create(
        key=key, defaults={"kind": kind, "round": row, "checkpoint": checkpoint, "sentence": _cut(sentence)}
    )
    if not is_new:
        return
    notices.alert(about=about(alert), path=path_of(alert), sentence=f"{kind.label}. {sentence}", roles=ROLES)
    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(webhook=webhook, alert=alert, message=f"msg_{secrets.token_hex(16)}", due_at=now)
        for webhook in Webhook.objects.filter(removed_at=None).order_by("pk")
    )
    announce("alerts")


def _key(row: Round, kind: AlertKind) -> str:
    """An attempt ends once, so it is told once of each kind."""
    return f"{kind}:{row.pk}:{row.attempt}"


def _cut(sentence: str) -> str:
    line = " ".join(sentence.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
