"""A round, from its frozen plan to its result: the stages run as processes, this watches over them.

Only the run directory passes between the two. Whatever is killed, the next start goes on from the last complete step
and comes to the same result: stages see to that themselves, and what is written here is written once or not at all.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, connection

from amendments.reserved import registered_entries
from config import env
from config.embedded.identity import LAUNCH
from config.live import publish as announce
from training import actions, artefacts, bands, judging, leases, outcomes, plans, progress, room
from training.errors import StageFailed
from training.models import Round
from training.recipes.files import read_json, write_json
from training.recipes.plan import STAGES, Plan, PlanError

EXIT_PAUSED = 75
EXIT_STOPPED = 143
POLL_SECONDS = 0.5
# A stage that is asked to stop first finishes its step.
GRACE_SECONDS = 15
MOST_TRIES = 8
LOG_TAIL = 16_000
LEFT_OUT = "[…]\n"
# What these save on the way goes with the random state of a process, and is not shared.
TRAINED = frozenset({"sft", "dpo"})
SAVED = "checkpoints"
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
# As Python, safetensors and torch, which keeps the number to itself, say it of what they could not write.
FULL_DISK_SAID = (
    *(said for number in FULL_DISK for said in (f"[Errno {number}]", f"(os error {number})")),
    "inline_container.cc",
)
# What a stage has no use for: it reads its plan and writes files.
WITHHELD = frozenset(
    {"SECRET_KEY", "DATABASE_URL", "BROKER_URL", "EMAIL_URL", "ARTEFACTS_URL"}
    | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
)
# Sets are read a moment before a round's row is written.
SINCE_PLANNED = timedelta(minutes=1)
# So often the chunks that a stage has finished are shared, where machines share files.
SHARE_SECONDS = 30.0

StopAsked = Callable[[], bool]

log = structlog.get_logger(__name__)


def folder_of(round_: Round) -> Path:
    """The run directory."""
    return Path(settings.VAR) / "rounds" / str(round_.pk)


def log_of(round_: Round, after: int = 0) -> tuple[str, int]:
    """What the stages said behind `after` bytes, for people, and where what they say next will begin.

    Of more than `LOG_TAIL` bytes the last ones.
    """
    file = folder_of(round_) / artefacts.LOG
    size = file.stat().st_size if file.exists() else 0
    if after >= size:
        return "", after
    start = max(after, size - LOG_TAIL)
    with file.open("rb") as stream:
        stream.seek(start)
        content = stream.read(LOG_TAIL)
    text = content.decode(errors="replace")
    return (f"{LEFT_OUT}{text}" if start > after else text), start + len(content)


def run(round_: Round, *, model: Callable[[], str], stop_asked: StopAsked) -> None:
    """Work on a claimed round until it is over, paused or taken away, or until `stop_asked`.

    `model` gives the folder of the model. Every way out leaves the row in a state that somebody goes on from.
    """
    leases.work_on(
        round_,
        partial(_run, model),
        stop_asked=stop_asked,
        fail=lambda job, error: actions.fail(job=job, error=error),
        faults=(StageFailed, PlanError, outcomes.BadOutcome, artefacts.FileAltered, OSError),
        most_tries=MOST_TRIES,
    )


def _run(model: Callable[[], str], round_: Round, check: leases.Check) -> None:
    try:
        _run_stages(model, round_, check)
    except artefacts.StoreUnreachable as error:
        raise leases.Stopped(str(error)) from error
    except OSError as error:
        if error.errno in FULL_DISK:
            raise leases.Stopped(_full_disk()) from error
        raise


def _run_stages(model: Callable[[], str], round_: Round, check: leases.Check) -> None:
    folder = _prepare(round_, model())
    for stage in STAGES:
        if not (folder / stage / "done.json").exists():
            _, before = log_of(round_)
            code = _watch(round_, stage, check)
            artefacts.share(round_, folder)
            if code == EXIT_PAUSED:
                actions.pause(round_=round_, pause=read_json(folder / "pause.json"))
                return
            _check_exit(stage, code, said=log_of(round_, before)[0])
        # A stage that is done is not begun again, so what it saved to go on from is of use to nobody.
        shutil.rmtree(folder / stage / SAVED, ignore_errors=True)
    while progress.drain(round_, folder / "progress.jsonl"):
        pass
    actions.finish(round_=round_, outcome=outcomes.read(round_, folder))


def _prepare(round_: Round, model: str) -> Path:
    """The run directory with its plan, and with what an overseer has acknowledged."""
    folder = folder_of(round_)
    artefacts.take_over(round_, folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "plan.json").exists():
        _check_kept_out(round_)
        plan = plans.start(round_.plan, round_pk=round_.pk, model=model)
        bands.give(folder, plan)
        plan.write(folder / "plan.json")
    if not (folder / "judge.json").exists():  # kept: a round that resumes after a change of settings keeps its judge
        write_json(folder / "judge.json", judging.choice("rounds"))
    # A round with a pause that runs was resumed: the schema lets it out of the pause in no other way.
    if round_.pause and "back_to" in round_.pause:
        roll_back(folder, round_.pause)
    elif round_.pause:
        acknowledge(folder, int(round_.pause["step"]))
    return folder


def _check_kept_out(round_: Round) -> None:
    """Refuse to train on what somebody has registered as an evaluation set since the round was planned."""
    since = round_.created_at - SINCE_PLANNED
    if count := plans.near(Plan.from_json(round_.plan), registered_entries(since=since)):
        raise StageFailed(
            f"{count} of the requests that it would train on are in an evaluation set, or nearly, that was registered "
            "after the round was planned. Abort it and begin another one, which leaves them out."
        )


def acknowledge(folder: Path, step: int) -> None:
    """Tell the recipes that a person let the round go on in spite of the look at `step`."""
    file = folder / "acknowledged.json"
    looks = set(read_json(file)["looks"]) if file.exists() else set()
    write_json(file, {"looks": sorted(looks | {step})})


def roll_back(folder: Path, pause: Mapping[str, Any]) -> None:
    """Tell the recipes that a person had the stage which paused end at an earlier look. Safe to repeat: a pause of a
    later stage stays one.
    """
    stage, step = str(pause["stage"]), int(pause["back_to"])
    file, allowed, paused = (folder / name for name in ("rolled_back.json", "acknowledged.json", "pause.json"))
    write_json(file, {**(read_json(file) if file.exists() else {}), stage: step})
    if not paused.exists() or (read_json(paused)["stage"], read_json(paused)["step"]) != (stage, pause["step"]):
        return
    if allowed.exists():  # the next stage counts its steps on from here, and looks at these numbers anew
        write_json(allowed, {"looks": [look for look in read_json(allowed)["looks"] if look <= step]})
    paused.unlink()


def _check_exit(stage: str, code: int, *, said: str) -> None:
    """Raise what a stage's exit status means; `said` is what it wrote into the log this time."""
    if code == 0:
        return
    if code == EXIT_STOPPED or code < 0:  # asked to stop, or killed: nothing is wrong with its work
        why = " The system does that to what takes too much memory." if code == -signal.SIGKILL else ""
        raise leases.Stopped(f"The stage {stage} was ended from outside, with status {code}.{why}")
    if any(word in said for word in FULL_DISK_SAID):
        raise leases.Stopped(_full_disk())
    raise StageFailed(said or f"The stage {stage} ended with status {code}.")


def _full_disk() -> str:
    return (
        f"The disk is full where files are kept on {room.host()}. Make room there, for one with "
        "“manage.py prune_models”: the round goes on from its last complete step."
    )


def _watch(round_: Round, stage: str, check: leases.Check) -> int:
    """Run one stage and take over what it tells; returns its exit status. Raises LeaseLost, with the stage ended."""
    folder = folder_of(round_)
    with (folder / artefacts.LOG).open("ab") as log_file:
        process = _start(stage, folder, log_file)
    asked, shared, told = False, time.monotonic(), 0
    try:
        while (code := _wait(process)) is None:
            try:
                check()
            except leases.Stopped:
                if not asked:
                    process.terminate()
                asked = True
            _drain(round_, folder / "progress.jsonl")
            told = _tell_of_log(round_, told)
            if stage not in TRAINED and time.monotonic() - shared > SHARE_SECONDS:
                _share(round_, folder)
                shared = time.monotonic()
    except BaseException:
        _end(process)
        raise
    while progress.drain(round_, folder / "progress.jsonl"):
        pass
    _tell_of_log(round_, told)
    return code


def _drain(round_: Round, file: Path) -> None:
    """Take over what there is, now or later: a database that is away for a moment does not stop a stage."""
    try:
        progress.drain(round_, file)
    except OperationalError as error:
        log.warning("progress could not be written", round=round_.pk, error=str(error))
        connection.close()


def _tell_of_log(round_: Round, told: int) -> int:
    """Have open pages fetch what the log says beyond `told` bytes, now or later; returns up to where they were told.

    A topic of its own: a stage that loads a model says no step, and one that trains nothing at most of its steps.
    """
    size = (folder_of(round_) / artefacts.LOG).stat().st_size
    if size == told:
        return told
    try:
        announce(f"round-log:{round_.pk}")
    except OperationalError:
        connection.close()
        return told
    return size


def _share(round_: Round, folder: Path) -> None:
    """Share what a stage has done so far, now or later: a store that is away for a moment does not stop it."""
    try:
        artefacts.share(round_, folder)
    except artefacts.StoreUnreachable as error:
        log.warning("files could not be shared", round=round_.pk, error=str(error))
    except OperationalError as error:
        log.warning("what is shared could not be written", round=round_.pk, error=str(error))
        connection.close()


def _start(stage: str, folder: Path, log_file: Any) -> subprocess.Popen[bytes]:
    """Start a stage that dies with the thread that calls this: a killed worker leaves no recipe behind."""
    return subprocess.Popen(
        [*LAUNCH, f"with-parent={os.getpid()}", "--", sys.executable, "-m", f"training.recipes.{stage}", str(folder)],
        cwd=env.BASE,
        env={name: value for name, value in os.environ.items() if name not in WITHHELD},
        stdin=subprocess.DEVNULL,
        stdout=log_file,
        stderr=subprocess.STDOUT,
    )


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(POLL_SECONDS)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to stop, give it a moment, then kill it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
        return
    process.kill()
    process.wait()
