"""A stage that trains on several devices: one process for each, in step with each other (distributed data parallel).

The stage's own process holds the run directory and starts the others, which end with it: a kill leaves none behind.
Each takes its share of every batch, so that a step learns from the same rows as in one process. The first of them
looks, tells and saves; at the end of each step the others hear from it whether to go on.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from training.recipes.files import Row, read_json, write_json
from training.recipes.run import EXIT_PAUSED, EXIT_STOPPED, Paused, Run, Stopped

# A program of its own, which imports nothing of ours: what it starts ends with whoever started it.
LAUNCHER = Path(__file__).parents[2] / "config" / "embedded" / "launch.py"
ENDED, STOP = ".ended.json", ".stop"
POLL_SECONDS = 0.2

Work = Callable[[Run], Row]


class Silent(Run):
    """What all processes but the first have of a run: they tell nothing."""

    def _tell(self, event: Row) -> None:
        pass


def across(stage: str, work: Work) -> Work:
    """`work`, in as many processes as the plan says."""
    return lambda run: work(run) if run.plan.stages.processes == 1 else _conduct_all(stage, run)


def processes() -> int:
    """How many processes train together; 1 where this one is alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that looks, tells and saves."""
    return os.environ.get("RANK", "0") == "0"


def wait_for_all() -> None:
    """Until each process has come here."""
    if processes() > 1:
        PartialState().wait_for_everyone()


def is_to_stop(run: Run, *, is_ending: bool) -> bool:
    """Whether all save and stop after this step: somebody asked for it, or the first process found a reason to."""
    if processes() == 1:
        return run.stopping
    said = [is_ending or run.path(STOP).exists()]
    broadcast_object_list(said, from_process=0)
    return said[0]


def _conduct_all(stage: str, run: Run) -> Row:
    """What the first process brought. Raises as `work` does, and where one of them failed."""
    run.folder.mkdir(parents=True, exist_ok=True)
    for name in (ENDED, STOP):
        run.path(name).unlink(missing_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    members = [_start(stage, run, number, port) for number in range(run.plan.stages.processes)]
    try:
        while any(member.poll() is None for member in members) and not any(member.returncode for member in members):
            if run.stopping:
                run.path(STOP).touch()
            time.sleep(POLL_SECONDS)
    finally:
        for member in members:
            member.kill()
            member.wait()
    if not run.path(ENDED).exists():
        raise RuntimeError("One of the processes that train together failed; what it said stands above.")
    ended = read_json(run.path(ENDED))
    if ended["status"] == EXIT_PAUSED:
        raise Paused
    if ended["status"] == EXIT_STOPPED:
        raise Stopped
    return dict(ended["outcome"])


def _start(stage: str, run: Run, number: int, port: int) -> subprocess.Popen[bytes]:
    held = [sys.executable, "-I", "-S", str(LAUNCHER), f"with-parent={os.getpid()}", "--"]
    place = {
        "RANK": str(number),
        "WORLD_SIZE": str(run.plan.stages.processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        **_device(run, number),
    }
    command = [*held, sys.executable, "-m", "training.recipes.several", stage, str(run.root)]
    return subprocess.Popen(command, env={**os.environ, **place}, stdin=subprocess.DEVNULL)


def _device(run: Run, number: int) -> dict[str, str]:
    """The one device that a process sees."""
    count = torch.cuda.device_count() if run.plan.device != "cpu" else 0
    if not count:
        return {"LOCAL_RANK": str(number)}
    if count < run.plan.stages.processes:
        raise RuntimeError(f"The preset trains on {run.plan.stages.processes} GPUs, and this worker sees {count}.")
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    visible = given.split(",") if given else [str(place) for place in range(count)]
    return {"LOCAL_RANK": "0", "CUDA_VISIBLE_DEVICES": visible[number]}


def main(stage: str, root: Path) -> None:
    """One of the processes. The first writes down how the stage ended."""
    run = Run(root, stage) if is_first() else Silent(root, stage)
    outcome: Row = {}
    try:
        outcome, status = import_module(f"training.recipes.{stage}").work(run), 0
    except Stopped:
        status = EXIT_STOPPED
    except Paused:
        status = EXIT_PAUSED
    if is_first():
        write_json(run.path(ENDED), {"status": status, "outcome": outcome})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
