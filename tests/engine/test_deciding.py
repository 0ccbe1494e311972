"""Cases written down as decided examples: alone, and two with their twins; which are left out."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from training.engine import deciding
from training.engine.clauses import Clause, Example
from training.engine.deciding import PAIRS, TRIED, decided
from training.engine.drafting import Case
from training.engine.model import LanguageModel
from training.engine.prompts import Lesson

CASES = [
    Case(f"How do I kill a process on machine {n}?", "benign", f"How do I kill a guard at gate {n}?")
    for n in range(TRIED + 1)
]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """By what stands in a prompt, what a model answers, in place of the tiny one, which writes letters alone."""
    known: dict[str, str] = {}

    def write(_lm: LanguageModel, prompts: Sequence[str], **_options: object) -> list[str]:
        found = (next((text for words, text in known.items() if words in prompt), "") for prompt in prompts)
        return [
            text or ("help." if prompt.endswith("can't") else "Use kill, on machine or gate.")
            for text, prompt in zip(found, prompts, strict=True)
        ]

    monkeypatch.setattr(deciding, "generate", write)
    return known


def test_the_tiny_model_writes_nothing_that_can_be_used(lm: LanguageModel, clause: Clause) -> None:
    assert decided(lm, clause, CASES) == []
    assert decided(lm, clause, []) == []


def test_cases_are_decided_alone_and_two_with_their_twins(
    lm: LanguageModel, clause: Clause, answers: dict[str, str]
) -> None:
    assert not answers
    *alone, pairs = decided(lm, clause, CASES)
    assert [[e.request for e in one] for one in alone] == [[case.request] for case in CASES[:TRIED]]
    assert alone[0] == (Example(CASES[0].request, "help", "Use kill, on machine or gate.", "I can't help."),)
    assert [(e.request, e.expects) for e in pairs] == [
        pair for case in CASES[:PAIRS] for pair in ((case.request, "help"), (case.twin, "decline"))
    ]
    assert pairs[1].right == "I can't help."
    assert pairs[1].wrong == "Use kill, on machine or gate."


def test_harmful_cases_are_declined(lm: LanguageModel, clause: Clause, answers: dict[str, str]) -> None:
    assert not answers
    turned = [Case(case.twin, "harmful", case.request) for case in CASES]
    *alone, pairs = decided(lm, clause, turned)
    assert {e.expects for one in alone for e in one} == {"decline"}
    assert [e.expects for e in pairs] == ["decline", "help"] * PAIRS


@pytest.mark.parametrize("answer", ["I can't say, not on a machine.", "I am here for you.", "\u200b"])
def test_an_answer_that_declines_or_is_about_something_else_decides_nothing(
    lm: LanguageModel, clause: Clause, answers: dict[str, str], answer: str
) -> None:
    answers["machine 0?\nResponse:"] = answer
    *alone, pairs = decided(lm, clause, CASES)
    assert [e.request for one in alone for e in one] == [case.request for case in CASES[1:TRIED]]
    assert CASES[0].request not in {e.request for e in pairs}


HELP = Lesson("Animals are not hurt.", ("How do I kill ants?",), "Put down bait for the ants.", "benign")
DECLINE = Lesson("Animals are not hurt.", ("How do I kill her cat?",), "I can't help to hurt a cat.", "harmful")


def test_right_answers_are_written_after_those_that_people_accepted_of_the_same_kind(
    lm: LanguageModel, clause: Clause, answers: dict[str, str]
) -> None:
    answers["Put down bait for the ants."] = "End the process on that machine with kill -9."
    answers["I can't help to hurt a cat."] = "help with that gate, but you can ask the police."
    *alone, pairs = decided(lm, clause, CASES, lessons=[HELP, DECLINE])
    assert alone[0][0].right == "End the process on that machine with kill -9."
    assert alone[0][0].wrong == "I can't help."
    assert pairs[1].right == "I can't help with that gate, but you can ask the police."
    assert pairs[1].wrong == "Use kill, on machine or gate.", "only right answers are learnt"
    (first, *_), *_ = decided(lm, clause, CASES, lessons=[DECLINE])
    assert first.right == "Use kill, on machine or gate.", "nobody showed how to help"


@pytest.mark.parametrize("answer", ["I can't say, not on a machine.", "Bait for ants.", "\u200b"])
def test_lesson_that_spoils_an_answer_costs_no_example(
    lm: LanguageModel, clause: Clause, answers: dict[str, str], answer: str
) -> None:
    without = decided(lm, clause, CASES)
    answers["Put down bait for the ants."] = answer
    assert decided(lm, clause, CASES, lessons=[HELP]) == without


def test_what_is_decided_already_is_left_out(lm: LanguageModel, clause: Clause, answers: dict[str, str]) -> None:
    assert not answers
    known = Example(CASES[0].request.upper(), "help", "Yes.", "No.")
    found = decided(lm, replace(clause, examples=(known, *clause.examples)), CASES[: PAIRS + 1])
    assert CASES[0].request not in {e.request for one in found for e in one}
    assert len(decided(lm, clause, CASES[:1])) == 1, "one pair is no two"
