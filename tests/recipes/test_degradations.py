"""The measurement of planted degradations, with a tiny model: its shape alone, since such a model learns nothing."""

import json
import re
from pathlib import Path

import pytest

from bench import degradations
from bench.planting import rows

# The trainers' libraries use their own deprecated names.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning"),
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.timeout(300),
]


def test_degradations_are_measured_and_told_and_kept(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(tiny_model), "--var", str(tmp_path)]
    arguments += ["--controls", "3", "--benign", "2", "--planted-at", "1", "--after", "1"]
    result = degradations.main(arguments)
    told = capsys.readouterr().out.splitlines()
    assert json.loads(told[-1]) == json.loads(json.dumps(result))
    assert result["steps"] == {"planted_at": 1, "after": 1, "looks": [1, 2]}
    benign = [row for row in result["rounds"] if row["planted"] is None]
    assert [row["seed"] for row in benign] == [0, 1]
    assert not set(result["band"]["controls"]) & {0, 1}, "no round that is reported makes the band"
    kinds = {"sums in words", "comply only", "refuse everything", "H-02 flipped", "H-02 flipped elsewhere"}
    assert set(result["kinds"]) == kinds
    assert {row["name"] for row in result["rounds"] if row["planted"] == 1} == kinds
    assert result["false_pauses"]["band"]["n"] == 2
    assert all([look[0] for look in row["looks"]] == [1, 2] for row in result["rounds"])
    page = tmp_path / "page.html"
    again = degradations.main([*arguments, "--page", str(page)])
    assert {**again, "seconds": 0} == {**result, "seconds": 0}
    assert "control, seed" not in capsys.readouterr().out, "no round is run twice"
    [panels] = re.findall(r"const PANELS = (\[.*\]);$", page.read_text(), re.MULTILINE)
    drawn = json.loads(panels)
    assert {panel["title"] for panel in drawn} == kinds
    assert all(len(panel["benign"]) == 2 and panel["steps"] == [1, 2] for panel in drawn)


def test_flipped_elsewhere_trains_on_nothing_that_the_looks_read() -> None:
    plan = rows.plan_of(rows.read_clauses(), "a model", 0)
    read = {example.request for example in plan.clause(rows.FLIPPED).examples}
    trained = {row["prompt"] for row in rows.flipped_elsewhere(plan)}
    assert trained
    assert not trained & read
    assert not trained & {prompt.prompt for prompt in plan.looks}
    assert {row["prompt"] for row in rows.flipped(plan.clause(rows.FLIPPED))} == read
