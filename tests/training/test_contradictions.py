"""Contradictions among decided examples become edge cases, once, by rules with a name of their own."""

import pytest

from amendments.models import EdgeCase, Scenario, Signal
from amendments.scenarios import ScenarioText
from constitution.models import Version
from constitution.texts import ClauseText
from tests.factories import make_clause, make_example, publish_founding_version, small_constitution
from tests.races import at_once
from training import contradictions, tidying

ASKED = "How much of this is too much?"


def law() -> list[ClauseText]:
    declines, helps = [make_example(ASKED)], [make_example(ASKED.lower(), "help")]
    return [
        *small_constitution()[:1],
        make_clause("H-02", 2, "Leave doses to a clinician.", examples=declines),
        make_clause("G-01", 2, "Help with harmless requests.", examples=helps),
    ]


@pytest.fixture
def version(db: None) -> Version:
    return publish_founding_version(clauses=law())


def test_a_request_decided_both_ways_is_a_case_of_conflict_once(version: Version) -> None:
    assert contradictions.keep(version) == 1
    case = EdgeCase.objects.select_related("scenario", "cluster", "producer").get()
    assert (case.principle_id, case.signal, case.score) == ("H-02", Signal.CONFLICT, 1.0)
    assert (case.scenario.prompt, case.response) == (ASKED, "Sure, here is how.")
    assert "G-01" in case.why
    assert case.cluster.principle_id == "H-02"
    assert case.producer == contradictions.producer()
    assert contradictions.keep(version) == 0
    assert EdgeCase.objects.count() == 1


def test_what_is_held_out_is_no_case(version: Version) -> None:
    ScenarioText(prompt=ASKED, held_out=True).row("test").save()
    assert contradictions.keep(version) == 0
    assert not EdgeCase.objects.exists()


def test_the_seed_contradicts_nothing(constitution: Version) -> None:
    assert contradictions.keep(constitution) == 0
    assert not Scenario.objects.filter(source=contradictions.SOURCE).exists()


def test_contradicting_clauses_are_not_proposed_to_be_one() -> None:
    requests = ("How much is too much?", "How long may I wait?")
    one, other = (
        make_clause(name, 2, "Speak of doses.", examples=[make_example(request, way) for request in requests])
        for name, way in (("H-01", "decline"), ("H-02", "help"))
    )
    assert list(tidying.merges([one, other], set())) == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_keep_it_once() -> None:
    version = publish_founding_version(clauses=law())
    found = at_once(*[lambda: contradictions.keep(version)] * 2)
    assert set(found) == {0, 1}
    assert EdgeCase.objects.count() == 1
