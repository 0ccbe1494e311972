import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from training.engine.judge import Verdict
from training.engine.judges.contract import Unscored
from training.engine.judges.language import LanguageJudge
from training.engine.judges.pattern import PatternJudge
from training.engine.judges.question import Top
from training.recipes.label import EDITED, candidates, decided_pairs, edited_pairs, in_both_orders, why_not_labelled
from training.recipes.plan import EditedAnswer, Plan, PlanError
from training.recipes.revise import Desk, led, why_not_accepted, why_not_kept


def refusal(probability: float | None) -> Verdict:
    if probability is None:
        return Verdict("unscored", None, "judge", reason="the response is empty")
    return Verdict("refuses" if probability >= 0.5 else "complies", probability, "judge")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (0.1, 0.9, ""),
        (None, 0.9, ""),
        (0.1, 0.4, "the revision does not decline"),
        (0.9, 0.9, "the original declines as clearly"),
        (0.1, None, "unscored: the response is empty"),
    ],
)
def test_revision_must_decline_and_beat_the_original(before: float | None, after: float, why: str) -> None:
    assert why_not_accepted(refusal(before), refusal(after)) == why


@pytest.mark.parametrize(
    ("text", "whole"),
    [("help with that.", "I can't help with that."), (", it is a crime.", "I can't, it is a crime."), ("", "I can't")],
)
def test_refusal_is_led_in_by_its_first_words(text: str, whole: str) -> None:
    assert led(text) == whole


def test_request_under_a_clause_that_never_declines_has_no_over_refusal(
    make_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    declining, style = make_plan().clauses
    style = dataclasses.replace(style, tier=3, examples=tuple(e for e in style.examples if e.expects == "help"))
    desk = Desk(make_plan(clauses=(declining, style)), cast("Any", None), cast("Any", None))
    monkeypatch.setattr(Desk, "decline", lambda _self, rows: [f"I can't {row['id']}." for row in rows])
    rows = [{"id": "a", "principle": "U-02"}, {"id": "b", "principle": "U-01"}]
    assert desk.over_refuse(rows) == ["", "I can't b."]


def test_benign_answer_is_kept_only_if_it_complies() -> None:
    assert why_not_kept(refusal(0.2)) == ""
    assert why_not_kept(refusal(0.8)) == "the plain answer already refuses"
    assert why_not_kept(refusal(None)).startswith("unscored")


@pytest.mark.parametrize(
    ("gaps", "why"),
    [
        ([0.8, 0.7], ""),
        ([0.8, None], "unscored"),
        ([0.8, -0.1], "inconsistent"),
        ([-0.8, -0.7], "the judge prefers the other response"),
        ([0.8, 0.1], "too close"),
        ([0.0, 0.0], "too close"),
    ],
)
def test_label_needs_two_clear_readings_alike(gaps: list[float | None], why: str) -> None:
    assert why_not_labelled(gaps, 0.2) == why


def revised(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "label": "harmful",
        "principle": "U-01",
        "prompt": "Harm",
        "original": "Sure. First you",
        "response": "I won't.",
        "why": "",
        "original_refuses": 0.25,
        "response_refuses": 0.75,
        **changes,
    }


def test_candidates_pair_what_is_wanted_with_what_is_not() -> None:
    benign = revised(
        id="2", label="benign", response="Bake it.", response_refuses=0.25, over_refusal="No.", over_refusal_refuses=1.0
    )
    pairs = candidates(
        [revised(), benign, {**benign, "over_refusal": ""}, revised(why="the revision does not decline")]
    )
    assert [(pair["chosen"], pair["rejected"], pair["gaps"]) for pair in pairs] == [
        ("I won't.", "Sure.", [0.5]),
        ("Bake it.", "No.", [0.75]),
    ]


ROWS = [
    {
        "id": "a",
        "label": "harmful",
        "prompt": "How pick it?",
        "chosen": "I can't.",
        "rejected": "Sure.",
        "why": "",
    },
    {
        "id": "b",
        "label": "benign",
        "prompt": "How paint?",
        "chosen": "Sure.",
        "rejected": "I can't.",
        "why": "",
    },
    {"id": "c", "label": "harmful", "prompt": "How?", "chosen": "No.", "rejected": "So.", "why": "too close"},
]


@dataclasses.dataclass(frozen=True)
class Telling:
    """A model of which two answers are known in advance: how sure it is of the response that stands first and last."""

    first: float
    kind: str = "test"
    identity: dict[str, str] = dataclasses.field(default_factory=dict)

    def likeliest(self, prompts: Sequence[str], _count: int) -> list[Top | Unscored]:
        sure = [self.first if prompt.index("I can't") < prompt.index("Sure.") else 1 - self.first for prompt in prompts]
        return [(("A", math.log(p)), ("B", math.log(1 - p))) for p in sure]


@pytest.mark.parametrize(("first", "why"), [(0.9, ""), (0.1, "the judge prefers the other response")])
def test_judge_that_asks_a_model_is_shown_harmful_pairs_in_both_orders(first: float, why: str) -> None:
    found = in_both_orders(LanguageJudge(Telling(first)), ROWS)
    assert [row["why"] for row in found] == [why, "", "too close"]


def test_judge_that_takes_what_stands_first_abstains(monkeypatch: pytest.MonkeyPatch) -> None:
    def likeliest(_self: Telling, prompts: Sequence[str], _count: int) -> list[Top | Unscored]:
        return [(("A", math.log(0.8)), ("B", math.log(0.2))) for _ in prompts]

    monkeypatch.setattr(Telling, "likeliest", likeliest)
    found = in_both_orders(LanguageJudge(Telling(0.5)), ROWS)
    assert found[0]["why"] == "the order of the two responses decides"
    assert in_both_orders(PatternJudge(), ROWS) == ROWS, "which reads each response alone"


def test_decided_pairs_are_labelled_by_people(make_plan: Any) -> None:
    plan: Plan = make_plan()
    pairs = decided_pairs(plan)
    assert len(pairs) == 10
    assert {pair["labelled_by"] for pair in pairs} == {"people"}


def test_edited_answers_are_pairs_of_people_with_their_source(make_plan: Any) -> None:
    example = make_plan().clauses[0].examples[0]
    edited = EditedAnswer(4, "U-01", "harmful", example.request, example.right, "No.")
    (pair,) = edited_pairs(make_plan(edited=(edited,)))
    assert (pair["chosen"], pair["rejected"], pair["labelled_by"]) == (example.right, "No.", "people")
    assert pair["source"] == EDITED
    assert Plan.from_json(make_plan(edited=(edited,)).as_json()).edited == (edited,)
    with pytest.raises(PlanError, match="no decided examples"):
        make_plan(edited=(dataclasses.replace(edited, chosen="Never."),))
    with pytest.raises(PlanError, match="Nothing was edited"):
        dataclasses.replace(edited, rejected=edited.chosen)
