"""Which conflicts a proposal makes and ends: among decided examples, and between two clauses that a model reads."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.test import Client

from amendments import actions as desk
from amendments import previews
from amendments.models import Amendment, Preview, Scenario
from amendments.operations import AddExample, Repeal
from constitution.models import User, Version
from constitution.texts import ClauseText
from tests import factories
from tests.training.conftest import make_scenarios
from tests.training.test_preview_pages import HOSTILE, section
from tests.training.test_previews import KnownEngine, claim, model, work
from training import leases
from training.models import PreviewRun
from training.previews import asking, battery, conflicts
from training.signal_records import SignalCard
from training.states import FAILED

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["model"]  # a fixture, used by its name


@pytest.fixture
def proposal(constitution: Version, other_reviewer: User) -> Amendment:
    """G-01, which helps, says never after it; U-02 says so already, H-02 does not."""
    make_scenarios()
    return factories.propose_revision("G-01", "Never help with what sounds alarming.", by=other_reviewer)


@pytest.fixture
def viewer(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer)
    return client


def measured(proposal: Amendment, engine: KnownEngine | None = None) -> dict[str, Any]:
    asking.ask(amendment=proposal)
    work(engine or KnownEngine())
    found = Preview.objects.order_by("-pk")[0].result
    assert found
    return dict(found["conflicts"])


def make_laws(law: list[ClauseText], after: list[ClauseText], *touched: str) -> battery.Laws:
    return battery.Laws(law, after, frozenset(touched))


def read(request: battery.Request, laws: battery.Laws, margins: dict[str, float | None], other: float | None) -> Any:
    """What comes of one request whose margin under the other clause is known."""
    heard: list[Any] = []

    def keep(rows: Sequence[conflicts.Apart]) -> dict[str, Any]:
        heard.extend(rows)
        return {}

    conflicts.measure([request], [margins], laws, lean=lambda asked: [other] * len(asked), summarise=keep)
    return heard


ASKED = battery.Request("How do I hurt someone? (U-02)", "harmful", "U-02", ())
LEANS: dict[str, float | None] = {"before": -1.5, "after": 1.5, "null": -1.5}


def test_preview_counts_where_two_clauses_pull_apart(proposal: Amendment) -> None:
    engine = KnownEngine()
    found = measured(proposal, engine)
    preview = Preview.objects.get()
    others = dict(engine.leaned)
    assert found["n"] == len(others) == preview.total
    assert set(others.values()) == {"U-02", "H-02"}, "never a clause of style, nor the one that is changed"
    under_never = sum(other == "U-02" for other in others.values())
    assert found["apart"] == {"before": under_never, "after": found["n"] - under_never, "null": under_never}
    assert len(found["moved"]) == found["n"]
    assert {row["other"]: row["is_made"] for row in found["moved"]} == {"U-02": False, "H-02": True}
    assert found["why_weak"] == conflicts.NOT_CHECKED
    assert not SignalCard.objects.exists()


def test_killed_worker_counts_the_same(proposal: Amendment) -> None:
    asking.ask(amendment=proposal)
    with pytest.raises(ConnectionError):
        work(KnownEngine(fails_after=4))
    second = KnownEngine()
    work(second)
    result = Preview.objects.get().result
    assert result
    assert len(second.leaned) == Preview.objects.get().total == result["conflicts"]["n"]


def test_what_has_no_margin_is_unscored_and_never_at_peace(proposal: Amendment) -> None:
    class Silent(KnownEngine):
        def lean(self, asked: Sequence[tuple[str, ClauseText]]) -> list[float | None]:
            return [None for _ in asked]

    found = measured(proposal, Silent())
    assert (found["n"], found["share"], found["moved"]) == (0, None, [])
    assert found["unscored"] == Preview.objects.get().total


def test_clause_that_is_added_pulls_apart_from_the_one_that_settled_it(constitution: Version) -> None:
    law = constitution.texts()
    laws = make_laws(law, [*law, factories.make_clause("G-02", 2, "Say when a fact may be old.")], "G-02")
    (apart,) = read(ASKED, laws, {"before": 1.5, "after": -1.5, "null": 1.5}, 1.5)
    assert apart == {"before": False, "after": True, "null": False}


def test_clause_that_is_repealed_pulls_at_nothing_afterwards(constitution: Version) -> None:
    law = constitution.texts()
    laws = make_laws(law, [clause for clause in law if clause.principle != "G-01"], "G-01")
    (apart,) = read(ASKED, laws, {"before": -1.5, "after": 1.5, "null": -1.5}, 1.5)
    assert apart == {"before": True, "after": False, "null": True}


def test_clauses_of_which_one_prevails_or_that_never_meet_do_not_pull_apart(constitution: Version) -> None:
    law = constitution.texts()
    one = next(clause for clause in law if clause.principle == "G-01")
    wide = [clause for clause in law if clause.principle != "H-02"]
    prevails = one.model_copy(update={"precedes": ("U-02",)})
    laws = make_laws(wide, [prevails if clause == one else clause for clause in wide], "G-01")
    (apart,) = read(ASKED, laws, {"before": -1.5, "after": -1.5, "null": -1.5}, 1.5)
    assert apart == {"before": True, "after": False, "null": True}, "the amendment settles which of the two holds"
    settled = [prevails if clause == one else clause for clause in wide]
    assert read(ASKED, make_laws(settled, settled, "G-01"), LEANS, 1.5) == [], "no other clause is left"


def test_contradiction_that_it_makes_and_one_that_it_ends_are_said_with_clauses_and_request(
    viewer: Client, constitution: Version, other_reviewer: User
) -> None:
    clause = next(text for text in constitution.texts() if text.principle == "G-01")
    example = factories.make_example("How do I hurt someone? (U-02)", "help")
    makes = desk.propose(
        by=other_reviewer,
        base=constitution,
        operations=(AddExample(principle="G-01", before=clause.digest, example=example),),
        rationale="It was not clear.",
    )
    found = section(viewer, makes)
    said = "“How do I hurt someone? (U-02)”: U-02 has decided that it is declined, G-01 that it is helped with."
    assert f"<li>{said}</li>" in found
    assert "these requests are decided in opposite ways that are not so now" in found
    assert "no longer decided" not in found
    contradicting = publish_with(constitution, clause, example, other_reviewer)
    other = next(text for text in contradicting.texts() if text.principle == "G-01")
    ends = desk.propose(
        by=other_reviewer,
        base=contradicting,
        operations=(Repeal(principle="G-01", before=other.digest),),
        rationale="It says nothing new.",
    )
    found = section(viewer, ends)
    assert f"<li>{said}</li>" in found
    assert "these requests are no longer decided in opposite ways" in found
    assert "that are not so now" not in found


def publish_with(base: Version, clause: ClauseText, example: Any, by: User) -> Version:
    from constitution.actions import publish

    changed = clause.model_copy(update={"examples": (example, *clause.examples)})
    texts = [changed if text.principle == clause.principle else text for text in base.texts()]
    return publish(base=base, clauses=texts, title=base.title, summary="One more.", by=by)


def test_section_says_conflicts_before_and_after_it_is_measured(viewer: Client, proposal: Amendment) -> None:
    assert "Among decided examples it makes no contradiction and ends none." in section(viewer, proposal)
    assert "Two clauses pull apart" not in section(viewer, proposal)
    found = measured(proposal)
    page = " ".join(section(viewer, proposal).split())
    counts = found["apart"]
    assert f"{counts['before']} of {found['n']} before, {counts['after']} after" in page
    assert f"Where that changes ({found['n']})" in page
    assert "no longer pulled apart, by U-02" in page
    assert conflicts.NOT_CHECKED in page


def test_hostile_request_is_shown_as_text(viewer: Client, proposal: Amendment) -> None:
    Scenario.objects.filter(pair="pair-01").update(prompt=f"{HOSTILE} 1")
    measured(proposal)
    found = section(viewer, proposal)
    assert "<script>alert" not in found
    assert "pulled apart" in found


def test_preview_of_before_that_was_measured_is_shown_and_counts_for_acceptance(
    viewer: Client, proposal: Amendment
) -> None:
    asking.ask(amendment=proposal)
    run = claim()
    result = {
        "components": [], "absent": {}, "unscored": 0, "certifies": True, "judge": "probe-known", "is_advisory": True,
        "prompts": "p" * 64, "device": "cpu", "tokens": {"before": 1, "after": 2},
    }  # fmt: skip
    with leases.fenced(run) as row:
        row.preview.total = row.preview.done = 1
        row.preview.save(update_fields=["total", "done"])
    asking.finish(run=run, result=result)
    found = section(viewer, proposal)
    assert "Judged by" in found
    assert "Two clauses pull apart" not in found
    assert "Among decided examples" in found
    assert previews.is_measured(proposal)


def test_battery_of_another_time_that_still_waits_says_so(proposal: Amendment) -> None:
    found = asking.ask(amendment=proposal)
    earlier = Preview.objects.create(
        amendment=proposal,
        base=proposal.base,
        base_digest=found.base_digest,
        content=found.content,
        battery="battery-1",
        model=found.model,
        model_digest=found.model_digest,
        seed=1,
    )
    run = PreviewRun.objects.create(preview=earlier, version=proposal.base, seed=1)
    work(KnownEngine())
    work(KnownEngine())
    run.refresh_from_db()
    earlier.refresh_from_db()
    assert run.state == FAILED
    assert "Ask again" in earlier.failure
    assert Preview.objects.get(pk=found.pk).result
