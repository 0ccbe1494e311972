"""The run directory: what passes between the stages of a round and whoever started them.

A stage is a process. It may be killed at any moment and started again; what it had completed it does not do again,
and the result is the same. `conduct` holds what every stage needs for that.
"""

import fcntl
import hashlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from training.recipes.files import Row, digest_folder, read_json, read_rows, write_json, write_rows
from training.recipes.plan import Plan

EXIT_PAUSED = 75
EXIT_STOPPED = 143
LOCK_SECONDS = 60

# `none`: what was looked at cannot certify anything.
State = Literal["ok", "warn", "fail", "none"]


class Stopped(Exception):
    """SIGTERM arrived and the current step is complete and saved."""


class Paused(Exception):
    """The constitutional checkpoint tripped; RUN/pause.json says why."""


class Run:
    """One stage's view of its run directory."""

    def __init__(self, root: Path, stage: str) -> None:
        self.root = root
        self.stage = stage
        self.plan = Plan.read(root / "plan.json")
        self.folder = root / stage
        self.stopping = False
        self._rows_done = 0
        self._rows_expected = 0
        self._told = _events_told(root / "progress.jsonl", stage)

    def path(self, name: str) -> Path:
        """A file or folder of this stage."""
        return self.folder / name

    def of(self, stage: str, name: str) -> Path:
        """A file or folder of a stage that must be done by now."""
        if not (self.root / stage / "done.json").exists():
            raise FileNotFoundError(f"The stage {self.stage} needs the stage {stage}, which is not done.")
        return self.root / stage / name

    def adapter(self, stage: str) -> Path:
        """The adapter of a stage that must be done by now. Raises ValueError where it is not as that stage left it."""
        folder = self.of(stage, "adapter")
        if digest_folder(folder, "*.safetensors") != read_json(self.root / stage / "done.json")["adapter"]:
            raise ValueError(f"The adapter of the stage {stage} is not what that stage wrote: its digest differs.")
        return folder

    def expect(self, rows: int) -> None:
        """Say how many rows `in_chunks` will work on at most, over all its calls."""
        self._rows_expected = rows

    def progress(self, step: int, total: int) -> None:
        """Tell how far the stage is."""
        self._tell({"kind": "progress", "stage": self.stage, "step": step, "total": total})

    def point(self, series: str, step: int, value: float) -> None:
        """Tell one point of a curve."""
        self._tell({"kind": "point", "stage": self.stage, "series": series, "step": step, "value": value})

    def look(
        self,
        *,
        step: int,
        group: str,
        value: float,
        low: float | None,
        state: State,
        high: float | None = None,
        measure: str = "refusal_margin",
        detail: Row | None = None,
    ) -> None:
        """Tell one result of the constitutional checkpoint: a mean difference to the reference, in nats.

        `low` and `high` are the edges that it may not pass; `detail` holds what the mean is taken over.
        """
        common = {
            "kind": "look",
            "stage": self.stage,
            "step": step,
            "measure": measure,
            "group": group,
        }
        known = {"detail": detail} if detail else {}
        self._tell({**common, "value": value, "low": low, "high": high, "state": state, **known})

    def _tell(self, event: Row) -> None:
        # After a kill, steps are repeated with the same result; they are not told twice.
        key = _event_key(event)
        if key in self._told:
            return
        self._told.add(key)
        with (self.root / "progress.jsonl").open("ab") as handle:
            handle.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")

    def in_chunks(
        self, name: str, items: Sequence[Row], size: int, work: Callable[[int, list[Row]], list[Row]]
    ) -> list[Row]:
        """Apply `work(chunk number, chunk)` to `items`, keeping each finished chunk as a file.

        The chunks are the same in every start, so that what was batched together stays together.
        """
        chunks = [list(items[start : start + size]) for start in range(0, len(items), size)]
        rows: list[Row] = []
        for number, chunk in enumerate(chunks):
            part = self.path(f"parts/{name}-{number:04}.jsonl")
            if not part.exists():
                self.stop_if_asked()
                write_rows(part, work(number, chunk))
            rows += read_rows(part)
            self._rows_done += len(chunk)
            self.progress(self._rows_done, self._rows_expected)
        return rows

    def stop_if_asked(self) -> None:
        """Raise `Stopped` if SIGTERM has arrived."""
        if self.stopping:
            raise Stopped


def conduct(stage: str, work: Callable[[Run], Row], argv: Sequence[str] | None = None) -> int:
    """Run one stage in the run directory that the command line names; returns the exit status.

    `work` returns what goes into done.json: counts, and digests of what it wrote.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) != 1:
        print(f"usage: python -m training.recipes.{stage} RUN", file=sys.stderr)
        return 2
    root = Path(arguments[0])
    try:
        with _only_process(root):
            return _conduct(root, stage, work)
    except Stopped:
        return EXIT_STOPPED
    except Paused:
        return EXIT_PAUSED
    except Exception as error:  # noqa: BLE001 - the boundary of the process: every error becomes its last line
        traceback.print_exc()
        print(f"{stage}: {error}", file=sys.stderr)
        return 1


def _conduct(root: Path, stage: str, work: Callable[[Run], Row]) -> int:
    done = root / stage / "done.json"
    if done.exists():
        return 0
    refuse_unless_resumed(root)
    run = Run(root, stage)
    code, started, cpu_started = code_digest(), time.monotonic(), time.process_time()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        run.stopping = True

    before = signal.signal(signal.SIGTERM, ask_to_stop)
    try:
        outcome = work(run)
    finally:
        signal.signal(signal.SIGTERM, before)
    seconds = {
        "seconds": round(time.monotonic() - started, 2),
        "cpu": round(time.process_time() - cpu_started, 2),
    }
    write_json(done, {"stage": stage, **outcome, "code": code, **seconds})
    return 0


def code_digest() -> str:
    """SHA-256 over the source of the engine and of the recipes: which code made what a stage leaves."""
    here = Path(__file__).parent
    parts = [digest_folder(folder, "*.py") for folder in (here.parent / "engine", here)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def refuse_unless_resumed(root: Path) -> None:
    """A paused round stays paused until RUN/acknowledged.json names the look that paused it."""
    pause = root / "pause.json"
    if pause.exists() and read_json(pause)["step"] not in acknowledged_looks(root):
        raise Paused


def acknowledged_looks(root: Path) -> frozenset[int]:
    """Steps of the looks that a person has acknowledged."""
    path = root / "acknowledged.json"
    return frozenset(read_json(path)["looks"]) if path.exists() else frozenset()


def rolled_back_to(root: Path, stage: str) -> int | None:
    """The step, counted over sft and dpo, at which a person had the training of a stage end; None: at its own end."""
    path = root / "rolled_back.json"
    step: int | None = read_json(path).get(stage) if path.exists() else None
    return step


@contextmanager
def _only_process(root: Path) -> Iterator[None]:
    """One process at a time works in a run directory. A predecessor that is finishing its step gets a minute."""
    with (root / ".lock").open("w") as handle:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RuntimeError("Another process is working in this run directory.") from None
                time.sleep(0.2)
        yield


def _event_key(event: Row) -> tuple[Any, ...]:
    return tuple(event.get(name) for name in ("kind", "series", "measure", "group", "step"))


def _events_told(path: Path, stage: str) -> set[tuple[Any, ...]]:
    """Events of this stage that stand in the file already; a torn last line is closed off and ignored."""
    if not path.exists():
        return set()
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
        content = content[: content.rfind(b"\n") + 1]
    events = [json.loads(line) for line in content.decode().split("\n") if line]
    return {_event_key(event) for event in events if event["stage"] == stage}
