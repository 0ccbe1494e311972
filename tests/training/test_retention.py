"""Making room on the disk, and looking whether what is there is what rounds left."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.utils import DatabaseError
from django.utils import timezone
from pytest_django import Settings

from amendments.models import Scenario
from config.celery import app
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, User, Version
from tests.races import at_once
from tests.training.conftest import make_plan
from tests.training.finished import PAUSE, make_judge_card, make_model
from training import actions, artefacts, coordinator, leases, promotion, registry, retention, runner, tasks
from training.models import Checkpoint, Round
from training.promotion_records import Clearance, Promotion, Removal
from training.scheduling_records import DiskUse
from training.states import FAILED, PAUSED, QUEUED, RUNNING

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


@pytest.fixture
def aborted(second_version: Version, scenarios: list[Scenario], operator: User) -> Round:
    """An aborted round with all that is large, and what is not, an hour after."""
    round_ = actions.open_round(version=second_version, plan=make_plan(second_version))
    leave_files(round_)
    actions.abort(round_=round_, by=operator, note="Not needed.")
    Round.objects.filter(pk=round_.pk).update(finished_at=timezone.now() - timedelta(hours=1))
    return Round.objects.get(pk=round_.pk)


def leave_files(round_: Round) -> Path:
    """What a round that got as far as DPO has on the disk."""
    folder = runner.folder_of(round_)
    for name in (*retention.WEIGHTS, *retention.SAVED):
        (folder / name / "deeper").mkdir(parents=True)
        (folder / name / "deeper" / "large.bin").write_bytes(bytes(100))
    (folder / "log.txt").write_text("What it said.")
    (folder / "sft" / "done.json").write_text("{}")
    return folder


def files(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_aborted_round_leaves_its_records_alone(
    aborted: Round, operator: User, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = runner.folder_of(aborted)
    before = files(folder)
    call_command("prune_models", "--keep", "1", "--dry-run")
    assert f"Round {aborted.pk}, aborted, 600\xa0bytes: goes\n600\xa0bytes would be freed." in capsys.readouterr().out
    assert files(folder) == before
    assert not Clearance.objects.exists()
    call_command("prune_models", "--keep", "1", "--by", "otto")
    assert files(folder) == {"log.txt", "sft/done.json"}
    assert (Clearance.objects.get().size, Clearance.objects.get().by) == (600, str(operator))
    entry = LedgerEntry.objects.get(action="round files removed")
    assert (entry.subject, entry.actor, entry.detail) == (f"round:{aborted.pk}", operator, {"bytes": 600})
    call_command("prune_models", "--keep", "1")
    assert LedgerEntry.objects.filter(action="round files removed").count() == 1
    assert "Round" not in capsys.readouterr().out.partition("freed.")[2]
    ledger.verify()


def test_kill_between_the_record_and_the_files_of_an_aborted_round_loses_nothing(aborted: Round) -> None:
    retention.clear(left=retention.leftovers()[0])
    assert (runner.folder_of(aborted) / "sft" / "adapter").exists()
    call_command("prune_models", "--keep", "1")
    assert files(runner.folder_of(aborted)) == {"log.txt", "sft/done.json"}
    retention.clear(left=retention.Left(aborted, 600))
    assert Clearance.objects.count() == 1


def test_aborted_round_whose_worker_may_still_be_at_it_is_left_alone(aborted: Round) -> None:
    Round.objects.filter(pk=aborted.pk).update(finished_at=timezone.now())
    before = files(runner.folder_of(aborted))
    call_command("prune_models", "--keep", "1")
    assert files(runner.folder_of(aborted)) == before


@pytest.mark.parametrize("state", [QUEUED, RUNNING, PAUSED, FAILED])
def test_round_that_may_go_on_loses_nothing(second_version: Version, state: str) -> None:
    round_ = actions.open_round(version=second_version, plan=make_plan(second_version))
    before = files(leave_files(round_))
    if state != QUEUED:
        claimed = leases.claim(Round)
        assert claimed is not None
        if state == PAUSED:
            actions.pause(round_=claimed, pause=PAUSE)
        elif state == FAILED:
            actions.fail(job=claimed, error="Out of memory.")
            Round.objects.filter(pk=round_.pk).update(finished_at=timezone.now() - timedelta(days=9))
    assert Round.objects.get().state == state
    call_command("prune_models", "--keep", "1")
    assert files(runner.folder_of(round_)) == before
    with pytest.raises(DatabaseError, match="was not aborted"), transaction.atomic():
        Clearance.objects.create(round=round_, size=1, by="somebody")


def test_only_operators_clear_in_their_name(aborted: Round, reviewer: User) -> None:
    with pytest.raises(NotAllowed):
        retention.clear(left=retention.leftovers()[0], by=reviewer)
    assert not Clearance.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_who_clear_at_once_write_it_down_once(aborted: Round) -> None:
    left = retention.leftovers()[0]
    at_once(lambda: retention.clear(left=left), lambda: retention.clear(left=left))
    assert Clearance.objects.count() == LedgerEntry.objects.filter(action="round files removed").count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_who_remove_at_once_write_it_down_once(models: list[Checkpoint]) -> None:
    room = retention.rooms(keep=3)[-1]
    at_once(lambda: retention.remove(room=room), lambda: retention.remove(room=room))
    assert Removal.objects.count() == LedgerEntry.objects.filter(action="model files removed").count() == 1


def test_link_in_an_aborted_round_is_not_followed(aborted: Round, tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere" / "file.txt"
    precious.parent.mkdir()
    precious.write_text("precious")
    adapter = runner.folder_of(aborted) / "sft" / "adapter"
    (adapter / "link").symlink_to(precious.parent)
    call_command("prune_models", "--keep", "1")
    assert not adapter.exists()
    assert precious.read_text() == "precious"


def test_what_training_saved_on_the_way_goes_of_every_finished_round(
    models: list[Checkpoint], overseer: User, capsys: pytest.CaptureFixture[str]
) -> None:
    promotion.promote(checkpoint=models[0], by=overseer, seen=None)
    for model in models:
        state = runner.folder_of(model.round) / "sft" / "checkpoints" / "checkpoint-2"
        state.mkdir(parents=True)
        (state / "optimizer.pt").write_bytes(bytes(50))
    call_command("prune_models", "--keep", "4", "--dry-run")
    said = capsys.readouterr().out
    assert said.count("what training saved on the way, 50\xa0bytes: goes") == 4
    assert "200\xa0bytes would be freed." in said
    call_command("prune_models", "--keep", "4")
    assert here(models) == [True] * 4
    assert not any((runner.folder_of(model.round) / "sft" / "checkpoints").exists() for model in models)
    assert all(registry.check_intact(model) for model in models)


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


# What is taken of the disk, and pruning by itself


def test_disk_use_is_split_into_what_stays_and_what_could_go(
    models: list[Checkpoint], aborted: Round, overseer: User, own_var: Path
) -> None:
    promotion.promote(checkpoint=models[0], by=overseer, seen=None)
    (runner.folder_of(models[3].round) / "sft" / "checkpoints").mkdir()
    (runner.folder_of(models[3].round) / "sft" / "checkpoints" / "optimizer.pt").write_bytes(bytes(50))
    (own_var / "rounds" / "loop").symlink_to(own_var)
    model = retention.size_of(models[0].round, retention.WEIGHTS)
    folders = [runner.folder_of(round_) for round_ in Round.objects.order_by("pk")]
    total = sum(retention.size_below(folder) for folder in folders)
    found = retention.measure()
    assert (found.keep, found.kept, found.could_go, found.aborted) == (5, 4 * model, 50, 600)
    assert found.kept + found.could_go + found.aborted + found.other >= total
    assert found.free > 0
    assert found.other > 0


def test_disk_use_is_measured_as_pruning_goes_by_it(models: list[Checkpoint], settings: Settings) -> None:
    settings.KEEP_MODELS = 3
    assert retention.measure().could_go == retention.size_of(models[0].round, retention.WEIGHTS) > 0
    call_command("prune_models", "--keep", "3")
    assert (DiskUse.objects.get().could_go, DiskUse.objects.get().keep) == (0, 3)


def test_weights_in_the_store_alone_take_no_room_here(
    models: list[Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefacts, "weights_of", lambda *_: {"a": {"size": 10**9}})
    shutil.rmtree(runner.folder_of(models[0].round) / "dpo")
    shutil.rmtree(runner.folder_of(models[0].round) / "sft")
    monkeypatch.setattr(registry, "is_within_reach", lambda _: True)
    assert retention.measure().kept < 10**6


def test_nothing_goes_by_itself_unless_it_is_said_so(models: list[Checkpoint], aborted: Round) -> None:
    tasks.prune()
    assert here(models) == [True] * 4
    assert DiskUse.objects.get().aborted == 600
    assert not LedgerEntry.objects.filter(action__contains="removed").exists()


def test_scheduled_pruning_follows_the_same_rules(
    models: list[Checkpoint], aborted: Round, overseer: User, settings: Settings
) -> None:
    promotion.promote(checkpoint=models[0], by=overseer, seen=None)
    settings.KEEP_MODELS = 1
    tasks.prune()
    tasks.prune()
    assert here(models) == [True, False, False, True]
    said = LedgerEntry.objects.filter(action__in=("model files removed", "round files removed")).order_by("number")
    assert [entry.actor_name for entry in said] == [retention.PROCESS] * 3
    assert DiskUse.objects.get().aborted == 0
    beat = app.conf.beat_schedule["prune"]
    assert (beat["task"], beat["options"]["queue"]) == (tasks.prune.name, "gpu")
    assert beat["schedule"] == timedelta(days=1).total_seconds()


@pytest.mark.parametrize("keep", [-1, 1])
def test_what_hinders_pruning_stops_no_worker(
    models: list[Checkpoint], settings: Settings, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    settings.KEEP_MODELS = keep
    monkeypatch.setattr(retention, "sweep", full)
    tasks.prune()
    assert here(models) == [True] * 4


def test_worker_keeps_house_after_a_round(
    models: list[Checkpoint], queued_round: Round, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.KEEP_MODELS = 1
    monkeypatch.setattr(runner, "run", lambda *_, **__: None)
    monkeypatch.setattr(coordinator, "has_room", lambda: True)
    assert tasks.work_once()
    assert here(models) == [False, False, False, True]
    assert DiskUse.objects.exists()
