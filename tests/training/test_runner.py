"""Rounds through the real recipes, with a tiny model, and what becomes of them when somebody kills them."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.db import connection
from django.utils import timezone

from config import env
from constitution import ledger
from constitution.models import LedgerEntry, User
from training import actions, leases, runner
from training.models import Evaluation, Look, Round, RoundPoint, Transcript
from training.recipes.files import read_json
from training.recipes.plan import STAGES
from training.states import DONE, FAILED, PAUSED, QUEUED, RUNNING

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(300),
]

MOST_STARTS = 12
HOLDER = """
import sys
from pathlib import Path
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
settings.VAR = Path(sys.argv[2])
import django
django.setup()
from training import leases, runner
from training.models import Round
runner.run(leases.claim(Round), model=lambda: sys.argv[3], stop_asked=lambda: False)
"""


def never() -> bool:
    return False


def run_once(model: Path, *, stop_asked: Callable[[], bool] = never) -> Round:
    """Claim the round and work on it as the gpu worker does."""
    claimed = leases.claim(Round)
    assert claimed is not None
    runner.run(claimed, model=lambda: str(model), stop_asked=stop_asked)
    claimed.refresh_from_db()
    return claimed


def run_to_the_end(model: Path, overseer: User) -> Round:
    for _ in range(MOST_STARTS):
        round_ = run_once(model)
        if round_.state == PAUSED:
            actions.resume(round_=round_, by=overseer, note="Expected with a model this small.")
        elif round_.state != QUEUED:
            return round_
    pytest.fail("the round came to no end")


@contextmanager
def killer(find: Callable[[], psutil.Process | None]) -> Iterator[list[int]]:
    """Kill what `find` finds, once, from another thread; yields the list of what was killed."""
    killed: list[int] = []
    stop = threading.Event()

    def hunt() -> None:
        while not stop.wait(0.01):
            if process := find():
                killed.append(process.pid)
                process.kill()
                return

    thread = threading.Thread(target=hunt)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def stage_process(folder: Path, stage: str, *, after: str) -> psutil.Process | None:
    """The running process of a stage, once the file `after` is there."""
    if not (folder / after).exists():
        return None
    for child in psutil.Process().children(recursive=True):
        try:
            if f"training.recipes.{stage}" in child.cmdline():
                return child
        except psutil.Error:
            continue
    return None


def hold(round_: Round, model: Path, var: Path) -> subprocess.Popen[bytes]:
    """Another process that claims the round and works on it."""
    database = str(connection.settings_dict["NAME"])
    command = [sys.executable, "-c", HOLDER, database, str(var), str(model)]
    return subprocess.Popen(command, cwd=env.BASE, env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"})


def wait_until(is_true: Callable[[], bool], *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def test_round_survives_the_killing_of_recipe_and_holder_and_brings_one_result(
    queued_round: Round, tiny_model: Path, overseer: User, own_var: Path
) -> None:
    folder = runner.folder_of(queued_round)

    with killer(lambda: stage_process(folder, "generate", after="plan.json")) as killed:
        round_ = run_once(tiny_model)
    assert killed
    assert round_.state == QUEUED, "a killed recipe is no fault of its own"
    assert "memory" in round_.error, "which is what a system without memory does"

    holder = hold(queued_round, tiny_model, own_var)
    wait_until(lambda: (folder / "revise" / "done.json").exists() or holder.poll() is not None)
    recipes = psutil.Process(holder.pid).children(recursive=True)
    holder.kill()
    holder.wait()
    _, alive = psutil.wait_procs(recipes, timeout=30)
    assert not alive, "a killed holder takes its recipe with it"
    assert Round.objects.get().state == RUNNING
    Round.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert leases.reap() == 1

    check_result(run_to_the_end(tiny_model, overseer), own_var)


def check_result(round_: Round, var: Path) -> None:
    assert round_.state == DONE, round_.error
    assert (round_.stage, round_.step) == ("evaluate", round_.total)
    assert round_.attempt >= 3
    rates = {(rate.measure, rate.arm) for rate in Evaluation.objects.filter(round=round_)}
    measures, arms = ("harmful_answered", "benign_refused"), ("reference", "trained")
    assert rates == {(measure, arm) for measure in measures for arm in arms}
    assert set(RoundPoint.objects.filter(series="loss").values_list("stage", flat=True)) == {"sft", "dpo"}
    assert Look.objects.filter(round=round_, group="harmful").exists()
    assert Transcript.objects.filter(round=round_).count() == len(round_.plan["held_out"])
    weights = var / round_.checkpoint.path
    assert round_.checkpoint.digest == read_json(weights.parent / "done.json")["adapter"]
    assert not list(runner.folder_of(round_).glob("*/checkpoints")), "nothing goes on from there any more"
    assert [card["stage"] for card in round_.data_card] == ["generate", "revise", "label", "sft", "dpo"]
    assert all(sum(row["kept"] for row in card["rows"]) == card["kept"] > 0 for card in round_.data_card[3:])
    assert round_.result is not None
    assert set(round_.result["seconds"]) == set(STAGES)
    said = list(LedgerEntry.objects.filter(subject=f"round:{round_.pk}").order_by("number"))
    assert (said[0].action, said[-1].action) == ("round opened", "round finished")
    assert {entry.action for entry in said[1:-1]} <= {"round paused", "round resumed"}
    ledger.verify()


def test_stage_that_fails_fails_the_round_with_its_last_words(
    queued_round: Round, tmp_path: Path, operator: User
) -> None:
    round_ = run_once(tmp_path / "no-model")
    assert round_.state == FAILED
    assert "generate" in round_.error
    assert LedgerEntry.objects.filter(action="round failed").exists()
    actions.retry(round_=round_, by=operator, note="The model is there now.")
    round_.refresh_from_db()
    assert (round_.state, round_.tries) == (QUEUED, 0)


def test_stop_that_was_asked_for_gives_the_round_back(queued_round: Round, tiny_model: Path) -> None:
    claimed = leases.claim(Round)
    assert claimed is not None
    runner.run(claimed, model=lambda: str(tiny_model), stop_asked=lambda: True)
    claimed.refresh_from_db()
    assert (claimed.state, claimed.tries) == (QUEUED, 0)
    assert psutil.Process().children() == []


def test_lost_lease_ends_the_stage(queued_round: Round, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=0.6))
    claimed = leases.claim(Round)
    assert claimed is not None
    stolen = threading.Timer(1.5, _steal)
    stolen.start()
    runner.run(claimed, model=lambda: str(tiny_model), stop_asked=never)
    stolen.join()
    claimed.refresh_from_db()
    assert (claimed.state, claimed.attempt) == (QUEUED, 1)
    assert psutil.Process().children() == []


def _steal() -> None:
    Round.objects.update(state=QUEUED, lease_until=None)
    connection.close()


def test_round_whose_worker_dies_every_time_fails(queued_round: Round, tiny_model: Path) -> None:
    Round.objects.update(tries=runner.MOST_TRIES)
    round_ = run_once(tiny_model)
    assert round_.state == FAILED
    assert "never came to its end" in round_.error


FAULTS = """
import errno, os, resource
from pathlib import Path
here = Path(__file__).parent
def fsync(descriptor, really=os.fsync):
    if (here / "disk").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    really(descriptor)
os.fsync = fsync
if (here / "memory").exists():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
"""


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder: while the file `disk` lies there, stages find the disk full, and with `memory`, too little of that."""
    folder = tmp_path / "faults"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(FAULTS)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def test_full_disk_gives_the_round_back_and_says_what_to_do(
    queued_round: Round, tiny_model: Path, fault: Path, own_var: Path
) -> None:
    (fault / "disk").touch()
    round_ = run_once(tiny_model)
    assert (round_.state, round_.tries) == (QUEUED, 1)
    assert round_.error.startswith("The disk is full")
    assert "Traceback" not in round_.error
    Round.objects.update(tries=runner.MOST_TRIES)
    round_ = run_once(tiny_model)
    assert round_.state == FAILED, "a disk that stays full is not tried for ever"
    assert "The disk is full" in round_.error
    ledger.verify()


def test_disk_that_was_full_is_not_blamed_for_what_fails_later(
    queued_round: Round, tiny_model: Path, fault: Path
) -> None:
    (fault / "disk").touch()
    assert run_once(tiny_model).state == QUEUED
    (fault / "disk").unlink()
    (fault / "memory").touch()
    round_ = run_once(tiny_model)
    assert round_.state == FAILED
    assert "disk is full" not in round_.error
    assert "No space left" not in round_.error


@pytest.fixture
def small_disk(own_var: Path) -> Iterator[Callable[[Path], None]]:
    """Mount a disk of 64 KiB at a folder; calling it again, or the end of the test, takes it away."""
    mounted: list[Path] = []

    def toggle(folder: Path) -> None:
        if folder in mounted:
            subprocess.run(["umount", folder], check=True)
            mounted.remove(folder)
            return
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("Mounting a small disk is not allowed here.")
        mounted.append(folder)

    yield toggle
    for folder in mounted:
        toggle(folder)


def test_disk_that_is_full_in_the_midst_of_training_costs_nothing_but_time(
    queued_round: Round, tiny_model: Path, overseer: User, own_var: Path, small_disk: Callable[[Path], None]
) -> None:
    checkpoints = runner.folder_of(queued_round) / "sft" / "checkpoints"
    small_disk(checkpoints)
    round_ = run_once(tiny_model)
    while round_.state == PAUSED:
        actions.resume(round_=round_, by=overseer, note="Expected with a model this small.")
        round_ = run_once(tiny_model)
    assert (round_.state, round_.stage) == (QUEUED, "sft"), round_.error
    assert round_.error.startswith("The disk is full")
    small_disk(checkpoints)
    done = checkpoints.with_name("done.json")
    for _ in range(MOST_STARTS):
        if run_once(tiny_model, stop_asked=done.exists).state == PAUSED:
            actions.resume(round_=round_, by=overseer, note="Expected with a model this small.")
        if done.exists():
            return
    pytest.fail("the stage came to no end")


def test_stage_without_memory_fails_the_round_which_can_be_tried_again(
    queued_round: Round, tiny_model: Path, fault: Path, operator: User
) -> None:
    (fault / "memory").touch()
    round_ = run_once(tiny_model)
    assert round_.state == FAILED
    assert round_.error
    assert not (runner.folder_of(round_) / "generate" / "done.json").exists()
    actions.retry(round_=round_, by=operator, note="It has more memory now.")
    round_.refresh_from_db()
    assert (round_.state, round_.tries) == (QUEUED, 0)


def test_acknowledged_looks_add_up(tmp_path: Path) -> None:
    runner.acknowledge(tmp_path, 10)
    runner.acknowledge(tmp_path, 5)
    assert read_json(tmp_path / "acknowledged.json") == {"looks": [5, 10]}
