"""What should run next. A tick is idempotent, may come at any time and from several processes at once."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from amendments import lessons
from amendments.models import Scenario
from amendments.reserved import registered_entries
from config.live import publish as announce
from constitution.digests import digest
from constitution.models import LedgerEntry, Version
from training import actions, alerts, leases, plans, readings, room
from training.errors import TooLittleData
from training.models import PreviewRun, RealisedRun, Round, SurfacingRun
from training.previews import asking
from training.realised import asking as realised
from training.recipes.plan import Plan, PlanError
from training.recipes.settings import Changes
from training.scheduling_records import Hold, Unplanned
from training.states import ABORTED, MOVING, QUEUED

TICK_LOCK = 0x7469636B  # "tick"
# So many times the pause after a change at most, however often something changes meanwhile.
MOST_DEBOUNCES = 12
# A machine says every few seconds that it has no room; said longer ago, it is nothing to go by.
HOLD_LASTS = timedelta(minutes=1)
# A round that cannot be planned is tried again when something was written, and after so long: files may have changed.
TRIED_AGAIN = timedelta(minutes=10)
MODEL_NAME_OF_DEFAULT = asking.NAME_OF_DEFAULT

log = structlog.get_logger(__name__)


@transaction.atomic
def tick() -> None:
    """Open the round that the head version lacks, or else the reading of scenarios that is due, the impact previews
    that proposals lack, and what the last round is compared with. A second tick at once does nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [TICK_LOCK])
        if not cursor.fetchone()[0]:
            return
    head = Version.objects.head()
    if head is None or _open_round_if_due(head):
        return
    if readings.is_due(head):
        readings.open_next(head, seed=seed_of(head))
    asking.ask_for_lacking()
    realised.ask_for_lacking()


def is_round_waiting() -> bool:
    """Whether a round could start: it comes before reading further scenarios."""
    return Round.objects.filter(state=QUEUED).exists()


def is_preview_first(run: SurfacingRun) -> bool:
    """Whether a reading makes way for a preview: until it is overdue."""
    return not leases.is_overdue(run) and PreviewRun.objects.filter(state=QUEUED).exists()


def has_room() -> bool:
    """Whether this machine has room to start what waits. Where not, that is written down, and told once of a round."""
    why, host = room.lacking(), room.host()
    if not why:
        if Hold.objects.filter(host=host).delete()[0]:
            _announce_hold()
        return True
    _, is_new = Hold.objects.update_or_create(host=host, defaults={"sentence": why, "checked_at": timezone.now()})
    if is_new:
        _announce_hold()
        log.warning("no room", host=host, reason=why)
    if round_ := Round.objects.filter(state=QUEUED).order_by("pk").first():
        with transaction.atomic():
            alerts.held(round_, why)
    return False


def hold() -> str:
    """Why nothing starts, as the machines that work said just now; empty where nothing hinders."""
    found = Hold.objects.filter(checked_at__gt=timezone.now() - HOLD_LASTS).order_by("-checked_at").first()
    return found.sentence if found else ""


def unplanned() -> str:
    """Why the version in force has no round, and what to do; empty where one could be planned, or was not tried."""
    head = Version.objects.head()
    found = Unplanned.objects.filter(version=head).first() if head and not head.rounds.exists() else None
    return found.sentence if found else ""


def covered_by(version: Version) -> list[Version]:
    """The earlier versions that a round for this one trains as well, oldest first: those that never had their own."""
    before = Version.objects.filter(constitution=version.constitution_id, number__lt=version.number)
    own = before.filter(Exists(Round.objects.filter(version=OuterRef("pk")).exclude(state=ABORTED)))
    last = Coalesce(Subquery(own.order_by("-number").values("number")[:1]), 1)
    return list(before.filter(number__gt=last).order_by("number"))


def is_work_waiting() -> bool:
    """Whether a gpu worker has anything to wake up for."""
    return is_sooner_waiting() or RealisedRun.objects.filter(state=QUEUED).exists() or asking.is_model_unknown()


def is_sooner_waiting() -> bool:
    """Whether anything could start that comes before comparing a round with previews."""
    waiting = (kind.objects.filter(state=QUEUED).exists() for kind in (PreviewRun, SurfacingRun))
    return is_round_waiting() or any(waiting)


def seed_of(version: Version) -> int:
    """The seed of everything that is drawn for a version: from its digest, so that a stranger can repeat it."""
    return int(version.digest[:7], 16)


def plan_for(version: Version, *, preset: str = "", changes: Changes | None = None) -> Plan:
    """The plan of a round for the version as things are now: the preset of this installation unless another is named.

    `changes` are settings for this round alone. Raises TooLittleData and PlanError.
    """
    return plans.freeze(
        version=version.number,
        version_digest=version.digest,
        texts=version.texts(),
        scenarios=Scenario.objects.order_by("pk"),
        seed=seed_of(version),
        preset_name=preset or settings.ROUND_PRESET,
        model=settings.MODEL or MODEL_NAME_OF_DEFAULT,
        device=settings.ENGINE_DEVICE,
        registered=registered_entries(),
        edited=lessons.edited_answers(version),
        changes=changes,
    )


def _open_round_if_due(head: Version) -> bool:
    """Whether a round for `head` comes before anything else: it waits, runs, was just opened, or is about to be.

    The founding version has none, as nobody has changed anything yet. A change is left alone for a moment, and while
    a round for an earlier version waits or runs, so that several in a row share one round: that of the newest.
    """
    if head.number == 1:
        return False
    if rounds := list(Round.objects.filter(version=head).order_by("pk")):
        return rounds[-1].state in MOVING
    covered = covered_by(head)
    if _is_left_alone(head, covered) or Round.objects.filter(state__in=MOVING).exists():
        return True
    tried_on = _tried_on()
    again = timezone.now() - TRIED_AGAIN
    if Unplanned.objects.filter(version=head, tried_on=tried_on, tried_at__gt=again).exists():
        return False
    try:
        plan = plan_for(head)
    except (TooLittleData, PlanError) as refusal:
        _tell_unplanned(head, str(refusal), tried_on)
        return False
    Unplanned.objects.all().delete()
    actions.open_round(version=head, plan=plan, covers=[version.number for version in covered])
    return True


def _tried_on() -> str:
    """A digest of what a plan is made from. The ledger's end stands for all rows: every write leaves an entry in it."""
    last = LedgerEntry.objects.order_by("-number").values_list("digest", flat=True).first()
    return digest([last, settings.ROUND_PRESET, settings.MODEL, settings.ENGINE_DEVICE])


def _tell_unplanned(head: Version, reason: str, tried_on: str) -> None:
    why = f"Version {head.number} has no round. {reason.rstrip('.')}. Once that is put right, it opens by itself."
    Unplanned.objects.exclude(version=head).delete()
    tried = {"sentence": why, "tried_on": tried_on, "tried_at": timezone.now()}
    _, is_new = Unplanned.objects.update_or_create(version=head, defaults=tried)
    alerts.unplanned(head, why)
    if is_new:
        announce("rounds")
        log.warning("no round can be planned", version=head.number, reason=reason)


def _is_left_alone(head: Version, covered: Sequence[Version]) -> bool:
    """Whether the newest change is too fresh, and no change has waited for long."""
    pause, now = timedelta(seconds=settings.ROUND_DEBOUNCE), timezone.now()
    first = covered[0] if covered else head
    return now < min(head.published_at + pause, first.published_at + MOST_DEBOUNCES * pause)


def _announce_hold() -> None:
    for topic in (
        "queue",
        "rounds",
        *(f"round:{pk}" for pk in Round.objects.filter(state=QUEUED).values_list("pk", flat=True)),
    ):
        announce(topic)
