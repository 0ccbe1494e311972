"""Rolling a paused round back to a look that was within its band: who may, to which steps, and what comes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, Role, User
from tests.factories import make_user
from training import actions, bands, leases, promotion_policies, rolling_back, runner
from training.engine.model import weights_digest
from training.models import Look, LookState, Round, RoundPoint
from training.recipes.band import Band, Point
from training.recipes.files import read_json, write_json
from training.recipes.groups import items
from training.recipes.plan import Plan
from training.states import DONE, PAUSED, QUEUED

pytestmark = pytest.mark.django_db
NOTE = "It was sound until then."
OK, WARN, FAIL = LookState.OK, LookState.WARN, LookState.FAIL


def look(round_: Round, step: int, state: str = OK, *, stage: str = "sft", group: str = "harmful") -> None:
    Look.objects.create(
        round=round_, stage=stage, step=step, measure="refusal_margin", group=group, value=0.1, state=state
    )


@pytest.fixture
def looked_at(paused_round: Round) -> Round:
    """Paused at step 10 of sft: within its band at 2 and 5, at the edge at 7, and outside at 10."""
    for step, state in ((0, OK), (2, OK), (5, OK), (7, WARN), (10, FAIL)):
        look(paused_round, step, state)
        look(paused_round, step, group="benign")
    RoundPoint.objects.bulk_create(
        RoundPoint(round=paused_round, stage="sft", series="loss", step=step, value=1.0) for step in range(1, 11)
    )
    return paused_round


def test_steps_are_those_at_which_all_was_within_its_band(looked_at: Round) -> None:
    assert rolling_back.steps(looked_at) == (5, 2)


def test_second_stage_goes_back_to_its_own_looks_or_to_its_beginning(paused_round: Round) -> None:
    for step in (5, 40):
        look(paused_round, step)
    look(paused_round, 45, stage="dpo")
    paused_round.pause = {**(paused_round.pause or {}), "stage": "dpo", "step": 50}
    assert rolling_back.steps(paused_round) == (45, 40)
    assert rolling_back.steps_before(paused_round, "dpo") == 40


def test_overseer_rolls_back_and_what_was_measured_later_is_forgotten(looked_at: Round, overseer: User) -> None:
    row = actions.roll_back(round_=looked_at, by=overseer, note=NOTE, step=5)
    assert (row.state, row.note, row.decided_by) == (QUEUED, NOTE, overseer)
    assert row.pause is not None
    assert (row.pause["back_to"], row.pause["step"]) == (5, 10)
    assert set(row.looks.values_list("step", flat=True)) == {0, 2, 5}
    assert max(row.points.values_list("step", flat=True)) == 5
    entry = LedgerEntry.objects.get(action="round rolled back")
    assert entry.detail == {"note": NOTE, "stage": "sft", "paused_at": 10, "step": 5}
    assert not LedgerEntry.objects.filter(action="round resumed").exists()
    ledger.verify()


@pytest.mark.parametrize("step", [0, 7, 10, 3])
def test_other_steps_are_refused_and_nothing_is_forgotten(looked_at: Round, overseer: User, step: int) -> None:
    with pytest.raises(Refused, match="within their band"):
        actions.roll_back(round_=looked_at, by=overseer, note=NOTE, step=step)
    looked_at.refresh_from_db()
    assert (looked_at.state, looked_at.looks.count()) == (PAUSED, 10)


@pytest.mark.parametrize("role", [role for role in Role if role != Role.OVERSEER])
def test_other_roles_are_refused(looked_at: Round, role: Role) -> None:
    with pytest.raises(NotAllowed, match="Only overseers"):
        actions.roll_back(round_=looked_at, by=make_user("mallory", role), note=NOTE, step=5)


def test_round_that_was_never_within_its_band_is_not_rolled_back(paused_round: Round, overseer: User) -> None:
    look(paused_round, 5, WARN)
    with pytest.raises(Refused, match="nothing to roll back to"):
        actions.roll_back(round_=paused_round, by=overseer, note=NOTE, step=5)


@pytest.mark.django_db(transaction=True)
def test_two_overseers_at_once_decide_once(looked_at: Round, overseer: User, at_once: Callable[..., list[Any]]) -> None:
    def decide() -> str:
        try:
            actions.roll_back(round_=looked_at, by=overseer, note=NOTE, step=5)
        except Refused as refused:
            return str(refused)
        return ""

    said = at_once(decide)
    assert sorted(map(bool, said)) == [False, True]
    assert LedgerEntry.objects.filter(action="round rolled back").count() == 1


def test_page_offers_the_steps_and_says_afterwards_what_became_of_it(
    client: Client, looked_at: Round, overseer: User
) -> None:
    client.force_login(overseer)
    address = reverse("training:round-detail", args=[looked_at.pk])
    text = client.get(address).content.decode()
    assert '<option value="5">5</option><option value="2">2</option>' in text
    answer = client.post(reverse("training:round-roll-back", args=[looked_at.pk]), {"note": NOTE, "step": "9" * 40})
    assert answer.status_code == 409
    assert NOTE in answer.content.decode()
    client.post(reverse("training:round-roll-back", args=[looked_at.pk]), {"note": NOTE, "step": "5"})
    text = client.get(address).content.decode()
    assert "ended at step 5, as it had paused at step 10." in text


def band_that_ends(plan: Plan, folder: Path, reference: str, *, after: int) -> None:
    """A band that holds everything up to step `after` of both stages and nothing later."""
    points = tuple(
        Point(stage, step, 1000.0 if step <= after else -1000.0, 1.0) for stage in ("sft", "dpo") for step in (2, 4)
    )
    key = ("refusal_margin", "benign")
    band = Band("s", reference, (1, 2, 3), {key: items(plan)[key]}, {key: points})
    write_json(folder / "band.json", band.as_json())


@pytest.mark.usefixtures("one_thread")
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(300)
def test_round_that_was_rolled_back_goes_on_to_its_end_and_its_model_says_so(
    queued_round: Round, tiny_model: Path, overseer: User, own_var: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(folder: Path, plan: Plan) -> None:
        band_that_ends(plan, folder, weights_digest(tiny_model), after=2)

    monkeypatch.setattr(bands, "give", give)

    def go_on() -> Round:
        round_ = leases.claim(Round)
        assert round_ is not None
        runner.run(round_, model=lambda: str(tiny_model), stop_asked=lambda: False)
        round_.refresh_from_db()
        return round_

    round_ = go_on()
    assert (round_.state, rolling_back.steps(round_)) == (PAUSED, (2,)), round_.error
    actions.roll_back(round_=round_, by=overseer, note=NOTE, step=2)
    round_ = go_on()
    while round_.state == PAUSED:  # the second stage counts on from step 2, and none of its looks is within the band
        assert round_.pause is not None
        assert round_.pause["stage"] == "dpo"
        assert 2 in rolling_back.steps(round_)
        actions.resume(round_=round_, by=overseer, note="Let us see what it brings.")
        round_ = go_on()
    assert round_.state == DONE, round_.error
    assert read_json(runner.folder_of(round_) / "sft" / "done.json")["steps"] == 2
    assert set(round_.looks.filter(stage="sft").values_list("step", flat=True)) == {0, 2}
    assert min(round_.looks.filter(stage="dpo", step__gt=0).values_list("step", flat=True)) > 2


def test_gate_of_its_model_says_that_it_was_rolled_back(looked_at: Round, overseer: User) -> None:
    actions.roll_back(round_=looked_at, by=overseer, note=NOTE, step=5)
    looked_at.refresh_from_db()
    gate = promotion_policies._looks(looked_at)
    assert gate.state == "passed"
    assert "a person rolled it back to step 5" in gate.sentence
    assert NOTE in gate.sentence
