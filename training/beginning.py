"""What a person begins: a round for the version in force, with a preset and what they set otherwise for it alone; and a
further reading of scenarios under it."""

from django.db import connection, transaction

from constitution.errors import Refused
from constitution.models import User, Version
from training import actions, policies, readings
from training.coordinator import TICK_LOCK, covered_by, plan_for, seed_of
from training.errors import BadSettings
from training.models import Round, SurfacingRun
from training.recipes import settings
from training.recipes.plan import PlanError
from training.recipes.settings import Changes


@transaction.atomic
def begin(*, version: Version, preset: str, changes: Changes, note: str, by: User) -> Round:
    """Queue a round for `version`, which must be in force, and freeze its plan. It does not wait for further versions.

    Raises NotAllowed; Refused where a round is under way or another version is in force; TooLittleData; and
    BadSettings, with what is wrong by the name of the setting, and of the note under `note`.
    """
    _wait_for_turn()
    head = Version.objects.head()
    policies.check_can_begin(head, by)
    if head != version:
        raise Refused(
            f"Another version is in force by now, and this was about {version}. Begin if you mean the newer one."
        )
    if wrong := {**settings.problems(preset, changes), **_note_problem(note)}:
        raise BadSettings(wrong)
    try:
        plan = plan_for(version, preset=preset, changes=changes)
    except PlanError as error:
        raise BadSettings({"": str(error)}) from error
    covers = [earlier.number for earlier in covered_by(version)]
    return actions.open_round(version=version, plan=plan, covers=covers, by=by, note=policies.check_note(note))


@transaction.atomic
def begin_reading(*, by: User) -> SurfacingRun:
    """Queue a reading of scenarios that none has read under the version in force. Raises NotAllowed and Refused."""
    _wait_for_turn()
    head = Version.objects.head()
    policies.check_can_read(by)
    if head is None:
        raise Refused("There is no version to read scenarios under yet: load a constitution first.")
    if why := readings.hindrance(head):
        raise Refused(why)
    return readings.open_next(head, seed=seed_of(head), by=by)


def _wait_for_turn() -> None:
    """Of two people, and of a person and a tick, the second one finds what the first has begun."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TICK_LOCK])


def _note_problem(note: str) -> dict[str, str]:
    try:
        policies.check_note(note)
    except Refused as refused:
        return {"note": str(refused)}
    return {}
