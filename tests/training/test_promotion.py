"""Models are put into use by overseers, through their gates, one at a time, and nothing of that is ever changed."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import transaction
from django.db.utils import DatabaseError, IntegrityError
from django.utils import timezone

from amendments.models import Scenario
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, Role, User, Version
from tests.factories import make_user
from tests.races import at_once
from tests.training.finished import make_judge_card, make_model
from training import promotion_policies, registry
from training.models import Arm, Checkpoint
from training.promotion import promote, roll_back
from training.promotion_policies import Gate, MeanwhilePromoted
from training.promotion_records import Promotion
from training.registry import FilesChanged

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scenarios")]

NO_FILES = Gate("files", "passed", "Not looked at here.")
NOTE = "The new one declines too much."


@pytest.fixture
def model(second_version: Version, scenarios: list[Scenario]) -> Checkpoint:
    make_judge_card()
    return make_model(second_version)


@pytest.fixture
def other(model: Checkpoint, second_version: Version) -> Checkpoint:
    return make_model(second_version)


def states(checkpoint: Checkpoint) -> dict[str, str]:
    row = registry.registered().get(pk=checkpoint.pk)
    return {gate.name: gate.state for gate in promotion_policies.gates(row, files=promotion_policies.files_read(row))}


def test_promotion_puts_a_model_into_use_and_stands_in_the_ledger(model: Checkpoint, overseer: User) -> None:
    assert set(states(model).values()) == {"passed"}
    made = promote(checkpoint=model, by=overseer, seen=None)
    assert registry.in_use() == made
    assert len(made.gates) == 7
    entry = LedgerEntry.objects.get(action="model promoted")
    assert (entry.actor, entry.subject) == (overseer, f"model:{model.pk}")
    assert entry.detail["digest"] == model.digest
    ledger.verify()


@pytest.mark.parametrize("role", [role for role in Role if role != Role.OVERSEER])
def test_promotion_and_rollback_by_another_role_are_refused(model: Checkpoint, role: Role) -> None:
    person = make_user("somebody", role)
    with pytest.raises(NotAllowed, match="Only overseers"):
        promote(checkpoint=model, by=person, seen=None)
    with pytest.raises(NotAllowed, match="Only overseers"):
        roll_back(checkpoint=model, by=person, seen=None, note=NOTE)
    assert not Promotion.objects.exists()


def test_rollback_names_what_it_undoes_and_what_it_restores(
    model: Checkpoint, other: Checkpoint, overseer: User
) -> None:
    first = promote(checkpoint=model, by=overseer, seen=None)
    second = promote(checkpoint=other, by=overseer, seen=first.pk)
    with pytest.raises(Refused, match="Write a note"):
        roll_back(checkpoint=model, by=overseer, seen=second.pk, note=" ")
    back = roll_back(checkpoint=model, by=overseer, seen=second.pk, note=NOTE)
    assert (back.replaces, back.restores, back.checkpoint) == (second, first, model)
    assert registry.in_use() == back
    assert LedgerEntry.objects.get(action="model rolled back").detail["replaces"] == other.digest
    again = roll_back(checkpoint=other, by=overseer, seen=back.pk, note=NOTE)
    assert again.restores == second


def test_what_makes_no_sense_is_refused(model: Checkpoint, other: Checkpoint, overseer: User) -> None:
    with pytest.raises(Refused, match="never in use"):
        roll_back(checkpoint=model, by=overseer, seen=None, note=NOTE)
    first = promote(checkpoint=model, by=overseer, seen=None)
    with pytest.raises(Refused, match="in use already"):
        promote(checkpoint=model, by=overseer, seen=first.pk)
    with pytest.raises(Refused, match="in use already"):
        roll_back(checkpoint=model, by=overseer, seen=first.pk, note=NOTE)
    second = promote(checkpoint=other, by=overseer, seen=first.pk)
    with pytest.raises(Refused, match="roll back to it"):
        promote(checkpoint=model, by=overseer, seen=second.pk)


def test_advisory_judge_asks_for_a_word_of_the_overseer(
    second_version: Version, scenarios: list[Scenario], overseer: User
) -> None:
    make_judge_card(advisory=True)
    model = make_model(second_version)
    assert states(model)["judge"] == "asks"
    with pytest.raises(Refused, match=r"advisory.*Tick the box"):
        promote(checkpoint=model, by=overseer, seen=None, note=NOTE)
    with pytest.raises(Refused, match="Write a note"):
        promote(checkpoint=model, by=overseer, seen=None, override=True)
    made = promote(checkpoint=model, by=overseer, seen=None, override=True, note="I read all the answers.")
    assert made.overridden == ["judge"]
    assert LedgerEntry.objects.get(action="model promoted").detail["overridden"] == ["judge"]


def test_judge_without_a_card_asks_too(second_version: Version, scenarios: list[Scenario]) -> None:
    assert states(make_model(second_version))["judge"] == "asks"


def test_unscored_answers_shut_the_gate_whoever_overrides(
    second_version: Version, scenarios: list[Scenario], overseer: User
) -> None:
    make_judge_card()
    assert states(make_model(second_version, unscored=5))["scored"] == "passed"
    model = make_model(second_version, unscored=6)
    with pytest.raises(Refused, match="6 of 106 answers could not be scored"):
        promote(checkpoint=model, by=overseer, seen=None, override=True, note=NOTE)


def test_model_that_is_worse_than_its_base_asks(second_version: Version, scenarios: list[Scenario]) -> None:
    make_judge_card()
    assert states(make_model(second_version, rates={("benign_refused", Arm.TRAINED): 11}))["no_worse"] == "passed"
    assert states(make_model(second_version, rates={("benign_refused", Arm.TRAINED): 30}))["no_worse"] == "asks"


def test_round_without_looks_shuts_the_gate(second_version: Version, scenarios: list[Scenario]) -> None:
    assert states(make_model(second_version, looks=0))["looks"] == "open"


def looks_gate(row: Checkpoint) -> Gate:
    return next(gate for gate in promotion_policies.gates(row, files=NO_FILES) if gate.name == "looks")


def test_pause_shuts_the_gate_until_a_person_decided_it(model: Checkpoint, overseer: User) -> None:
    row = registry.registered().get(pk=model.pk)
    now = timezone.now()
    row.round.pause, row.round.paused_at = {"step": 10}, now
    assert looks_gate(row).state == "open"
    row.round.decided_by, row.round.note, row.round.decided_at = overseer, "A bad batch.", now - timedelta(minutes=1)
    assert looks_gate(row).state == "open", "that was an earlier pause"
    row.round.decided_at = now + timedelta(minutes=1)
    assert looks_gate(row).state == "passed"
    assert "step 10" in looks_gate(row).sentence
    assert "A bad batch." in looks_gate(row).sentence


def test_changed_weights_are_refused_with_what_to_do(model: Checkpoint, own_var: Path, overseer: User) -> None:
    file = own_var / model.path / "adapter_model.safetensors"
    file.write_text("other weights")
    with pytest.raises(FilesChanged, match=r"Bring .* back from a copy, or run a round again"):
        promote(checkpoint=model, by=overseer, seen=None)
    assert not Promotion.objects.exists()


@pytest.mark.parametrize(
    ("name", "sentence"), [("adapter_config.json", "settings"), ("adapter_model.bin", "no round writes")]
)
def test_changed_settings_and_weights_that_run_code_are_refused(
    model: Checkpoint, own_var: Path, name: str, sentence: str
) -> None:
    (own_var / model.path / name).write_text("{ }")
    with pytest.raises(FilesChanged, match=sentence):
        registry.check_intact(model)


def test_weights_outside_the_folder_of_rounds_are_not_read(model: Checkpoint) -> None:
    for path in ("rounds/../../elsewhere", "/etc", "models/x"):
        with pytest.raises(FilesChanged, match="do not lie where rounds leave theirs"):
            registry.folder_of(Checkpoint(round=model.round, path=path))


def test_weights_on_another_machine_ask_for_a_word(model: Checkpoint, own_var: Path, overseer: User) -> None:
    (own_var / model.path / "adapter_model.safetensors").unlink()
    with pytest.raises(Refused, match="verify_models"):
        promote(checkpoint=model, by=overseer, seen=None)
    made = promote(checkpoint=model, by=overseer, seen=None, override=True, note="Verified on the gpu host.")
    assert made.overridden == ["files"]


@pytest.mark.django_db(transaction=True)
def test_two_overseers_promote_at_once_and_one_is_told(model: Checkpoint, other: Checkpoint, overseer: User) -> None:
    olaf = make_user("olaf", Role.OVERSEER)
    results = at_once(
        lambda: promote(checkpoint=model, by=overseer, seen=None), lambda: promote(checkpoint=other, by=olaf, seen=None)
    )
    told = next(result for result in results if isinstance(result, Refused))
    made = next(result for result in results if isinstance(result, Promotion))
    assert isinstance(told, MeanwhilePromoted)
    assert str(made.by) in str(told)
    assert list(Promotion.objects.all()) == [made]
    assert LedgerEntry.objects.filter(action="model promoted").count() == 1
    ledger.verify()


@pytest.mark.django_db(transaction=True)
def test_one_overseer_who_clicks_twice_promotes_once(model: Checkpoint, overseer: User) -> None:
    results = at_once(*[lambda: promote(checkpoint=model, by=overseer, seen=None)] * 2)
    assert sorted(type(result).__name__ for result in results) == ["Promotion", "Refused"]


def test_database_holds_one_chain_that_never_changes(model: Checkpoint, other: Checkpoint, overseer: User) -> None:
    first = promote(checkpoint=model, by=overseer, seen=None)
    promote(checkpoint=other, by=overseer, seen=first.pk)
    values = {"checkpoint": model, "by": overseer, "gates": [], "note": "x"}
    for changes, constraint in (
        ({}, "promotion_one_chain"),
        ({"replaces": first}, "replaces_id"),
        ({"restores": first}, "promotion_restores_by_replacing"),
    ):
        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Promotion.objects.create(**values, **changes)
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        Promotion.objects.update(note="Nobody said that.")
    with pytest.raises(DatabaseError, match="was not of checkpoint"), transaction.atomic():
        Promotion.objects.create(**{**values, "checkpoint": other}, replaces=first, restores=first)
    with pytest.raises(IntegrityError, match="says_why"), transaction.atomic():
        Promotion.objects.create(
            **{**values, "note": ""}, replaces=Promotion.objects.latest("pk"), overridden=["judge"]
        )


def test_weaknesses_are_said_from_stored_numbers(model: Checkpoint) -> None:
    said = " ".join(registry.weaknesses(registry.registered().get(pk=model.pk)))
    assert "Harmful requests answered: 40 of 100 (40 %, 35 to 45); the base model, 90 of 100" in said
    assert "one seed" in said
