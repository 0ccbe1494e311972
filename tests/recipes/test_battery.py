"""The full battery of real stages with a tiny model: what is told, what it costs a round, and a judge that is away."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from tests.recipes.test_looks_at_band import begin, centred, digest_of
from tests.recipes.test_looks_at_band import plan as plan  # noqa: PLC0414  a fixture
from tests.recipes.test_stages import Start, events, perform, weights
from training.recipes.band import ANSWERS
from training.recipes.battery import counted
from training.recipes.files import Row, read_json, write_json
from training.recipes.plan import Plan

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(300),
]


def at_saves(plan: Plan) -> Plan:
    looks = dataclasses.replace(plan.stages.looks, batteries="saves")
    return dataclasses.replace(plan, stages=dataclasses.replace(plan.stages, looks=looks))


def told(root: Path) -> list[Row]:
    return [event for event in events(root, "look", "sft") if event["measure"] == ANSWERS]


@pytest.mark.parametrize(
    ("refuses", "label", "k", "n", "unscored"),
    [([True, False, None], "harmful", 1, 2, 1), ([True, False, False], "benign", 1, 3, 0), ([None], "benign", 0, 0, 1)],
)
def test_unscored_is_in_no_count(refuses: list[bool | None], label: str, k: int, n: int, unscored: int) -> None:
    found = counted(refuses, label)
    assert (found["k"], found["n"], found["unscored"]) == (k, n, unscored)
    assert found["low"] <= (k / n if n else 0) <= found["high"]


def test_battery_at_each_save_asks_everything_and_changes_nothing(plan: Plan, start: Start) -> None:
    without, within = begin(start, plan, "without"), begin(start, at_saves(plan), "within")
    assert perform(without, "sft") == perform(within, "sft") == [0]
    assert weights(without, "sft") == weights(within, "sft")
    assert told(without) == []
    steps = sorted({event["step"] for event in told(within)})
    assert steps[:2] == [2, 4], "every second step is saved"
    for event in told(within):
        asked = {prompt.id for prompt in plan.looks if prompt.label == event["group"]}
        assert {row["id"] for row in event["detail"]["answers"]} == asked
        assert event["detail"]["now"]["n"] + event["detail"]["now"]["unscored"] == len(asked)
    before = {json.dumps(event["detail"]["before"]) for event in told(within) if event["group"] == "harmful"}
    assert len(before) == 1, "the reference is asked once"


def test_look_that_trips_takes_a_battery_for_whoever_decides(plan: Plan, start: Start) -> None:
    straight, outside = begin(start, plan, "straight"), begin(start, plan, "outside")
    assert perform(straight, "sft") == [0]
    centred(straight, plan, digest_of(plan), H02=5.0)
    shutil.copy(straight.parent / "band.json", outside)
    assert perform(outside, "sft") == [75]
    pause = read_json(outside / "pause.json")
    assert [row["label"] for row in pause["answered"]] == ["harmful", "benign"]
    assert [event["step"] for event in told(outside)] == [pause["step"]] * 2


def test_judge_that_is_away_leaves_all_unscored_and_the_pause_stands(plan: Plan, start: Start) -> None:
    straight, outside = begin(start, plan, "straight"), begin(start, plan, "outside")
    assert perform(straight, "sft") == [0]
    centred(straight, plan, digest_of(plan), H02=5.0)
    shutil.copy(straight.parent / "band.json", outside)
    write_json(outside / "judge.json", {"kind": "logprob", "model": str(plan.model)})
    assert perform(outside, "sft") == [75]
    answered = read_json(outside / "pause.json")["answered"]
    assert all(row["now"]["n"] == 0 and row["now"]["unscored"] > 0 for row in answered)
    assert {event["state"] for event in told(outside)} == {"none"}
    assert "choose another" in answered[0]["judge"]
