"""The simulated reviewer: when it stops, what it counts, and one round of it with the tiny model. No figures."""

import json
from dataclasses import replace
from pathlib import Path

from bench import effort
from bench.effort import Step
from bench.store import Store
from bench.survey.material import our_law
from bench.survey.reading import Surveyor, shown
from training.engine.judge import ProbeJudge, calibration_set
from training.engine.model import LanguageModel

STEPS = [
    Step("G-01", "example", 3, True, 5),
    Step("H-01", "sample", 1, False, 5),
    Step("G-01", "template", 2, True, 3),
    Step("H-02", "example", 2, True, 2),
]


def test_decisions_end_where_the_target_is_met() -> None:
    assert list(effort.taken(iter(STEPS), 10, target=3)) == STEPS[:3]
    assert list(effort.taken(iter(STEPS), 2, target=0)) == STEPS[:2]


def test_summary_compares_only_what_reached_the_target() -> None:
    found = effort.summary({"clusters": STEPS[:3], "one by one": STEPS[:2]}, 7, 10)
    assert (found["target"], found["fewer"]) == (3, None)
    assert (found["level"], found["fewer_to_level"]) == (5, 0.0)
    assert found["ways"]["clusters"]["decisions_to_half"] == 3
    assert found["ways"]["one by one"]["decisions_to_half"] is None
    both = effort.summary({"clusters": STEPS[2:3], "one by one": STEPS[:3]}, 7, 10)
    assert both["fewer"] == 0.67
    assert (both["level"], both["fewer_to_level"]) == (3, 0.67)
    stuck = effort.summary({"clusters": STEPS[:1], "one by one": STEPS[1:3]}, 5, 10)
    assert (stuck["level"], stuck["fewer_to_level"]) == (None, None)
    assert effort.summary({"clusters": [], "one by one": []}, 0, 0)["fewer"] is None


def test_both_ways_begin_alike(lm: LanguageModel, tmp_path: Path) -> None:
    clause = next(clause for clause in our_law() if clause.principle == "H-01")
    law = [clause.model_copy(update={"text": "It helps the ill.", "examples": clause.examples[1:3]})]
    judge = ProbeJudge.fit(lm, calibration_set([shown(law[0])]))
    surveyor = Surveyor(lm, judge, Store(tmp_path / "readings.jsonl"))
    desk = effort.Desk(surveyor, law, ["H-01"], 0)
    assert {one.label for one in desk.held_out} == {"benign"}
    assert all(one.held_out for one in desk.held_out)
    assert not any(one.held_out for one in desk.open)
    sure = replace(judge.probe, intercept=50.0)  # everything declines: there are cases
    desk.surveyor = replace(surveyor, judge=ProbeJudge(lm, sure))
    assert desk.declined() == len(desk.held_out)
    found = effort.run(desk.surveyor, law, ["H-01"], most=1, seed=0)
    assert json.loads(json.dumps(found)) == found
    assert set(found["ways"]) == {"clusters", "one by one"}
    assert found["declined_at_first"] == found["n"] == len(desk.held_out)
    assert all(len(row["steps"]) <= 1 for row in found["ways"].values())
