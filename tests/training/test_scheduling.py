"""What runs first, what waits for room, how several changes share a round, and how long it still takes."""

import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from amendments.models import Scenario
from constitution.actions import publish
from constitution.models import LedgerEntry, User, Version
from constitution.texts import ClauseText
from tests.training.conftest import make_plan
from training import actions, coordinator, leases, pace, room, runner, tasks
from training.alert_records import Alert, AlertKind
from training.models import PreviewRun, Round, SurfacingRun
from training.scheduling_records import Hold, Pace
from training.states import ABORTED, QUEUED, RUNNING

pytestmark = pytest.mark.django_db


def publish_next(by: User) -> Version:
    head = Version.objects.head()
    assert head is not None
    texts = [ClauseText.model_validate({**text.model_dump(), "text": f"{text.text} More."}) for text in head.texts()]
    return publish(base=head, clauses=texts, title=head.title, summary="More.", by=by)


def test_round_that_was_begun_goes_before_one_that_was_not(queued_round: Round, reviewer: User, overseer: User) -> None:
    newer = actions.open_round(version=publish_next(reviewer), plan=make_plan(queued_round.version))
    first = leases.claim(Round)
    assert first == queued_round
    actions.pause(round_=first, pause={"stage": "sft", "step": 1, "reason": "x", "evidence": []})
    oldest = actions.open_round(version=Version.objects.get(number=1), plan=make_plan(queued_round.version))
    actions.resume(round_=first, by=overseer, note="Go on.")
    assert [leases.claim(Round) for _ in range(3)] == [first, newer, oldest]


def test_round_goes_before_everything(queued_round: Round, surfacing: SurfacingRun) -> None:
    assert coordinator.is_round_waiting()
    assert leases.in_order(PreviewRun, SurfacingRun) == [SurfacingRun]
    assert leases.in_order(Round, PreviewRun, SurfacingRun) == [Round, SurfacingRun]


# Several changes, one round


def test_changes_while_a_round_runs_share_the_next_one_which_says_so(
    claimed_round: Round, reviewer: User, operator: User
) -> None:
    third, fourth, newest = (publish_next(reviewer) for _ in range(3))
    coordinator.tick()
    assert Round.objects.count() == 1, "one round at a time is enough"

    actions.abort(round_=claimed_round, by=operator, note="Not needed any more.")
    coordinator.tick()

    opened = Round.objects.get(version=newest)
    # What was aborted trained nothing, so its version is covered as well.
    covered = [claimed_round.version, third, fourth]
    assert coordinator.covered_by(opened.version) == covered
    entry = LedgerEntry.objects.get(action="round opened", subject=f"round:{opened.pk}")
    assert entry.detail["covers"] == [version.number for version in covered]
    coordinator.tick()
    assert Round.objects.count() == 2


def test_changes_that_never_stop_do_not_put_the_round_off_for_ever(
    second_version: Version, scenarios: list[Scenario], reviewer: User, settings: Settings
) -> None:
    publish_next(reviewer)
    settings.ROUND_DEBOUNCE = 3600
    coordinator.tick()
    assert not Round.objects.exists()
    head = Version.objects.head()
    assert head is not None
    waited = timedelta(seconds=coordinator.MOST_DEBOUNCES * 3600)
    second_version.published_at -= waited
    assert not coordinator._is_left_alone(head, [second_version])


# Room


def test_round_without_room_is_not_started_says_so_and_starts_by_itself(
    client: Client, queued_round: Round, operator: User, settings: Settings
) -> None:
    settings.FREE_DISK_MB = 10**9
    assert not tasks.work_once()
    assert not tasks.work_once()
    queued_round.refresh_from_db()
    assert (queued_round.state, queued_round.attempt) == (QUEUED, 0)
    assert coordinator.hold().startswith("Only ")
    assert "of disk are free" in coordinator.hold()
    assert list(Alert.objects.values_list("kind", flat=True)) == [AlertKind.HELD]

    settings.FREE_DISK_MB = 1
    assert coordinator.has_room()
    assert coordinator.hold() == ""
    assert leases.claim(Round) == queued_round


def test_too_little_memory_is_said_in_words(settings: Settings) -> None:
    settings.FREE_DISK_MB, settings.FREE_MEMORY_MB = 0, 10**9
    assert "of memory are free" in room.lacking()
    settings.FREE_MEMORY_MB = 0
    assert room.lacking() == ""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Callable[[str], Path]:
    """Puts a driver's program in the way that says this much; returns where it writes what it was asked."""
    settings.FREE_DISK_MB = settings.FREE_MEMORY_MB = 0
    settings.ENGINE_DEVICE = "auto"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def says(script: str) -> Path:
        program = tmp_path / "nvidia-smi"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{script}\n')
        program.chmod(0o755)
        return tmp_path / "asked"

    return says


def test_too_little_memory_of_a_gpu_is_said_in_words(
    driver: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.FREE_GPU_MEMORY_MB = 4000
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    asked = driver("printf '70000\\n3000\\n'")
    assert room.lacking().startswith("Only 3.1 GB of the GPU's memory are free")
    assert "--id 1,2" in asked.read_text(), "only those that it may use"
    settings.FREE_GPU_MEMORY_MB = 1000
    assert room.lacking() == ""
    settings.FREE_GPU_MEMORY_MB, settings.ENGINE_DEVICE = 10**6, "cpu"
    assert room.lacking() == "", "who computes on the processor needs none"


@pytest.mark.parametrize("script", ["exit 9", "echo no devices were found", "echo"])
def test_gpu_driver_that_says_nothing_of_use_hinders_nothing(
    driver: Callable[[str], Path], settings: Settings, script: str
) -> None:
    settings.FREE_GPU_MEMORY_MB = 10**6
    driver(script)
    assert room.lacking() == ""


def test_hold_of_a_machine_that_is_gone_is_nothing_to_go_by(settings: Settings) -> None:
    settings.FREE_DISK_MB = 10**9
    assert not coordinator.has_room()
    Hold.objects.update(checked_at=timezone.now() - coordinator.HOLD_LASTS)
    assert coordinator.hold() == ""


def test_free_memory_is_that_of_the_container_where_it_has_less(tmp_path: Path) -> None:
    machine = tmp_path / "meminfo"
    machine.write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    assert room.free_memory(machine, tmp_path) == 2048 * 1024
    for name, text in (("memory.max", "1000\n"), ("memory.current", "900\n"), ("memory.stat", "inactive_file 50\n")):
        (tmp_path / name).write_text(text)
    assert room.free_memory(machine, tmp_path) == 150
    assert room.free_memory(tmp_path / "none", tmp_path / "none") is None


def test_one_worker_at_a_time_has_the_device() -> None:
    with room.device() as first, room.device() as second:
        assert (first, second) == (True, False)
    with room.device() as later:
        assert later


# Time left


def paced(round_: Round, *, stage: str, step: int, total: int, per_step: float, of: int) -> Round:
    """As if the stage had been heard of `of` times, each after `per_step` seconds."""
    round_.stage, round_.step, round_.total = stage, step, total
    round_.save(update_fields=["stage", "step", "total"])
    now = timezone.now()
    Pace.objects.create(
        round=round_, stage=stage, attempt=round_.attempt, first_step=step - of, step=step, at=now,
        first_at=now - timedelta(seconds=of * per_step),
    )  # fmt: skip
    return round_


def test_time_left_goes_by_the_steps_of_this_attempt(claimed_round: Round) -> None:
    assert pace.time_left(claimed_round) is None
    left = pace.time_left(paced(claimed_round, stage="sft", step=20, total=100, per_step=3, of=10))
    assert left is not None
    assert left.stage.total_seconds() == pytest.approx(240, abs=1)
    assert (left.whole, str(left)) == (None, "About 4 minutes left in this stage.")
    assert pace.time_left(claimed_round, timezone.now() + timedelta(hours=1)) is None, "nothing was heard for long"
    claimed_round.attempt += 1
    assert pace.time_left(claimed_round) is None


def test_pace_is_noted_as_steps_are_heard_of(claimed_round: Round) -> None:
    claimed_round.stage, claimed_round.step, claimed_round.total = "sft", 1, 9
    pace.note(claimed_round)
    claimed_round.step = 3
    pace.note(claimed_round)
    row = Pace.objects.get()
    assert (row.first_step, row.step) == (1, 3)
    claimed_round.attempt += 1
    pace.note(claimed_round)
    assert Pace.objects.get().first_step == 3


def test_evaluation_is_the_last_stage_so_the_whole_is_known(claimed_round: Round) -> None:
    left = pace.time_left(paced(claimed_round, stage="evaluate", step=5, total=10, per_step=1, of=4))
    assert left is not None
    assert left.whole == left.stage


# Aborting while it trains


@pytest.mark.timeout(120)
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("one_thread")
def test_abort_of_a_running_round_ends_its_stage_at_a_step_and_writes_nothing_more(
    queued_round: Round, operator: User, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=1))
    claimed = leases.claim(Round)
    assert claimed is not None

    def abort_when_it_runs() -> None:
        from django.db import connection

        try:
            end = time.monotonic() + 60
            while not Round.objects.get(pk=claimed.pk).stage and time.monotonic() < end:
                time.sleep(0.05)
            actions.abort(round_=claimed, by=operator, note="Another version is coming.")
        finally:
            connection.close()

    thread = threading.Thread(target=abort_when_it_runs)
    thread.start()
    runner.run(claimed, model=lambda: str(tiny_model), stop_asked=lambda: False)
    thread.join()
    claimed.refresh_from_db()
    assert (claimed.state, claimed.note) == (ABORTED, "Another version is coming.")
    assert claimed.result is None
    assert leases.claim(Round) is None
    assert not Round.objects.filter(state=RUNNING).exists()


def test_round_page_says_why_it_waits(client: Client, queued_round: Round, reviewer: User, settings: Settings) -> None:
    settings.FREE_DISK_MB = 10**9
    coordinator.has_room()
    client.force_login(reviewer)
    page = client.get(reverse("training:round-detail", args=[queued_round.pk]))
    assert "It waits for room. Only " in page.content.decode()
