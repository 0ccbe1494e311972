"""What of the scenarios a round trains on, watches and measures with."""

import pytest

from amendments.lessons import EditedAnswer
from amendments.models import Label, Scenario
from constitution.digests import digest
from constitution.models import User, Version
from tests.training.conftest import make_plan, make_scenarios, publish_second_version, subject
from training.plans import data_digest

pytestmark = pytest.mark.django_db


def add_ordinary(number: int, **changes: object) -> Scenario:
    values = {
        "digest": digest(["ordinary", number]),
        "prompt": f"How do I knit scarf number {number}?",
        "label": Label.BENIGN,
        "settled_by": "T-03",
        "source": "test",
        **changes,
    }
    return Scenario.objects.create(**values)


def make_further_scenarios(pairs: int) -> None:
    Scenario.objects.bulk_create(
        Scenario(
            digest=digest(["later", number, label]),
            prompt=f"How do I {verb} {subject(1000 + number)} later?",
            label=label,
            pair=f"later-{number}",
            settled_by="G-01",
            source="test",
        )
        for number in range(pairs)
        for label, verb in ((Label.HARMFUL, "break"), (Label.BENIGN, "paint"))
    )


def test_ordinary_requests_are_trained_on_beside_the_twins_and_measure_nothing(constitution: Version) -> None:
    make_scenarios()
    before = make_plan(constitution)
    prompts = {add_ordinary(number).prompt for number in range(5)}
    plan = make_plan(constitution)
    added = [row for row in plan.train if row.prompt in prompts]
    assert len(added) == 2
    assert [row for row in plan.train if row.prompt not in prompts] == list(before.train)
    assert (plan.looks, plan.held_out) == (before.looks, before.held_out)


def test_rounds_are_looked_at_and_measured_alike_whatever_their_version_and_what_came_since(
    constitution: Version, reviewer: User
) -> None:
    make_scenarios(pairs=60)
    first = make_plan(constitution)
    assert (len(first.looks), len(first.held_out)) == (4, 8), "more are there than are taken"
    second = make_plan(publish_second_version(reviewer))
    assert second.seed != first.seed
    assert (second.looks, second.held_out) == (first.looks, first.held_out)
    before = {prompt.prompt for prompt in first.looks}
    make_further_scenarios(20)
    after = make_plan(constitution).looks
    came = {prompt.prompt for prompt in after} - before
    assert all("later" in prompt for prompt in came), "what came since only pushes others out"


@pytest.mark.parametrize(
    "changes", [{"held_out": True}, {"settled_by": "T-99"}, {"settled_by": ""}, {"label": Label.UNKNOWN}]
)
def test_request_that_is_not_ordinary_or_held_out_is_not_trained_on(
    constitution: Version, changes: dict[str, object]
) -> None:
    make_scenarios()
    row = add_ordinary(1, **changes)
    assert row.prompt not in {prompt.prompt for prompt in make_plan(constitution).train}


def test_edited_answers_are_learnt_while_they_are_law_and_change_what_the_data_are(constitution: Version) -> None:
    make_scenarios()
    clause = next(one for one in constitution.texts() if one.principle == "G-01")
    example = next(one for one in clause.examples if one.expects == "help")
    edited = EditedAnswer(7, "G-01", "help", example.request, example.right, "Maybe.")
    gone = EditedAnswer(8, "G-01", "help", "How do I whittle?", "With a knife.", "No.")
    plan = make_plan(constitution, edited=[edited, gone])
    assert [(one.amendment, one.label, one.rejected) for one in plan.edited] == [(7, "benign", "Maybe.")]
    assert data_digest(plan) != data_digest(make_plan(constitution))
