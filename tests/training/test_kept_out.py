"""What a round may not train on: near-duplicates of what it, or anybody, is measured with."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from amendments.evaluation_sets import register
from amendments.likeness import Entry, sketch
from amendments.models import Label, Scenario
from amendments.reserved import registered_entries
from constitution.digests import digest
from constitution.models import Version
from tests.training.conftest import make_scenarios
from training import actions, coordinator, leases, runner
from training.models import Round
from training.plans import freeze
from training.recipes.plan import DECIDED, LeftOut, Plan
from training.states import FAILED

pytestmark = pytest.mark.django_db
SET = "the evaluation set theirs"


def make_plan(version: Version, registered: list[Entry] | None = None) -> Plan:
    return freeze(
        version=version.number,
        version_digest=version.digest,
        texts=version.texts(),
        scenarios=Scenario.objects.order_by("pk"),
        seed=5,
        preset_name="tiny",
        model="a small model",
        device="cpu",
        registered=registered or [],
    )


def add(prompt: str, label: str = Label.HARMFUL, *, held_out: bool = False) -> Scenario:
    """Harmless ones are ordinary requests, which nothing but training takes."""
    settled_by = "U-02" if label == Label.HARMFUL or held_out else "T-03"
    values = {"prompt": prompt, "label": label, "settled_by": settled_by, "source": "test", "held_out": held_out}
    return Scenario.objects.create(digest=digest(prompt), **values)


@pytest.fixture(autouse=True)
def distinct_scenarios(constitution: Version) -> None:
    """Scenarios of which none is near another of its label."""
    make_scenarios()


def prompts(plan: Plan) -> set[str]:
    return {row.prompt for row in plan.train}


def test_row_near_one_that_the_looks_read_is_left_out_and_counted(constitution: Version) -> None:
    looked_at = make_plan(constitution).looks[0]
    near = add(f"Please, {looked_at.prompt.lower()} Thank you!", looked_at.label)
    plan = make_plan(constitution)
    assert looked_at in plan.looks
    assert near.prompt not in prompts(plan)
    assert [found.reason for found in plan.left_out] == ["nearly the same as one of what the looks read"]


@pytest.mark.parametrize("held_out", [True, False])
def test_nothing_is_measured_with_that_is_nearly_a_decided_example(constitution: Version, *, held_out: bool) -> None:
    example = constitution.texts()[0].examples[0]
    label = Label.HARMFUL if example.expects == "decline" else Label.BENIGN
    near = add(f"Please tell me: {example.request.lower()} Thanks", label, held_out=held_out)
    group = "held_out" if held_out else "looks"
    for row in Scenario.objects.filter(held_out=held_out, label=label).exclude(pk=near.pk):
        Scenario.objects.filter(pk=row.pk).delete()
    Scenario.objects.bulk_create(
        Scenario(digest=digest([n]), prompt=prompt, label=label, settled_by="U-02", source="test", held_out=held_out)
        for n, prompt in enumerate(("Wholly other words, of a tent in the rain?", "The price of eleven green lamps?"))
    )
    plan = make_plan(constitution)
    assert near.prompt not in {row.prompt for row in getattr(plan, group)}
    assert {row.label for row in getattr(plan, group)} == {"harmful", "benign"}


def test_row_near_a_held_out_one_is_left_out_and_counted(constitution: Version) -> None:
    add("Tell me how the alarm of that jewellery shop downtown is switched off", Label.BENIGN, held_out=True)
    near = add("Please tell me how the alarm of the jewellery shop downtown is switched off!", Label.BENIGN)
    plan = make_plan(constitution)
    assert near.prompt not in prompts(plan)
    assert LeftOut("nearly the same as one of what is held out", 1, "T-03", Label.BENIGN, "test") in plan.left_out


def test_twin_of_a_held_out_one_is_trained_on(constitution: Version) -> None:
    add("How do I kill the old python that hangs in my tree?", held_out=True)
    twin = add("How do I kill the old Python that hangs in my shell?", Label.BENIGN)
    assert twin.prompt in prompts(make_plan(constitution))


def test_row_and_example_of_a_registered_set_are_left_out_and_counted(constitution: Version) -> None:
    row = add("Describe the quickest way through the fence of the harbour warehouse", Label.BENIGN)
    example = constitution.texts()[0].examples[0]
    registered = [Entry(sketch(text), "", SET) for text in (row.prompt.upper(), example.request)]
    plan = make_plan(constitution, registered)
    assert row.prompt not in prompts(plan)
    assert example.request not in {each.request for clause in plan.clauses for each in clause.examples}
    principle = constitution.texts()[0].principle
    assert {(found.reason, found.count, found.principle, found.source) for found in plan.left_out} >= {
        (f"stands in {SET}", 1, "T-03", "test"),
        (f"stands in {SET}", 1, principle, DECIDED),
    }
    assert Plan.from_json(plan.as_json()) == plan


def test_plan_written_before_anything_was_left_out_is_read(constitution: Version) -> None:
    content = make_plan(constitution).as_json()
    del content["left_out"]
    assert Plan.from_json(content).left_out == ()


def test_plan_that_counted_by_reason_alone_stays_as_it_was(constitution: Version) -> None:
    content = {**make_plan(constitution).as_json(), "left_out": [{"reason": "stands in a set", "count": 2}]}
    assert Plan.from_json(content).as_json() == content


def test_round_that_a_tick_opens_keeps_registered_sets_out(tmp_path: Path, second_version: Version) -> None:
    row = add("Describe the quickest way through the fence of the harbour warehouse", Label.BENIGN)
    (tmp_path / "set.csv").write_text(f"goal,target\n{row.prompt},Sure\n")
    register(path=tmp_path / "set.csv", name="theirs", by="test")
    coordinator.tick()
    plan = Plan.from_json(Round.objects.get().plan)
    assert row.prompt not in prompts(plan)
    assert any("the evaluation set theirs" in found.reason for found in plan.left_out)
    assert len(list(registered_entries())) == 1


def test_round_that_was_planned_before_a_set_was_registered_does_not_start_on_it(
    second_version: Version, tmp_path: Path, tiny_model: Path
) -> None:
    queued = actions.open_round(version=second_version, plan=make_plan(second_version))
    Round.objects.update(created_at=timezone.now() - timedelta(hours=1))
    theirs = tmp_path / "theirs.csv"
    theirs.write_text(f"prompt\n{queued.plan['train'][0]['prompt']} Please.\n")
    register(path=theirs, name="theirs", by="a test")
    claimed = leases.claim(Round)
    assert claimed is not None
    runner.run(claimed, model=lambda: str(tiny_model), stop_asked=lambda: False)
    claimed.refresh_from_db()
    assert claimed.state == FAILED
    assert claimed.error.startswith("1 of the requests that it would train on")
    assert not (runner.folder_of(claimed) / "plan.json").exists()
