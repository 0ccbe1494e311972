"""What should run next. A tick is idempotent, may come at any time and from several processes at once."""

from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from amendments.models import Scenario
from amendments.reserved import registered_entries
from constitution.models import Version
from training import actions, plans
from training.errors import TooLittleData
from training.models import PreviewRun, RealisedRun, Round, SurfacingRun
from training.previews import asking
from training.realised import asking as realised
from training.recipes.plan import PlanError
from training.states import MOVING, QUEUED

TICK_LOCK = 0x7469636B  # "tick"
MODEL_NAME_OF_DEFAULT = asking.NAME_OF_DEFAULT

log = structlog.get_logger(__name__)


@transaction.atomic
def tick() -> None:
    """Open the round, or else the surfacing run, that the head version lacks, the impact previews that proposals lack,
    and what the last round is compared with. A second tick at once does nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [TICK_LOCK])
        if not cursor.fetchone()[0]:
            return
    head = Version.objects.head()
    if head is None or _open_round_if_due(head):
        return
    if not SurfacingRun.objects.filter(version=head).exists() and Scenario.objects.filter(held_out=False).exists():
        actions.open_surfacing(version=head, seed=seed_of(head))
    asking.ask_for_lacking()
    realised.ask_for_lacking()


def is_round_waiting() -> bool:
    """Whether a round could start: it comes before reading further scenarios."""
    return Round.objects.filter(state=QUEUED).exists()


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


def _open_round_if_due(head: Version) -> bool:
    """Whether a round for `head` comes before anything else: it waits, runs, was just opened, or is about to be.

    The founding version has none, as nobody has changed anything yet. A change is left alone for a moment, so that
    several in a row share one round.
    """
    if head.number == 1:
        return False
    if rounds := list(Round.objects.filter(version=head).order_by("pk")):
        return rounds[-1].state in MOVING
    if timezone.now() < head.published_at + timedelta(seconds=settings.ROUND_DEBOUNCE):
        return True
    try:
        plan = plans.freeze(
            version=head.number,
            version_digest=head.digest,
            texts=head.texts(),
            scenarios=Scenario.objects.order_by("pk"),
            seed=seed_of(head),
            preset_name=settings.ROUND_PRESET,
            model=settings.MODEL or MODEL_NAME_OF_DEFAULT,
            device=settings.ENGINE_DEVICE,
            registered=registered_entries(),
        )
    except (TooLittleData, PlanError) as refusal:
        log.warning("no round can be planned", version=head.number, reason=str(refusal))
        return False
    actions.open_round(version=head, plan=plan)
    return True
