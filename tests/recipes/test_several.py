"""SFT and DPO in two processes on this machine's processor, as on two GPUs: the same rows a step, and kills."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.recipes.test_stages import LONG_SFT, events, pair, pretend_revised, wait_for_step, weights
from training.recipes.files import read_json, write_json, write_rows
from training.recipes.plan import DPOConfig, Plan, PlanError, Stages
from training.recipes.run import EXIT_STOPPED

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.timeout(300)]

MakePlan = Callable[..., Plan]
Start = Callable[..., Path]


def spawn(root: Path, stage: str) -> subprocess.Popen[bytes]:
    log = (root / "log.txt").open("ab")
    with log:
        return subprocess.Popen([sys.executable, "-m", f"training.recipes.{stage}", str(root)], stderr=log, stdout=log)


def finish(root: Path, stage: str) -> None:
    process = spawn(root, stage)
    assert process.wait(240) == 0, (root / "log.txt").read_text()[-3000:]


def prepare(root: Path) -> Path:
    pretend_revised(root, [(f"Question {n}", f"Answer number {n} of many.") for n in range(4)])
    write_rows(root / "label" / "pairs.jsonl", [pair(n) for n in range(8)])
    write_json(root / "label" / "done.json", {})
    return root


def check_alike(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    """The same weights up to rounding, which Adam enlarges where a gradient is next to nothing."""
    assert one.keys() == two.keys()
    for name, weight in one.items():
        apart = float(torch.linalg.vector_norm(two[name] - weight) / torch.linalg.vector_norm(weight))
        assert apart < 0.05, f"{name} differs by {apart:.3f} of its size"


@pytest.fixture
def plans(make_plan: MakePlan) -> dict[int, Plan]:
    """The same training in one process and in two."""
    plan = make_plan()
    dpo = DPOConfig(batch_size=2, save_every=2, warmup_steps=1)
    sft = dataclasses.replace(LONG_SFT, epochs=12)  # long enough to be killed in the middle on a fast machine
    stages = {n: dataclasses.replace(plan.stages, sft=sft, dpo=dpo, processes=n) for n in (1, 2)}
    return {n: dataclasses.replace(plan, stages=stages[n]) for n in stages}


@pytest.mark.crash
def test_two_processes_train_what_one_does_and_survive_a_kill(plans: dict[int, Plan], start: Start) -> None:
    alone, together, broken = (
        prepare(start(plans[n], name)) for n, name in ((1, "alone"), (2, "together"), (2, "broken"))
    )
    for stage in ("sft", "dpo"):
        finish(alone, stage)
        finish(together, stage)
        check_alike(*(load_file(root / stage / "adapter" / "adapter_model.safetensors") for root in (alone, together)))
        losses = [
            [e["value"] for e in events(root, "point", stage) if e["series"] == "loss"] for root in (alone, together)
        ]
        assert losses[1] == pytest.approx(losses[0], rel=0.02)
        told = [events(root, "look", stage) for root in (alone, together)]
        assert [(row["step"], row["group"]) for row in told[0]] == [(row["step"], row["group"]) for row in told[1]]
    assert read_json(alone / "sft" / "done.json")["steps"] == read_json(together / "sft" / "done.json")["steps"]

    process = spawn(broken, "sft")
    wait_for_step(broken, process, "sft", 2)
    process.terminate()
    assert process.wait(120) == EXIT_STOPPED
    stopped_at = max(event["step"] for event in events(broken, "progress", "sft"))
    process = spawn(broken, "sft")
    wait_for_step(broken, process, "sft", stopped_at + 1)
    members = psutil.Process(process.pid).children(recursive=True)
    assert len(members) >= 2
    process.kill()
    process.wait()
    assert not psutil.wait_procs(members, timeout=30)[1], "a kill leaves none of them behind"
    finish(broken, "sft")
    assert weights(broken, "sft") == weights(together, "sft")


def test_batches_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(PlanError, match="cannot be divided among 3 processes"):
        Stages(processes=3)
    with pytest.raises(PlanError, match="At least one"):
        Stages(processes=0)
