"""Making room on the disk, and looking whether what is there is what rounds left."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.utils import DatabaseError

from amendments.models import Scenario
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, User, Version
from tests.races import at_once
from tests.training.finished import make_judge_card, make_model
from training import promotion, registry, retention, runner
from training.models import Checkpoint
from training.promotion_records import Promotion, Removal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scenarios")]


@pytest.fixture
def models(second_version: Version, scenarios: list[Scenario]) -> list[Checkpoint]:
    """Four, oldest first."""
    make_judge_card()
    return [make_model(second_version) for _ in range(4)]


def here(models: list[Checkpoint]) -> list[bool]:
    return [registry.is_here(model) for model in models]


def test_prune_keeps_what_was_promoted_and_the_newest(
    models: list[Checkpoint], overseer: User, operator: User, capsys: pytest.CaptureFixture[str]
) -> None:
    promotion.promote(checkpoint=models[0], by=overseer, seen=None)
    call_command("prune_models", "--keep", "2", "--dry-run")
    assert "would be freed" in capsys.readouterr().out
    assert here(models) == [True] * 4
    assert not Removal.objects.exists()
    call_command("prune_models", "--keep", "2", "--by", "otto")
    assert here(models) == [True, False, True, True]
    gone = Removal.objects.get()
    assert (gone.checkpoint, gone.by) == (models[1], str(operator))
    assert gone.size > 0
    folder = runner.folder_of(models[1].round)
    assert [place.name for place in sorted(folder.iterdir())] == ["dpo", "sft"]
    assert not (folder / "sft" / "adapter").exists()
    assert LedgerEntry.objects.get(action="model files removed").subject == f"model:{models[1].pk}"
    with pytest.raises(registry.FilesGone, match="removed to make room"):
        registry.check_intact(Checkpoint.objects.get(pk=models[1].pk))
    call_command("prune_models", "--keep", "2")
    assert Removal.objects.count() == 1
    ledger.verify()


def test_newest_is_never_removed(models: list[Checkpoint]) -> None:
    with pytest.raises(CommandError, match="at least one"):
        call_command("prune_models", "--keep", "0")
    call_command("prune_models", "--keep", "1")
    assert here(models) == [False, False, False, True]


def test_only_operators_remove_in_their_name(models: list[Checkpoint], reviewer: User) -> None:
    with pytest.raises(NotAllowed):
        retention.remove(room=retention.rooms(keep=1)[-1], by=reviewer)
    with pytest.raises(CommandError, match="matching query"):
        call_command("prune_models", "--keep", "1", "--by", "nobody")
    assert here(models) == [True] * 4


def test_a_kill_between_the_record_and_the_files_loses_nothing(models: list[Checkpoint]) -> None:
    retention.remove(room=retention.rooms(keep=1)[-1])
    assert registry.is_here(models[0])
    call_command("prune_models", "--keep", "3")
    assert here(models) == [False, True, True, True]


def test_weights_on_another_machine_are_left_alone(models: list[Checkpoint], own_var: Path) -> None:
    (own_var / models[0].path / "adapter_model.safetensors").unlink()
    call_command("prune_models", "--keep", "3")
    assert not Removal.objects.exists()


def test_a_link_is_not_followed(models: list[Checkpoint], tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere" / "file.txt"
    precious.parent.mkdir()
    precious.write_text("precious")
    (runner.folder_of(models[0].round) / "sft" / "checkpoints").symlink_to(precious.parent)
    call_command("prune_models", "--keep", "1")
    assert precious.read_text() == "precious"


@pytest.mark.django_db(transaction=True)
def test_promotion_and_removal_at_once_come_to_one_of_both(models: list[Checkpoint], overseer: User) -> None:
    room = retention.rooms(keep=3)[-1]
    at_once(
        lambda: promotion.promote(checkpoint=models[0], by=overseer, seen=None), lambda: retention.remove(room=room)
    )
    assert Promotion.objects.count() + Removal.objects.count() == 1


def test_database_keeps_promoted_weights_and_promotes_no_removed_ones(models: list[Checkpoint], overseer: User) -> None:
    promotion.promote(checkpoint=models[0], by=overseer, seen=None)
    with pytest.raises(DatabaseError, match="was promoted, so it is kept"), transaction.atomic():
        Removal.objects.create(checkpoint=models[0], size=1, by="somebody")
    Removal.objects.create(checkpoint=models[1], size=1, by="somebody")
    with pytest.raises(DatabaseError, match="were removed"), transaction.atomic():
        Promotion.objects.create(checkpoint=models[1], replaces=Promotion.objects.get(), by=overseer, gates=[])
    current = Promotion.objects.get()
    with pytest.raises(Refused, match="removed to make room"):
        promotion.promote(checkpoint=models[1], by=overseer, seen=current.pk, override=True, note="x")


def test_verify_models_names_each_that_was_changed(
    models: list[Checkpoint], own_var: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("verify_models")
    assert "4 models, all as their rounds left them." in capsys.readouterr().out
    (own_var / models[1].path / "adapter_model.safetensors").write_text("other")
    with pytest.raises(CommandError, match="1 of 4"):
        call_command("verify_models")
    assert f"Model {models[1].pk}: The weights of the model of round" in capsys.readouterr().err
