import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.utils import DatabaseError
from django.utils import timezone

from constitution.models import User
from training import actions, leases
from training.errors import LeaseLost
from training.models import Round, SurfacingRun
from training.states import ABORTED, FAILED, QUEUED, RUNNING


def lapse(job: Round) -> None:
    """As if its worker had been killed a while ago."""
    Round.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_claim_takes_the_oldest_and_leases_it(queued_round: Round) -> None:
    claimed = leases.claim(Round)
    assert claimed == queued_round
    queued_round.refresh_from_db()
    assert (queued_round.state, queued_round.attempt) == (RUNNING, 1)
    assert queued_round.lease_until is not None
    assert queued_round.lease_until > timezone.now()
    assert leases.claim(Round) is None


@pytest.mark.django_db
def test_claim_of_one_kind_leaves_the_other(surfacing: SurfacingRun) -> None:
    assert leases.claim(Round) is None
    assert leases.claim(SurfacingRun) == surfacing


@pytest.mark.django_db(transaction=True)
def test_claim_at_once_on_two_connections_gives_one_of_them_the_job(
    queued_round: Round, at_once: Callable[..., list[Any]]
) -> None:
    claimed = at_once(lambda: leases.claim(Round), 4)
    assert [job for job in claimed if job is not None] == [queued_round]


@pytest.mark.django_db
def test_reap_puts_back_what_has_lapsed_and_nothing_else(claimed_round: Round) -> None:
    assert leases.reap() == 0
    lapse(claimed_round)
    assert leases.reap() == 1
    claimed_round.refresh_from_db()
    assert (claimed_round.state, claimed_round.lease_owner, claimed_round.attempt) == (QUEUED, "", 1)
    again = leases.claim(Round)
    assert again is not None
    assert again.attempt == 2


@pytest.mark.django_db
def test_stale_attempt_can_write_nothing(claimed_round: Round) -> None:
    lapse(claimed_round)
    leases.reap()
    successor = leases.claim(Round)
    assert successor is not None
    with pytest.raises(LeaseLost):
        leases.extend(claimed_round)
    with pytest.raises(LeaseLost), leases.fenced(claimed_round):
        pass
    with pytest.raises(LeaseLost):
        actions.fail(job=claimed_round, error="I am a ghost.")
    leases.give_back(claimed_round)
    successor.refresh_from_db()
    assert (successor.state, successor.attempt, successor.error) == (RUNNING, 2, "")


@pytest.mark.django_db
def test_abort_takes_the_lease_away(claimed_round: Round, operator: User) -> None:
    actions.abort(round_=claimed_round, by=operator, note="The data is wrong.")
    with pytest.raises(LeaseLost):
        leases.extend(claimed_round)
    claimed_round.refresh_from_db()
    assert claimed_round.state == ABORTED


@pytest.mark.django_db
def test_orderly_stop_is_no_failed_try(claimed_round: Round) -> None:
    leases.give_back(claimed_round)
    claimed_round.refresh_from_db()
    assert (claimed_round.state, claimed_round.tries, claimed_round.attempt) == (QUEUED, 0, 1)


@pytest.mark.django_db
def test_error_puts_the_job_back_with_its_words_and_counts_as_a_try(claimed_round: Round) -> None:
    with pytest.raises(KeyError), leases.handed_back(claimed_round):
        raise KeyError("a bug")
    claimed_round.refresh_from_db()
    assert (claimed_round.state, claimed_round.tries) == (QUEUED, 1)
    assert claimed_round.error == "KeyError: 'a bug'"


@pytest.mark.django_db(transaction=True)
def test_heartbeat_extends_the_lease_on_its_own_connection(
    claimed_round: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=0.3))
    with leases.heartbeat(claimed_round) as lost:
        time.sleep(0.8)
        assert leases.reap() == 0
        assert not lost.is_set()
    time.sleep(0.4)
    assert leases.reap() == 1


@pytest.mark.django_db(transaction=True)
def test_heartbeat_tells_of_a_lost_lease(claimed_round: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=0.3))
    with leases.heartbeat(claimed_round) as lost:
        Round.objects.filter(pk=claimed_round.pk).update(state=QUEUED, lease_until=None)
        assert lost.wait(5)


@pytest.mark.django_db
def test_schema_refuses_a_lease_without_work_and_work_without_a_lease(claimed_round: Round) -> None:
    with pytest.raises(DatabaseError, match="round_leased_while_running"):
        Round.objects.filter(pk=claimed_round.pk).update(lease_until=None)


@pytest.mark.django_db
def test_failed_round_has_no_lease(claimed_round: Round) -> None:
    actions.fail(job=claimed_round, error="Out of memory.")
    claimed_round.refresh_from_db()
    assert (claimed_round.state, claimed_round.lease_until) == (FAILED, None)
