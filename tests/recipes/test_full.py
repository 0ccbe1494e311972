"""Rounds that train the linear maps themselves: copies of them, and the frozen reference beside them."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from tests.recipes.test_looks_at_band import begin
from tests.recipes.test_looks_at_band import plan as plan  # noqa: PLC0414  a fixture
from tests.recipes.test_stages import Start, pair, perform, weights
from training.engine.model import load
from training.recipes.files import read_json, write_json, write_rows
from training.recipes.plan import Plan

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(300),
]


def in_full(plan: Plan) -> Plan:
    stages = dataclasses.replace(plan.stages, sft=dataclasses.replace(plan.stages.sft, full=True))
    return dataclasses.replace(plan, stages=stages)


def test_both_stages_train_the_upper_layers_and_the_reference_stays(plan: Plan, start: Start) -> None:
    root = begin(start, in_full(plan), "full")
    assert perform(root, "sft") == [0]
    write_rows(root / "label" / "pairs.jsonl", [pair(number) for number in range(4)])
    write_json(root / "label" / "done.json", {})
    assert perform(root, "dpo") == [0]
    assert weights(root, "sft") != weights(root, "dpo")
    assert json.loads((root / "dpo" / "adapter" / "adapter_config.json").read_text())["peft_type"] == "LN_TUNING"

    base, trained = load(plan.model, device="cpu"), load(plan.model, device="cpu", adapter=root / "dpo" / "adapter")
    changed = {
        name
        for (name, before), (_, after) in zip(
            base.model.named_parameters(), trained.model.named_parameters(), strict=True
        )
        if not torch.equal(before, after)
    }
    layers = len(base.model.get_decoder().layers)
    adapted = max(1, round(layers * plan.stages.sft.lora.depth))
    upper = {name for name, _ in base.model.named_parameters() if is_upper(name, layers - adapted)}
    assert changed == {name for name in upper if "norm" not in name}, "all maps of the upper layers and nothing else"
    record = read_json(root / "looks.json")
    assert {look["stage"] for look in record["looks"]} == {"sft", "dpo"}


def is_upper(name: str, first: int) -> bool:
    found = name.split("layers.")
    return len(found) == 2 and int(found[1].partition(".")[0]) >= first


def test_stage_that_was_stopped_goes_on_to_the_same_weights(plan: Plan, start: Start) -> None:
    straight, stopped = (begin(start, in_full(plan), name) for name in ("straight", "stopped"))
    assert perform(straight, "sft") == [0]
    last = sorted((straight / "sft" / "checkpoints").glob("checkpoint-*"))[0]
    target = stopped / "sft" / "checkpoints" / last.name
    copy(last, target)
    copy_file(straight / "looks.json", stopped / "looks.json")
    assert perform(stopped, "sft") == [0]
    assert weights(stopped, "sft") == weights(straight, "sft")


def copy(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        if file.is_file():
            copy_file(file, target / file.relative_to(source))


def copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
