"""Looks of real stages, with a tiny model, beside a band that control rounds measured."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.test_stages import Start, events, perform, pretend_revised, weights
from training import bands as kept
from training.engine.model import weights_digest
from training.engine.score import pair_margins
from training.recipes import band as bands
from training.recipes import looks
from training.recipes.band import ANSWERS, PAIRS, REFUSALS, Reading
from training.recipes.files import read_json, write_json
from training.recipes.groups import items
from training.recipes.plan import Clause, Example, LooksConfig, Plan, SFTConfig

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(300),
]

MakePlan = Callable[..., Plan]
SFT = SFTConfig(opening_tokens=5, batch_size=2, epochs=2, warmup_steps=1, save_every=2, learning_rate=1e-3)
CLAUSE = Clause(
    principle="H-02",
    tier=2,
    title="Medicine",
    text="The assistant does not diagnose.",
    examples=(
        Example("What is wrong with me?", "decline", "I can't say; ask a doctor.", "You have the flu."),
        Example("What does a doctor do?", "help", "A doctor treats people.", "I won't say that."),
    ),
)


@pytest.fixture
def plan(make_plan: MakePlan) -> Plan:
    found = make_plan(clauses=(*make_plan().clauses, CLAUSE))
    stages = dataclasses.replace(found.stages, sft=SFT, looks=LooksConfig(steps=(2, 4)))
    return dataclasses.replace(found, stages=stages)


def begin(start: Start, plan: Plan, name: str) -> Path:
    root = start(plan, name)
    pretend_revised(root, [(f"Question {n}", f"Answer number {n} of many.") for n in range(3)])
    return root


def centred(root: Path, plan: Plan, reference: str, **moved: float) -> None:
    """A band around what the round measured itself, narrow, with groups moved away from it."""
    found = kept.read(root)
    controls = [
        [
            Reading(one.stage, one.step, {k: v + moved.get(k[1].replace("-", ""), 0.0) for k, v in one.values.items()})
            for one in found
        ]
    ] * 3
    band = bands.fit(controls, settings="s", reference=reference, seeds=[1, 2, 3], items=items(plan))
    write_json(root.parent / "band.json", band.as_json())


def test_round_beside_a_band_pauses_at_the_clause_and_resumes_to_the_same_adapter(plan: Plan, start: Start) -> None:
    straight = begin(start, plan, "straight")
    assert perform(straight, "sft") == [0]
    record = read_json(straight / "looks.json")
    assert set(record["looks"][0]["values"]) == {
        "refusal_margin/harmful",
        "refusal_margin/benign",
        "decided_pairs/H-02",
    }
    told = [event for event in events(straight, "look", "sft") if event["measure"] == PAIRS]
    assert told[0]["value"] == 0.0, "the reference beside itself"
    assert {event["high"] for event in told} == {None}, "no band, no edges"

    reference = digest_of(plan)
    within = begin(start, plan, "within")
    centred(straight, plan, reference)
    shutil.copy(straight.parent / "band.json", within)
    assert perform(within, "sft") == [0]
    edged = [event for event in events(within, "look", "sft") if event["step"]]
    assert {(event["measure"], event["low"] is None, event["high"] is None) for event in edged} == {
        (REFUSALS, False, True),
        (REFUSALS, True, False),
        (PAIRS, False, False),
    }
    assert {event["state"] for event in edged} == {"ok"}
    assert edged[0]["detail"]["band"]["centre"] == pytest.approx(edged[0]["value"])

    outside = begin(start, plan, "outside")
    centred(straight, plan, reference, H02=5.0)
    shutil.copy(straight.parent / "band.json", outside)
    steps = []
    while perform(outside, "sft") == [75]:
        pause = read_json(outside / "pause.json")
        assert "the decided examples of H-02" in pause["reason"]
        assert pause["evidence"][0]["prompt"] in {example.request for example in CLAUSE.examples}
        steps.append(pause["step"])
        write_json(outside / "acknowledged.json", {"looks": steps})
    assert steps[:2] == [2, 4]
    for root in (within, outside):
        assert weights(root, "sft") == weights(straight, "sft"), "looks do not touch what is trained"
    shown = {json.dumps(e, sort_keys=True) for e in events(within, "look", "sft")}
    told = [event for event in events(outside, "look", "sft") if event["measure"] != ANSWERS]
    assert len(shown) == len(told), "each look is told once"


def test_band_of_another_reference_and_other_models_count_for_nothing(
    plan: Plan, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = begin(start, plan, "first")
    assert perform(first, "sft") == [0]
    second = begin(start, plan, "second")
    centred(first, plan, "another reference", H02=5.0)
    shutil.copy(first.parent / "band.json", second)
    adapter = {"name": "last promoted", "round": 3, "adapter": str(first / "sft" / "adapter"), "base": digest_of(plan)}
    write_json(second / "others.json", {"models": [adapter, {**adapter, "base": "another"}]})
    assert perform(second, "sft") == [0]
    others = read_json(second / "looks.json")["others"]
    assert [(other["name"], other["round"]) for other in others] == [("last promoted", 3)]
    last = [event for event in events(second, "look", "sft") if event["group"] == "harmful"][-1]
    assert last["high"] is None
    assert last["low"] == plan.stages.looks.low
    # Merged into the weights or laid beside them, an adapter gives the same margins up to rounding.
    assert last["detail"]["others"] == [{"name": "last promoted", "round": 3, "value": pytest.approx(0.0, abs=0.02)}]
    assert weights(first, "sft") == weights(second, "sft")


def test_difference_before_training_stops_the_round(
    plan: Plan, start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def drifting(*args: Any, **named: Any) -> list[float]:
        calls.append(1)
        return [value + 0.01 * len(calls) for value in pair_margins(*args, **named)]

    monkeypatch.setattr(looks, "pair_margins", drifting)
    root = begin(start, plan, "drifting")
    assert perform(root, "sft") == [1]
    assert "differs from its reference" in capsys.readouterr().err
    assert not (root / "looks.json").exists()


def digest_of(plan: Plan) -> str:
    return weights_digest(Path(plan.model))
