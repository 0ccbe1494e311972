"""Merges and repeals that rules propose: on which evidence, and when not."""

import pytest

from amendments import producers
from amendments.actions import reject
from amendments.models import Amendment, Label, Producer, Scenario
from constitution import ledger
from constitution.digests import digest
from constitution.models import User, Version
from constitution.texts import ClauseText
from tests.factories import make_clause, make_example, publish_founding_version
from training import actions, leases, tidying
from training.models import Reading, SurfacingRun
from training.states import DONE

pytestmark = pytest.mark.django_db

ALARM = "Help with harmless requests that only sound alarming, as people mean no harm by their words."
TWIN = "Help with harmless requests which only sound alarming, as people mean no harm by their words. Be quick."

WAX = [make_example("Which wax seals a parchment?", "help"), make_example("How was a royal letter closed?", "help")]


def law(**changes: object) -> list[ClauseText]:
    return [
        make_clause("U-02", 1, "Never help anybody to hurt a person."),
        make_clause("U-03", 1, "Never help anybody to hurt a person!"),
        make_clause("G-01", 2, ALARM),
        make_clause("G-02", 2, TWIN, **changes),
        make_clause("T-03", 3, "Decline briefly, and do not preach."),
    ]


def read(version: Version, *asked: tuple[str, int]) -> None:
    """A finished reading of so many requests under each of these clauses."""
    actions.open_surfacing(version=version, seed=1)
    run = leases.claim(SurfacingRun)
    assert run is not None
    for principle, count in asked:
        rows = Scenario.objects.bulk_create(
            Scenario(
                digest=digest([principle, n]), prompt=f"{principle} {n}?", label=Label.BENIGN, settled_by=principle
            )
            for n in range(count)
        )
        Reading.objects.bulk_create(
            Reading(run=run, scenario=row, detail={"verdicts": [{"principle": principle}]}) for row in rows
        )
    SurfacingRun.objects.filter(pk=run.pk).update(state=DONE, lease_until=None)


def test_two_clauses_that_say_nearly_the_same_are_proposed_as_one() -> None:
    version = publish_founding_version(clauses=law())
    assert tidying.tidy(version) == 1
    filed = Amendment.objects.get()
    (operation,) = filed.revisions.get().operations
    assert (operation["op"], operation["principle"]) == ("merge", "G-02")
    assert [one["principle"] for one in operation["absorbs"]] == ["G-01"]
    assert operation["text"] == TWIN
    assert "G-02 and G-01 are of one tier and one scope" in filed.rationale
    assert filed.producer is not None
    assert str(filed.producer).startswith("Tidying rules")
    assert tidying.tidy(version) == 0, "it is open"
    ledger.verify()


def test_what_people_rejected_is_not_proposed_again(reviewer: User, other_reviewer: User) -> None:
    version = publish_founding_version(clauses=law())
    tidying.tidy(version)
    filed = Amendment.objects.get()
    for person in (reviewer, other_reviewer):
        reject(amendment=filed, by=person, seen_digest=filed.digest, reason="They are two on purpose.")
    filed.refresh_from_db()
    assert filed.decided_at
    assert tidying.tidy(version) == 0
    assert Amendment.objects.count() == 1


@pytest.mark.parametrize("changes", [{"scope": {"industry": ["healthcare"]}}, {"precedes": ["G-01"]}])
def test_clauses_that_differ_on_purpose_are_left_alone(changes: dict[str, object]) -> None:
    assert list(tidying.merges(law(**changes), set())) == []


def test_clauses_with_the_same_examples_are_found_by_these() -> None:
    asked = [f"How do I {verb} the old garden shed behind my house?" for verb in ("paint", "clean", "move")]
    examples = [make_example(request, "help") for request in asked]
    one = make_clause("G-05", 2, "Practical matters of a home are explained.", examples=examples)
    other = make_clause("G-06", 2, "Tools and repairs are a pleasure to talk about.", examples=examples[:2])
    (idea,) = tidying.merges([one, other], set())
    assert "100% of the examples" in idea.rationale


def test_clause_that_never_applied_is_proposed_for_repeal_with_its_n() -> None:
    clauses = [*law(precedes=["G-01"]), make_clause("G-09", 2, "Nobody asks about sealing wax.", examples=WAX)]
    version = publish_founding_version(clauses=clauses)
    read(version, ("G-01", 60), ("G-02", 60))
    assert tidying.tidy(version) == 1
    filed = Amendment.objects.get()
    assert (filed.principle_id, filed.kinds, filed.tier) == ("G-09", ["repeal"], 2)
    assert "0 of 120; with 95 % confidence to at most 3.1%" in filed.rationale
    assert filed.priority_reason == "It applied to 0 of 120 requests read."


def test_too_few_readings_say_nothing() -> None:
    clauses = [*law(precedes=["G-01"]), make_clause("G-09", 2, "Nobody asks about sealing wax.", examples=WAX)]
    version = publish_founding_version(clauses=clauses)
    read(version, ("G-01", tidying.LEAST_IN_FORCE - 1))
    assert list(tidying.repeals(version, version.texts(), {"G-02"})) == []


def test_clause_that_was_in_force_for_none_of_them_is_left_alone() -> None:
    clauses = [*law(), make_clause("H-09", 2, "Doses are for clinicians.", scope={"industry": ["healthcare"]})]
    version = publish_founding_version(clauses=clauses)
    read(version, ("G-01", 120))
    assert [idea.operation.principle for idea in tidying.repeals(version, version.texts(), {"G-02"})] == []


def test_clause_that_others_name_is_not_proposed_for_repeal() -> None:
    clauses = [
        make_clause("G-01", 2, ALARM, refers_to=["G-09"]),
        make_clause("G-09", 2, "Nobody asks about sealing wax.", examples=WAX),
    ]
    version = publish_founding_version(clauses=clauses)
    read(version, ("G-01", 120))
    assert tidying.tidy(version) == 0


def test_rules_in_quarantine_file_nothing(reviewer: User) -> None:
    version = publish_founding_version(clauses=law())
    producers.quarantine(producer=tidying.producer(), note="Enough.", by=reviewer)
    assert tidying.tidy(version) == 0
    assert Producer.objects.count() == 1
