"""What stands in a data card: rows by principle, label and source, with what was dropped and why."""

from pathlib import Path

import pytest

from amendments.models import Scenario
from training import data_cards
from training.recipes.files import write_json, write_rows
from training.recipes.label import EDITED
from training.recipes.plan import DECIDED


@pytest.mark.django_db
def test_rows_are_counted_by_principle_and_source(scenarios: list[Scenario], tmp_path: Path) -> None:
    first, second = scenarios[:2]
    known = {"id": first.digest[:16], "label": "harmful", "principle": "U-02"}
    write_rows(tmp_path / "revise" / "rows.jsonl", [{**known, "why": ""}, {**known, "why": "unclear"}])
    write_rows(tmp_path / "label" / "pairs.jsonl", [{**known, "id": "U-02.1", "labelled_by": "people"}])
    dropped = {**known, "id": second.digest[:16], "label": "benign", "why": "too close", "labelled_by": "probe-1"}
    write_rows(tmp_path / "label" / "dropped.jsonl", [dropped])
    found = data_cards.read(tmp_path)
    row = {"principle": "U-02", "label": "harmful", "source": "test"}
    assert found["revise"] == [{**row, "kept": 1, "dropped": {"unclear": 1}}]
    assert found["label"] == [
        {**row, "label": "benign", "kept": 0, "dropped": {"too close": 1}},
        {**row, "source": DECIDED, "kept": 1, "dropped": {}},
    ]
    assert found["generate"] == []


def test_request_that_no_scenario_has_is_of_no_known_source() -> None:
    row = {"id": "a", "label": "benign"}
    assert [found["source"] for found in data_cards.count([row], {})] == [data_cards.UNKNOWN]


def test_what_people_made_of_drafts_has_a_source_of_its_own() -> None:
    row = {"id": "edited.4.1", "label": "benign", "labelled_by": "people", "source": EDITED}
    assert [found["source"] for found in data_cards.count([row], {})] == ["edited proposals"]


@pytest.mark.django_db
def test_what_sft_and_dpo_learnt_is_counted(scenarios: list[Scenario], tmp_path: Path) -> None:
    known = {"id": scenarios[0].digest[:16], "label": "harmful", "principle": "U-02"}
    decided = {**known, "id": "U-02.1", "labelled_by": "people"}
    edited = {**decided, "id": "edited.4.1", "source": EDITED}
    write_rows(tmp_path / "sft" / "rows.jsonl", [{**known, "times": 1}, {**decided, "times": 1}])
    pairs = [{**known, "labelled_by": "probe-1", "times": 3}, {**decided, "times": 2}, {**edited, "times": 1}]
    write_rows(tmp_path / "dpo" / "rows.jsonl", pairs)
    found = data_cards.read(tmp_path)
    row = {"principle": "U-02", "label": "harmful", "kept": 1, "dropped": {}}
    assert found["sft"] == [{**row, "source": DECIDED}, {**row, "source": "test"}]
    assert found["dpo"] == [
        {**row, "source": DECIDED, "repeated": 1},
        {**row, "source": EDITED},
        {**row, "source": "test", "repeated": 2},
    ]


@pytest.mark.django_db
def test_what_the_plan_left_out_is_counted_by_principle_and_source(tmp_path: Path) -> None:
    kind = {"principle": "U-02", "label": "benign", "source": "theirs"}
    older = {"reason": "stands in a set", "count": 9}
    write_json(tmp_path / "plan.json", {"left_out": [older, {**older, **kind, "count": 2}]})
    assert data_cards.read(tmp_path)["generate"] == [{**kind, "kept": 0, "dropped": {"stands in a set": 2}}]
