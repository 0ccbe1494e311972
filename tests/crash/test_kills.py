"""kill -9 in the middle of work: it goes on by itself, nothing is lost, and the result is the same."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.embedded import postgres
from constitution.actions import PUBLISH_LOCK
from tests.crash.visitor import Visitor
from tests.system import ONE_THREAD, ROOT, GaveUp, System, file_proposal, wait_for

STAGES = ("generate", "revise", "label", "sft", "dpo", "evaluate")
EXIT_PAUSED = 75
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
ADDITION = "It reads the whole request before it judges a single word."
ACCEPT = """
from amendments.actions import accept
from amendments.models import Amendment
from constitution.models import User
row = Amendment.objects.get(pk={pk})
accept(amendment=row, by=User.objects.get(username="admin"), seen_digest=row.digest)
"""
RESUME = """
from constitution.models import User
from training.actions import resume
from training.models import Round
admin = User.objects.get(username="admin")
resume(round_=Round.objects.get(pk={pk}), by=admin, note="Expected with a model this small.")
"""

pytestmark = pytest.mark.timeout(600)


def accept_something(system: System) -> None:
    """Publish version 2, for which a round opens."""
    system.python(ACCEPT.format(pk=file_proposal(system, "G-01", ADDITION)))


def step_of(system: System, stage: str) -> int:
    """How many steps of a stage are done; 0 while another stage runs."""
    return system.value("SELECT step FROM training_round WHERE state = 'running' AND stage = %s", stage) or 0


def is_round_done(system: System) -> bool:
    """Whether the only round is done; a constitutional checkpoint that paused it is acknowledged."""
    pk, state, error = (system.rows("SELECT id, state, error FROM training_round") or [(0, "", "")])[0]
    if state == "paused":
        system.python(RESUME.format(pk=pk))
    if state == "failed":
        raise GaveUp(f"The round failed: {error}")
    return bool(state == "done")


def check_whole(system: System) -> None:
    """One acceptance made one version and one finished round, and the ledger's chain holds."""
    assert system.value("SELECT count(*) FROM constitution_version") == 2
    assert system.rows("SELECT state, version_id FROM training_round") == [("done", 2)]
    assert system.value("SELECT count(*) FROM training_checkpoint") == 1
    for action in ("round opened", "round finished"):
        assert system.value("SELECT count(*) FROM constitution_ledgerentry WHERE action = %s", action) == 1
    system.manage("verify_ledger")


def straight_run(plan: Path, run: Path) -> Path:
    """The same frozen plan in a fresh folder, stage after stage, with nobody in the way."""
    run.mkdir(parents=True)
    (run / "plan.json").write_bytes(plan.read_bytes())
    looks: set[int] = set()
    for stage in STAGES:
        command = [sys.executable, "-m", f"training.recipes.{stage}", str(run)]
        while (done := _run(command)).returncode:
            assert done.returncode == EXIT_PAUSED, f"{stage}: {done.stderr[-3000:]}"
            step = json.loads((run / "pause.json").read_text())["step"]
            assert step not in looks, "a look that was acknowledged pauses again"
            looks.add(step)
            (run / "acknowledged.json").write_text(json.dumps({"looks": sorted(looks)}))
    return run


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **ONE_THREAD}  # as in the system: other threads, other roundings
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def adapter(run: Path) -> str:
    return hashlib.sha256((run / "dpo" / "adapter" / "adapter_model.safetensors").read_bytes()).hexdigest()


def test_gpu_worker_killed_in_the_middle_of_a_round(system: System, tmp_path: Path) -> None:
    accept_something(system)
    for stage in ("generate", "sft"):
        wait_for(lambda: step_of(system, stage), f"a step of {stage}", seconds=120, every=0.05)  # noqa: B023
        system.kill("gpu")
    wait_for(lambda: is_round_done(system), "the end of the round", seconds=400)
    check_whole(system)
    assert system.value("SELECT attempt FROM training_round") >= 3
    system.stop()  # what it would do next would only slow the other run down
    run = system.var / "rounds" / "1"
    assert adapter(run) == adapter(straight_run(run / "plan.json", tmp_path / "straight"))


def test_broker_and_database_killed_in_the_middle_of_a_round(system: System) -> None:
    accept_something(system)
    wait_for(lambda: step_of(system, "generate"), "a step of the round", seconds=120, every=0.05)
    system.kill("broker")
    assert system.status("/accounts/login/") == 200
    wait_for(lambda: system.processes("broker"), "the broker's next life", seconds=30)
    pid = postgres.Server(system.var).pid()
    assert pid
    os.kill(pid, signal.SIGKILL)
    # A page may still be answered over an old connection, whose backend outlives its server for a moment.
    wait_for(lambda: postgres.Server(system.var).pid() not in (None, pid), "the database's next life", seconds=30)
    wait_for(lambda: system.status("/healthz") == 200, "a page out of it", seconds=30)
    wait_for(lambda: is_round_done(system), "the end of the round", seconds=400)
    check_whole(system)


def test_web_process_killed_while_accepting(system: System) -> None:
    """Killed in the middle of its transaction, it has published nothing; sent again, it works, once."""
    number = file_proposal(system, "G-01", ADDITION)
    visitor = Visitor(system)
    answers: list[int] = []
    sending = threading.Thread(target=lambda: answers.append(visitor.accept(number)))
    with system.connection() as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [PUBLISH_LOCK])
        sending.start()
        wait_for(lambda: system.value(WAITING), "the acceptance in flight", seconds=30, every=0.05)
        system.kill("web")
    sending.join(60)
    assert answers == [0]
    assert system.value("SELECT count(*) FROM constitution_version") == 1
    assert wait_for(lambda: visitor.accept(number), "an answer", seconds=30) == 302
    assert visitor.accept(number) == 409
    assert system.value("SELECT count(*) FROM constitution_version") == 2
    accepted = "SELECT count(*) FROM constitution_ledgerentry WHERE action = 'amendment accepted'"
    assert system.value(accepted) == 1
    system.manage("verify_ledger")


def test_pages_answer_while_every_worker_is_down(system: System) -> None:
    accept_something(system)
    visitor = Visitor(system)
    for name in ("gpu", "cpu", "beat", "broker"):
        system.suspend(name)  # alive and deaf, so that nobody starts them again
    try:
        for path in ("/", "/constitution/", "/history/", "/rounds/", "/judges/", "/settings/", "/healthz"):
            assert visitor.status(path) == 200, path
        number = file_proposal(system, "T-03", "It stays short.")
        assert visitor.accept(number) == 302
    finally:
        for name in ("gpu", "cpu", "beat", "broker"):
            system.resume(name)
    assert system.value("SELECT max(number) FROM constitution_version") == 3


def test_web_process_loads_no_model_library(system: System) -> None:
    """After every page was served, nothing of torch is mapped into the process."""
    visitor = Visitor(system)
    for path in ("/", "/constitution/", "/history/", "/rounds/", "/judges/", "/settings/", "/accounts/2fa/"):
        assert visitor.status(path) == 200, path
    mapped = {entry.path for process in system.processes("web") for entry in process.memory_maps()}
    assert mapped
    assert [path for path in mapped if any(name in path for name in ("torch", "sklearn", "tokenizers"))] == []
