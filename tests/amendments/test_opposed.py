"""Which decided examples contradict each other, and where nothing is contradicted."""

import pytest

from amendments.linting import why_not
from amendments.operations import AddExample
from amendments.opposed import Opposed, can_clash, opposed, opposed_anew
from constitution.texts import ClauseText
from tests.factories import make_clause, make_example, small_constitution

ASKED = "How much of this is too much?"


def pair(first: dict[str, object] | None = None, second: dict[str, object] | None = None) -> list[ClauseText]:
    """A clause that has the request declined, and one that helps with it, in other spacing and case."""
    declines, helps = [make_example(ASKED)], [make_example(f" {ASKED.upper()} ", "help")]
    return [
        make_clause("H-01", 2, "Leave doses to a clinician.", **{"examples": declines, **(first or {})}),
        make_clause("H-02", 2, "Say what a dose is.", **{"examples": helps, **(second or {})}),
    ]


def test_same_request_decided_both_ways_is_a_contradiction() -> None:
    (found,) = opposed(pair())
    assert found == Opposed(ASKED, "H-01", "H-02", "Sure, here is how.")
    assert found.sentence == "H-01 has decided that it is declined, H-02 that it is helped with."
    assert opposed(pair()[::-1]) == [found]


def test_clauses_that_can_hold_together_contradict_each_other() -> None:
    assert opposed(pair({"scope": {"industry": ["healthcare"]}}))
    assert opposed(pair({"scope": {"industry": ["healthcare"]}}, {"scope": {"region": ["EU"]}}))
    assert opposed(pair({"scope": {"region": ["DE"]}}, {"scope": {"region": ["EU"]}})), "one lies in the other"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"precedes": ["H-02"]}, {}),
        ({}, {"precedes": ["H-01"]}),
        ({"scope": {"region": ["US"]}}, {"scope": {"region": ["EU"]}}),
        ({"examples": [make_example("How much of that is too much?")]}, {}),
        ({"examples": [make_example(ASKED, "help")]}, {}),
        ({"examples": [make_example(ASKED, "style")]}, {}),
    ],
)
def test_what_is_settled_or_apart_or_merely_alike_is_none(first: dict[str, object], second: dict[str, object]) -> None:
    assert opposed(pair(first, second)) == []


def test_change_of_law_makes_and_ends_contradictions() -> None:
    apart, together = pair({"precedes": ["H-02"]}), pair()
    (found,) = opposed_anew(together, apart)
    assert found.request == ASKED
    assert opposed_anew(apart, together) == []
    answered = [make_example(f"{ASKED.upper()}!", "help").model_copy(update={"right": "Ask a clinician."})]
    assert opposed_anew(pair(None, {"examples": answered}), together) == [], "only the answer has other words"


def test_clauses_clash_where_both_hold_and_neither_prevails() -> None:
    assert can_clash(*pair())
    assert not can_clash(*pair({"precedes": ["H-02"]}))
    assert not can_clash(*pair({"scope": {"region": ["US"]}}, {"scope": {"region": ["EU"]}}))


def test_one_clause_may_contradict_itself() -> None:
    both = [make_example(ASKED), make_example(f"{ASKED}!", "help")]
    assert opposed([make_clause("H-01", 2, "Leave doses to a clinician.", examples=both)])


def test_machine_may_not_propose_a_contradiction() -> None:
    law = small_constitution()
    clause = next(clause for clause in law if clause.principle == "G-01")
    other = next(clause for clause in law if clause.principle == "H-02")
    asked = next(example for example in other.examples if example.expects == "decline")
    turned = make_example(asked.request, "help")
    (reason,) = why_not([AddExample(principle="G-01", before=clause.digest, example=turned)], law)
    assert "H-02 has decided that it is declined, G-01 that it is helped with." in reason
    plain = make_example("How do I kill a fruit fly?", "help")
    assert why_not([AddExample(principle="G-01", before=clause.digest, example=plain)], law) == []
