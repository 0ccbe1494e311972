"""Who may decide what becomes of a round: one set of functions, asked by pages, commands and workers alike."""

from collections.abc import Callable

from constitution.errors import NotAllowed, Refused
from constitution.models import Role, User, Version
from constitution.texts import written
from training import rolling_back
from training.errors import RoundInTheWay
from training.models import RealisedRun, Round, SurfacingRun
from training.states import ABORTED, FAILED, LIVE_ROUNDS, MOVING, PAUSED, QUEUED, ROUND

LONGEST_NOTE = 2000


def check_can_begin(head: Version | None, by: User) -> None:
    """An operator begins a round for the version in force, `head`, where it has none alive and none is under way.

    Rounds that begin by themselves keep to the same: one at a time, and one alive for each version.
    """
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators begin a round by hand.")
    if head is None:
        raise Refused("There is no version to train on yet: load a constitution first.")
    if moving := Round.objects.filter(state__in=MOVING).defer("plan").order_by("pk").first():
        doing = "is already waiting" if moving.state == QUEUED else "is training"
        sentence = f"Round {moving.pk} {doing}, and one round runs at a time. Wait for its end, or abort it."
        raise RoundInTheWay(sentence, moving.pk)
    if alive := head.rounds.filter(state__in=LIVE_ROUNDS).defer("plan").order_by("pk").first():
        sentence = f"Round {alive.pk} for this version is {alive.state}. Decide on that one first."
        raise RoundInTheWay(sentence, alive.pk)


def check_can_resume(round_: Round, by: User) -> None:
    """A paused round goes on only by an overseer's word."""
    if not by.has_role(Role.OVERSEER):
        raise NotAllowed("Only overseers resume a paused round.")
    if round_.state != PAUSED:
        raise Refused(f"This round is {round_.state}, not paused, so there is nothing to resume.")


def check_can_roll_back(round_: Round, by: User) -> None:
    """A paused round goes back to a look that was within its band only by an overseer's word."""
    if not by.has_role(Role.OVERSEER):
        raise NotAllowed("Only overseers roll a paused round back.")
    if round_.state != PAUSED:
        raise Refused(f"This round is {round_.state}, not paused, so there is nothing to roll back.")
    if not rolling_back.steps(round_):
        raise Refused(
            "No look of this stage before the pause was within its band, so there is nothing to roll back to."
        )


def check_can_abort(round_: Round, by: User) -> None:
    """An overseer ends any round that is not over; an operator, any that is not paused."""
    if not by.has_role(Role.OVERSEER, Role.OPERATOR):
        raise NotAllowed("Only overseers and operators abort a round.")
    if round_.state == PAUSED and not by.has_role(Role.OVERSEER):
        raise NotAllowed("This round is paused for an overseer to judge; only an overseer aborts it.")
    if not any(move.target == ABORTED for move in ROUND.moves if move.source == round_.state):
        raise Refused(f"This round is {round_.state}; there is nothing left to abort.")


def check_can_retry(round_: Round, by: User) -> None:
    """A failed round is tried again by an operator."""
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators retry a failed round.")
    if round_.state != FAILED:
        raise Refused(f"This round is {round_.state}, not failed, so there is nothing to retry.")


def check_can_read(by: User) -> None:
    """Scenarios are read by themselves; an operator has further ones read."""
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators have further scenarios read.")


def check_can_retry_surfacing(run: SurfacingRun, by: User) -> None:
    """A failed reading of the scenarios is tried again by an operator."""
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators retry a failed reading of the scenarios.")
    if run.state != FAILED:
        raise Refused(f"This reading is {run.state}, not failed, so there is nothing to retry.")


def check_can_retry_realised(run: RealisedRun, by: User) -> None:
    """A failed comparison with a preview is tried again by an operator."""
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators retry a failed comparison with a preview.")
    if run.state != FAILED:
        raise Refused(f"This comparison is {run.state}, not failed, so there is nothing to retry.")


def check_can_keep_webhooks(by: User) -> None:
    """Where alerts are sent is for operators: an address may hold a password, and the secret signs in our name."""
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators say where alerts are sent.")


def check_note(note: str) -> str:
    """The note as it is kept; a decision without a reason is refused, and so is one with hidden characters."""
    note = written(note)
    if not note:
        raise Refused("Write a note that says why: it is kept in the ledger with your name.")
    if len(note) > LONGEST_NOTE:
        raise Refused(f"Keep the note under {LONGEST_NOTE:,} characters.")
    return note


def refusal(check: Callable[[Round, User], None], round_: Round, by: User) -> str:
    """The sentence with which `check` refuses, or an empty one where it permits."""
    try:
        check(round_, by)
    except Refused as refused:
        return str(refused)
    return ""
