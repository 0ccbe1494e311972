"""Two machines, one queue: what one has done of a round the other fetches, checks, and goes on from."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from amendments.models import Scenario
from constitution import ledger
from constitution.models import User, Version
from tests.training.conftest import make_plan
from tests.training.finished import make_judge_card, make_model, write_weights
from tests.training.test_runner import hold, run_once, run_to_the_end, wait_until
from training import actions, artefacts, bands, leases, promotion, registry, runner
from training import promotion_policies as policies
from training.artefact_records import SharedFiles
from training.artefacts import FileAltered, StoreUnreachable
from training.errors import LeaseLost
from training.models import Checkpoint, Round
from training.promotion_records import Clearance
from training.recipes.files import digest_file, read_json, write_json
from training.states import DONE, FAILED, QUEUED

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(300),
]

MoveTo = Callable[[str], Path]


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Any:
    """Where the files are: a folder that both machines see, and a store of objects, through the same code."""
    url = f"file://{tmp_path}/shared" if request.param == "file" else f"memory://{tmp_path.name}"
    settings.ARTEFACTS_URL = url
    yield fsspec.core.url_to_fs(url)
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def on_host(tmp_path: Path, settings: Settings) -> MoveTo:
    """From here on this is the machine of that name, whose files are its own."""

    def move(name: str) -> Path:
        settings.VAR = tmp_path / name
        settings.VAR.mkdir(exist_ok=True)
        return Path(settings.VAR)

    return move


def blobs(store: Any) -> list[str]:
    system, root = store
    return sorted(system.find(root))


# A round that moves


@pytest.fixture
def shared_folder(tmp_path: Path, settings: Settings) -> Path:
    settings.ARTEFACTS_URL = str(tmp_path / "shared")
    return tmp_path / "shared"


@pytest.mark.crash
def test_round_begun_on_one_machine_is_finished_on_another(
    queued_round: Round,
    tiny_model: Path,
    overseer: User,
    on_host: MoveTo,
    shared_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    tmp_path: Path,
) -> None:
    first = on_host("first")
    monkeypatch.setenv("ARTEFACTS_URL", settings.ARTEFACTS_URL)  # the killed one is a process of its own
    holder = hold(queued_round, tiny_model, first)
    folder = runner.folder_of(queued_round)
    wait_until(lambda: (folder / "sft" / "checkpoints").exists() or holder.poll() is not None)
    holder.kill()
    holder.wait()
    assert (folder / "label" / "done.json").exists(), "it had made its first half"
    made = {name: digest_file(folder / name) for name in ("generate/done.json", "label/pairs.jsonl")}
    shutil.move(first, tmp_path / "gone")

    on_host("second")
    Round.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert leases.reap() == 1
    round_ = run_to_the_end(tiny_model, overseer)
    assert round_.state == DONE, round_.error
    folder = runner.folder_of(round_)
    assert {name: digest_file(folder / name) for name in made} == made, "nothing was done twice"
    assert registry.check_intact(round_.checkpoint)
    assert round_.progress_offset == (folder / "progress.jsonl").stat().st_size
    shared = SharedFiles.objects.get(round=round_)
    assert shared.attempt == round_.attempt
    assert {Path(name).suffix for name in shared.files} == {".json", ".jsonl", ".safetensors"}
    assert not any("checkpoints" in name or "plan.json" in name for name in shared.files)
    ledger.verify()

    on_host("third")
    found = registry.check_intact(round_.checkpoint)
    assert found.is_relative_to(tmp_path / "third")


def test_machine_that_goes_on_with_its_own_work_keeps_what_it_never_shared(
    claimed_round: Round, store: Any, on_host: MoveTo
) -> None:
    on_host("only")
    folder = runner.folder_of(claimed_round)
    artefacts.take_over(claimed_round, folder)
    write_json(folder / "looks.json", {})
    artefacts.share(claimed_round, folder)
    checkpoint = folder / "sft" / "checkpoints" / "checkpoint-2" / "optimizer.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("This is not shared.")
    artefacts.share(claimed_round, folder)
    assert list(SharedFiles.objects.get().files) == ["looks.json"]
    leases.give_back(claimed_round)
    again = leases.claim(Round)
    assert again is not None
    artefacts.take_over(again, folder)
    assert checkpoint.exists()


def test_directory_of_an_earlier_attempt_makes_way(claimed_round: Round, store: Any, on_host: MoveTo) -> None:
    """It worked here, then there: what is here since then would not go with what was done there."""
    here = on_host("first")
    folder = runner.folder_of(claimed_round)
    artefacts.take_over(claimed_round, folder)
    write_json(folder / "generate" / "done.json", {"rows": 1})
    artefacts.share(claimed_round, folder)
    write_json(folder / "revise" / "done.json", {"rows": "never shared"})
    (folder / "log.txt").write_text("What was said here.")

    leases.give_back(claimed_round)
    on_host("second")
    other = leases.claim(Round)
    assert other is not None
    there = runner.folder_of(other)
    artefacts.take_over(other, there)
    assert read_json(there / "generate" / "done.json") == {"rows": 1}
    assert not (there / "revise").exists()
    write_json(there / "revise" / "done.json", {"rows": 2})
    artefacts.share(other, there)
    leases.give_back(other)

    assert on_host("first") == here
    again = leases.claim(Round)
    assert again is not None
    artefacts.take_over(again, folder)
    assert read_json(folder / "revise" / "done.json") == {"rows": 2}
    assert (folder / "log.txt").read_text() == "What was said here."
    with pytest.raises(LeaseLost):
        artefacts.share(other, there)


def test_progress_is_told_again_from_where_the_shared_file_ends(
    claimed_round: Round, store: Any, on_host: MoveTo
) -> None:
    on_host("first")
    folder = runner.folder_of(claimed_round)
    artefacts.take_over(claimed_round, folder)
    (folder / "progress.jsonl").write_text('{"kind": "progress"}\n{"kind": "prog')
    artefacts.share(claimed_round, folder)
    Round.objects.update(progress_offset=999)
    leases.give_back(claimed_round)
    on_host("second")
    other = leases.claim(Round)
    assert other is not None
    artefacts.take_over(other, runner.folder_of(other))
    assert (runner.folder_of(other) / "progress.jsonl").read_text() == '{"kind": "progress"}\n'
    other.refresh_from_db()
    assert other.progress_offset == len('{"kind": "progress"}\n')


def test_store_that_is_away_gives_the_round_back_and_says_so(
    queued_round: Round, tiny_model: Path, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    settings.ARTEFACTS_URL = f"file://{tmp_path}/file/below"
    claimed = leases.claim(Round)
    assert claimed is not None
    artefacts.take_over(claimed, runner.folder_of(claimed))
    write_json(runner.folder_of(claimed) / "looks.json", {})
    with pytest.raises(StoreUnreachable, match="cannot be used"):
        artefacts.share(claimed, runner.folder_of(claimed))
    leases.give_back(claimed)
    round_ = run_once(tiny_model)
    assert round_.state == QUEUED
    assert "ARTEFACTS_URL" in round_.error
    Round.objects.update(tries=runner.MOST_TRIES)
    assert run_once(tiny_model).state == FAILED


def test_kind_of_store_without_its_library_is_named(settings: Settings) -> None:
    settings.ARTEFACTS_URL = "gs://bucket/folder"
    with pytest.raises(StoreUnreachable, match="no library"), artefacts.opened():
        pass


# A model on a machine that never made it


@pytest.fixture
def model(second_version: Version, scenarios: list[Scenario], store: Any, on_host: MoveTo) -> Checkpoint:
    """Made and shared on a machine of its own; this one is another."""
    make_judge_card()
    on_host("first")
    row = make_model(second_version)
    share(row)
    on_host("second")
    return registry.registered().get(pk=row.pk)


def share(row: Checkpoint) -> None:
    """As its round does, whose row is long done: what is in its folder."""
    folder = runner.folder_of(row.round)
    files = {}
    with artefacts.opened() as opened:
        for file in sorted(folder.rglob("adapter/*")):
            digest = digest_file(file)
            opened.put(digest, file)
            files[file.relative_to(folder).as_posix()] = {"digest": digest, "size": file.stat().st_size}
    SharedFiles.objects.create(round=row.round, attempt=row.round.attempt, files=files)


def test_model_is_promoted_and_rolled_back_to_where_it_was_never_made(
    model: Checkpoint, store: Any, on_host: MoveTo, overseer: User, second_version: Version
) -> None:
    assert not registry.is_here(model)
    assert policies.files_at_a_glance(model).state == "passed"
    made = promotion.promote(checkpoint=model, by=overseer, seen=None)
    assert registry.is_here(model), "it was fetched to be read"
    on_host("first")
    other = make_model(second_version)
    share(other)
    on_host("third")
    then = promotion.promote(checkpoint=other, by=overseer, seen=made.pk)
    back = promotion.roll_back(checkpoint=model, by=overseer, seen=then.pk, note="The other one is worse.")
    assert back.restores == made
    call_command("verify_models")


def test_model_in_use_is_fetched_for_a_round_on_another_machine(
    model: Checkpoint, store: Any, on_host: MoveTo, overseer: User
) -> None:
    promotion.promote(checkpoint=model, by=overseer, seen=None)
    on_host("third")
    assert not registry.is_here(model)
    found = bands.last_promoted()
    assert found is not None
    assert found["adapter"] == str(registry.folder_of(model))
    assert registry.is_here(model)
    on_host("fourth")
    system, _ = store
    for blob in blobs(store):
        system.pipe_file(blob, b"something else")
    assert bands.last_promoted() is None
    assert not registry.is_here(model)


def test_model_that_was_altered_in_the_store_is_not_used(model: Checkpoint, store: Any, overseer: User) -> None:
    system, _ = store
    for blob in blobs(store):
        system.pipe_file(blob, b"something else")
    with pytest.raises(FileAltered, match="is not what was put there"):
        promotion.promote(checkpoint=model, by=overseer, seen=None)
    assert not registry.is_here(model)
    for blob in blobs(store):
        system.rm_file(blob)
    with pytest.raises(CommandError, match="1 of 1"):
        call_command("verify_models")
    assert not list(registry.folder_of(model).parent.glob(".fetching-*"))


def test_list_that_was_altered_brings_nothing_in(model: Checkpoint, tmp_path: Path) -> None:
    """Whoever writes the table still meets the digest that the round wrote down, and no other kind of file."""
    row = SharedFiles.objects.get()
    weights = row.files["dpo/adapter/adapter_model.safetensors"]
    for name in ("dpo/adapter/run.bin", "dpo/adapter/../../../../escaped.json"):
        SharedFiles.objects.update(files={**row.files, name: weights})
        with pytest.raises(FileAltered, match="no round shares"):
            registry.check_intact(model)
    settings_ = row.files["dpo/adapter/adapter_config.json"]
    SharedFiles.objects.update(files={**row.files, "dpo/adapter/adapter_model.safetensors": settings_})
    with pytest.raises(registry.FilesChanged, match="are not what the round left"):
        registry.check_intact(model)
    assert not list(tmp_path.rglob("escaped.json"))


def test_removed_weights_leave_the_store_but_for_what_another_round_has(
    model: Checkpoint, store: Any, on_host: MoveTo, second_version: Version
) -> None:
    on_host("first")
    newer = make_model(second_version)
    share(newer)
    before = blobs(store)
    on_host("second")
    call_command("prune_models", "--keep", "1")
    gone = set(before) - set(blobs(store))
    assert gone
    assert registry.is_within_reach(newer)
    with pytest.raises(registry.FilesGone, match="removed to make room"):
        registry.check_intact(Checkpoint.objects.get(pk=model.pk))
    call_command("prune_models", "--keep", "1")
    on_host("third")
    assert registry.check_intact(newer)


def test_weights_of_an_aborted_round_leave_the_store(
    model: Checkpoint, store: Any, on_host: MoveTo, second_version: Version, operator: User
) -> None:
    on_host("first")
    actions.open_round(version=second_version, plan=make_plan(second_version))
    claimed = leases.claim(Round)
    assert claimed is not None
    folder = runner.folder_of(claimed)
    artefacts.take_over(claimed, folder)
    write_weights(folder / "sft" / "adapter", "half a model")
    (folder / "dpo").mkdir()
    shutil.copytree(registry.folder_of(model), folder / "dpo" / "adapter")  # as another round has it
    write_json(folder / "looks.json", {})
    before = blobs(store)
    artefacts.share(claimed, folder)
    actions.abort(round_=claimed, by=operator, note="Not needed.")
    Round.objects.filter(pk=claimed.pk).update(finished_at=timezone.now() - timedelta(hours=1))
    on_host("second")
    call_command("prune_models", "--keep", "1")
    files = SharedFiles.objects.get(round=claimed).files
    assert files.keys() == {"looks.json", "sft/adapter/adapter_config.json", "dpo/adapter/adapter_config.json"}
    assert len(set(blobs(store)) - set(before)) == 1, "its looks; both settings are the model's, too"
    assert Clearance.objects.get().size == len("half a model") + model_bytes(model)
    on_host("third")
    assert registry.check_intact(model)
    on_host("first")
    call_command("prune_models", "--keep", "1")
    assert not (folder / "sft" / "adapter").exists()


def model_bytes(model: Checkpoint) -> int:
    return sum(file["size"] for name, file in artefacts.of_model(model).items() if name.endswith(artefacts.WEIGHTS))


def test_nothing_is_shared_where_no_store_is_named(claimed_round: Round, settings: Settings) -> None:
    assert settings.ARTEFACTS_URL == ""
    folder = runner.folder_of(claimed_round)
    artefacts.take_over(claimed_round, folder)
    artefacts.share(claimed_round, folder)
    assert not folder.exists()
    assert not SharedFiles.objects.exists()
