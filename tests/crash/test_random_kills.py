"""kill -9 at moments that nobody chose: whatever a round was doing, it goes on and comes to the same bytes.

KILLS=200 kills more often (default 20), SEED=7 at other moments. The same stages, with the real worker around them, are
killed in test_kills.py.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest

from tests.recipes.conftest import clause, prompts
from tests.system import ONE_THREAD, ROOT
from training.recipes.plan import STAGES, DPOConfig, Plan
from training.recipes.settings import preset

KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("SEED", "1"))
KILLS_A_ROUND = 10
# What a stage leaves for the next one and for people; times and process ids are in no other file.
KEPT = ("adapter_model.safetensors", "adapter_config.json", "rows.jsonl", "pairs.jsonl", "plain.jsonl", "result.json")
KEPT_OF_ROUND = ("responses.jsonl", "looks.json", "acknowledged.json")

pytestmark = pytest.mark.timeout(60 + 15 * KILLS)


class Nursery:
    """See tests/crash/nursery.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            cwd=ROOT,
            env={**os.environ, **ONE_THREAD},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._told: Queue[str] = Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        assert self.hear(60) == ["ready"]

    def _listen(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                self._told.put(line)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(60)
        self._listener.join(60)

    def hear(self, seconds: float) -> list[str]:
        """The words of the next line. Raises Empty where none comes in time."""
        return self._told.get(timeout=max(seconds, 0.001)).split()

    def begin(self, root: Path) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{root}\n")
        self.process.stdin.flush()

    def whole_life(self, root: Path) -> dict[str, float]:
        """Let a life come to its end; returns the seconds of each stage that was still to do."""
        self.begin(root)
        marks: list[tuple[str, float]] = []
        while (said := self.hear(120))[0] != "end":
            if said[0] == "stage":
                marks.append((said[1], time.monotonic()))
        assert said[1] == "0"
        marks.append(("end", time.monotonic()))
        return {stage: end - at for (stage, at), (_, end) in pairwise(marks)}

    def cut_short(self, root: Path, stage: str, seconds: float) -> str:
        """Kill a life so long after this stage began (or the first one after it, where it is done); returns the stage
        that it was in, or nothing where it had come to its end before.
        """
        self.begin(root)
        pid, now, deadline = 0, "", time.monotonic() + 120.0
        while True:
            try:
                said = self.hear(deadline - time.monotonic())
            except Empty:
                break
            if said[0] == "end":
                assert said[1] == "0", f"it ended with {said[1]}"
                return ""
            if said[0] == "pid":
                pid = int(said[1])
            elif STAGES.index(said[1]) >= STAGES.index(stage) and (not now or STAGES.index(now) < STAGES.index(stage)):
                now, deadline = said[1], time.monotonic() + seconds
            else:
                now = said[1]
        assert pid, "the life said nothing"  # 0 would be everybody in this group
        os.kill(pid, signal.SIGKILL)
        while (said := self.hear(60))[0] != "end":
            now = said[1]
        return now if said[1] == str(-signal.SIGKILL) else ""


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    try:
        yield made
    finally:
        made.close()


def plan_for(model: Path) -> Plan:
    """A tiny round with more steps of training than saves, so that a kill loses some."""
    stages = preset("tiny")
    stages = replace(stages, sft=replace(stages.sft, batch_size=2, epochs=2), dpo=DPOConfig(batch_size=2, save_every=2))
    return Plan(
        round=1,
        version=1,
        version_digest="0" * 64,
        model=str(model),
        seed=7,
        device="cpu",
        clauses=(clause("U-01", slice(0, 3)), clause("U-02", slice(3, 5))),
        train=prompts("train", 8),
        looks=prompts("look", 2),
        held_out=prompts("test", 6),
        stages=stages,
    )


def begun(plan: Plan, root: Path) -> Path:
    root.mkdir()
    plan.write(root / "plan.json")
    return root


def left_by(root: Path) -> dict[str, str]:
    """The digest of every file that is compared."""
    found = [file for stage in STAGES for name in KEPT for file in (root / stage).rglob(name)]
    found = [file for file in found if "checkpoints" not in file.parts]
    found += [file for name in KEPT_OF_ROUND for file in root.rglob(name)]
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


def told_by(root: Path) -> list[str]:
    """What the curves and the constitutional checkpoint showed, in one order."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in (root / "progress.jsonl").read_text().splitlines()]
    return sorted(json.dumps(row, sort_keys=True) for row in rows if row["kind"] != "progress")


def moments(chance: random.Random) -> Iterator[tuple[str, float]]:
    """Each stage in its turn, at a random share of its time, in the order of a round."""
    order = list(STAGES)
    while True:
        chance.shuffle(order)
        picked = [order[number % len(order)] for number in range(KILLS_A_ROUND)]
        yield from ((stage, chance.random()) for stage in sorted(picked, key=STAGES.index))


def test_round_killed_at_random_moments_comes_to_the_same_bytes(
    nursery: Nursery, tiny_model: Path, tmp_path: Path
) -> None:
    plan = plan_for(tiny_model)
    straight = begun(plan, tmp_path / "straight")
    seconds = nursery.whole_life(straight)
    expected, told = left_by(straight), told_by(straight)
    assert {"sft/adapter/adapter_model.safetensors", "dpo/adapter/adapter_model.safetensors"} <= set(expected)
    assert nursery.whole_life(straight) == {}, "a finished round began a stage again"

    chance, killed = random.Random(SEED), Counter[str]()
    when = moments(chance)
    number = 0
    while killed.total() < KILLS:
        number += 1
        assert number <= 3 + KILLS // 4, f"the moments came too late: {killed}"
        broken = begun(plan, tmp_path / f"broken-{number}")
        for _ in range(min(KILLS_A_ROUND, KILLS - killed.total())):
            stage, share = next(when)
            if died_in := nursery.cut_short(broken, stage, share * seconds[stage]):
                killed[died_in] += 1
        nursery.whole_life(broken)
        assert left_by(broken) == expected, f"round {number}, killed in {killed}"
        assert told_by(broken) == told, f"round {number}, killed in {killed}"
    assert killed.total() == KILLS
    assert len(killed) >= min(KILLS, len(STAGES) - 1), f"the moments did not spread over the stages: {killed}"
