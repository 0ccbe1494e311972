"""A stage that a person rolled back ends at the step that they chose, with the weights that it had there."""

import shutil
from pathlib import Path

import pytest

from tests.recipes.test_looks_at_band import begin, centred, digest_of
from tests.recipes.test_looks_at_band import plan as plan  # noqa: PLC0414  a fixture
from tests.recipes.test_stages import Start, pair, perform, weights
from training import runner
from training.recipes.files import read_json, write_json, write_rows
from training.recipes.plan import Plan

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(300),
]


def saved_at(root: Path, step: int) -> bytes:
    return (root / "sft" / "checkpoints" / f"checkpoint-{step}" / "adapter_model.safetensors").read_bytes()


def looks_of(root: Path) -> list[int]:
    return [look["step"] for look in read_json(root / "looks.json")["looks"]]


def test_stage_ends_at_the_step_with_the_weights_that_it_had_there(plan: Plan, start: Start) -> None:
    straight = begin(start, plan, "straight")
    assert perform(straight, "sft") == [0]
    assert looks_of(straight)[:2] == [2, 4]

    outside = begin(start, plan, "outside")
    centred(straight, plan, digest_of(plan), H02=5.0)
    shutil.copy(straight.parent / "band.json", outside)
    write_json(outside / "acknowledged.json", {"looks": [2]})
    assert perform(outside, "sft") == [75]
    pause = read_json(outside / "pause.json")
    assert pause["step"] == 4
    assert {folder.name for folder in (outside / "sft" / "checkpoints").glob("checkpoint-*")} >= {"checkpoint-4"}
    then = saved_at(outside, 2)

    runner.roll_back(outside, {**pause, "back_to": 2})
    runner.roll_back(outside, {**pause, "back_to": 2})
    assert not (outside / "pause.json").exists()
    assert perform(outside, "sft") == [0]
    assert read_json(outside / "sft" / "done.json")["steps"] == 2
    assert (outside / "sft" / "adapter" / "adapter_model.safetensors").read_bytes() == then
    assert weights(outside, "sft") != weights(straight, "sft")
    assert looks_of(outside) == [2], "what was measured later is no part of the round"


def test_second_stage_rolled_back_to_its_beginning_leaves_the_adapter_as_it_was(plan: Plan, start: Start) -> None:
    root = begin(start, plan, "round")
    assert perform(root, "sft") == [0]
    write_rows(root / "label" / "pairs.jsonl", [pair(number) for number in range(4)])
    write_json(root / "label" / "done.json", {})
    end = read_json(root / "sft" / "done.json")["steps"]
    runner.roll_back(root, {"stage": "dpo", "step": end + 2, "back_to": end})
    assert perform(root, "dpo") == [0]
    assert read_json(root / "dpo" / "done.json")["steps"] == 0
    assert weights(root, "dpo") == weights(root, "sft")


def test_pause_of_a_later_stage_stays_one_and_its_looks_are_looked_at(plan: Plan, start: Start) -> None:
    root = begin(start, plan, "round")
    pause = {"stage": "sft", "step": 4, "reason": "", "evidence": [], "back_to": 2}
    write_json(root / "acknowledged.json", {"looks": [2, 3]})
    write_json(root / "pause.json", pause)
    runner.roll_back(root, pause)
    assert read_json(root / "acknowledged.json") == {"looks": [2]}
    write_json(root / "pause.json", {**pause, "stage": "dpo"})
    runner.roll_back(root, pause)
    assert read_json(root / "pause.json")["stage"] == "dpo"
    assert read_json(root / "rolled_back.json") == {"sft": 2}
    runner.roll_back(root, {**pause, "stage": "dpo", "back_to": 3})
    assert read_json(root / "rolled_back.json") == {"sft": 2, "dpo": 3}
