import pytest
from django.db import transaction
from django.db.utils import DatabaseError, IntegrityError
from django.utils import timezone

from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, Role, User
from tests.factories import make_user
from tests.training.conftest import make_plan
from training import actions, leases, policies
from training.models import Arm, Evaluation, Round, SurfacingRun
from training.states import ABORTED, FAILED, PAUSED, QUEUED, ROUND, RUNNING

pytestmark = pytest.mark.django_db

NOTE = "The drop comes from a bad batch; the next look will tell."


def test_paused_round_stays_paused_whatever_the_clock_says(paused_round: Round) -> None:
    assert leases.reap() == 0
    assert leases.claim(Round) is None
    paused_round.refresh_from_db()
    assert (paused_round.state, paused_round.lease_until) == (PAUSED, None)


def test_resume_by_an_overseer_queues_it_and_keeps_the_note_in_the_ledger(paused_round: Round, overseer: User) -> None:
    actions.resume(round_=paused_round, by=overseer, note=f"  {NOTE} ")
    paused_round.refresh_from_db()
    assert (paused_round.state, paused_round.decided_by, paused_round.note) == (QUEUED, overseer, NOTE)
    entry = LedgerEntry.objects.get(action="round resumed")
    assert (entry.actor, entry.detail) == (overseer, {"note": NOTE})
    ledger.verify()


@pytest.mark.parametrize("role", [role for role in Role if role != Role.OVERSEER])
def test_resume_and_abort_of_a_paused_round_by_another_role_are_refused(paused_round: Round, role: Role) -> None:
    person = make_user("somebody", role)
    for action in (actions.resume, actions.abort):
        with pytest.raises(NotAllowed):
            action(round_=paused_round, by=person, note=NOTE)
    paused_round.refresh_from_db()
    assert paused_round.state == PAUSED


@pytest.mark.parametrize("note", ["", "   ", "x" * (policies.LONGEST_NOTE + 1)])
def test_decision_without_a_fitting_note_is_refused(paused_round: Round, overseer: User, note: str) -> None:
    with pytest.raises(Refused, match="note"):
        actions.resume(round_=paused_round, by=overseer, note=note)


def test_resume_twice_is_refused(paused_round: Round, overseer: User) -> None:
    actions.resume(round_=paused_round, by=overseer, note=NOTE)
    with pytest.raises(Refused, match="not paused"):
        actions.resume(round_=paused_round, by=overseer, note=NOTE)


def test_abort_of_a_running_round_by_an_operator(claimed_round: Round, operator: User) -> None:
    actions.abort(round_=claimed_round, by=operator, note=NOTE)
    claimed_round.refresh_from_db()
    assert (claimed_round.state, claimed_round.lease_until) == (ABORTED, None)
    with pytest.raises(Refused, match="nothing left to abort"):
        actions.abort(round_=claimed_round, by=operator, note=NOTE)


def test_abort_by_a_reviewer_is_refused(claimed_round: Round, reviewer: User) -> None:
    with pytest.raises(NotAllowed):
        actions.abort(round_=claimed_round, by=reviewer, note=NOTE)


def test_retry_of_failed_work_by_an_operator(
    claimed_round: Round, surfacing: SurfacingRun, operator: User, overseer: User
) -> None:
    run = leases.claim(SurfacingRun)
    assert run is not None
    actions.fail(job=claimed_round, error="Out of memory.")
    actions.fail(job=run, error="Out of memory.")
    with pytest.raises(NotAllowed):
        actions.retry(round_=claimed_round, by=overseer, note=NOTE)
    actions.retry(round_=claimed_round, by=operator, note=NOTE)
    actions.retry_surfacing(run=run, by=operator, note=NOTE)
    claimed_round.refresh_from_db()
    run.refresh_from_db()
    assert (claimed_round.state, run.state) == (QUEUED, QUEUED)


def test_database_lets_no_one_out_of_a_pause_without_a_person_and_a_note(paused_round: Round, overseer: User) -> None:
    rows = Round.objects.filter(pk=paused_round.pk)
    for change in (
        {"state": QUEUED},
        {"state": QUEUED, "decided_by": overseer, "decided_at": timezone.now()},
        {"state": QUEUED, "note": "I am a worker.", "decided_at": timezone.now()},
    ):
        with pytest.raises(DatabaseError, match="paused until a named person"), transaction.atomic():
            rows.update(**change)


def test_database_refuses_a_second_live_round_for_a_version(queued_round: Round) -> None:
    with pytest.raises(IntegrityError, match="round_one_live_per_version"), transaction.atomic():
        actions.open_round(version=queued_round.version, plan=make_plan(queued_round.version))


def test_database_refuses_to_change_a_plan(queued_round: Round) -> None:
    changes: list[dict[str, object]] = [{"plan": {}}, {"seed": 1}, {"data_digest": "0" * 64}]
    for change in changes:
        with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
            Round.objects.filter(pk=queued_round.pk).update(**change)


@pytest.mark.parametrize("source", ROUND.states)
@pytest.mark.parametrize("target", ROUND.states)
def test_database_moves_as_the_table_says(source: str, target: str) -> None:
    legal = (source, target) in {(move.source, move.target) for move in ROUND.moves}
    trigger = next(trigger for trigger in Round._meta.triggers if trigger.name == "legal_moves")  # type: ignore[attr-defined]
    assert ((source, target) in trigger.transitions) == legal


def test_database_refuses_a_round_that_is_born_running(queued_round: Round) -> None:
    late = Round(version=queued_round.version, state=RUNNING, seed=1, plan={}, data_digest="0" * 64)
    with pytest.raises(DatabaseError, match="born in state queued"), transaction.atomic():
        late.save()


def test_database_refuses_to_abort_in_nobodys_name(queued_round: Round) -> None:
    with pytest.raises(IntegrityError, match="round_aborted_by_somebody"), transaction.atomic():
        Round.objects.filter(pk=queued_round.pk).update(state=ABORTED)


def test_database_refuses_a_rate_of_nothing(queued_round: Round) -> None:
    empty = Evaluation(round=queued_round, measure="m", arm=Arm.TRAINED, k=0, n=0, unscored=9, low=0, high=1, seed=1)
    with pytest.raises(IntegrityError, match="evaluation_of_something"), transaction.atomic():
        empty.save()


@pytest.mark.parametrize(("n", "unscored", "certifies"), [(95, 5, True), (94, 6, False), (1, 0, True), (1, 1, False)])
def test_rate_with_too_many_unscored_answers_certifies_nothing(n: int, unscored: int, certifies: bool) -> None:
    assert Evaluation(k=0, n=n, unscored=unscored).can_certify is certifies


def test_failure_keeps_the_error_for_people(claimed_round: Round) -> None:
    actions.fail(job=claimed_round, error="Traceback\n  many lines\nsft: The disk is full.")
    claimed_round.refresh_from_db()
    assert claimed_round.state == FAILED
    assert LedgerEntry.objects.get(action="round failed").detail == {"error": ["sft: The disk is full."]}
