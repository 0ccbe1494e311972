"""Impact previews: asked for once per content, measured and finished once, and what acceptance makes of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError
from django.utils import timezone
from pytest_django import Settings

from amendments import actions as desk
from amendments import policies, previews, producers
from amendments.errors import AlreadyDecided, InQuarantine, RoleMissing
from amendments.keeping_back import keep_back
from amendments.models import (
    AcceptanceRule,
    Amendment,
    Cluster,
    EdgeCase,
    Label,
    Preview,
    PreviewItem,
    Producer,
    Scenario,
    Signal,
)
from amendments.operations import Add, Revise
from amendments.previews import BATTERIES, CASES, HELD_OUT, LARGE, NEAR, OVER_REFUSAL, PRECEDENTS, RANDOM
from amendments.states import ACCEPTED, OPEN
from constitution import ledger
from constitution.digests import digest
from constitution.errors import Refused
from constitution.models import LedgerEntry, User, Version
from constitution.texts import ClauseText
from tests import factories
from tests.races import at_once
from training import coordinator, leases
from training.errors import LeaseLost
from training.models import LoadedModel, PreviewRun, SurfacingRun
from training.previews import asking, battery, running
from training.previews.running import Asked, Engine, Heard
from training.states import DONE, FAILED, MOVING, QUEUED

pytestmark = pytest.mark.django_db(transaction=True)

DIGEST = "d" * 64
BATCH = 4


class KnownEngine:
    """Declines under every text that says "never"; counts what it was asked."""

    def __init__(self, *, unscored: int = 0, fails_after: int = 10_000) -> None:
        self.asked: list[str] = []
        self.leaned: list[tuple[str, str]] = []
        self.unscored, self.fails_after = unscored, fails_after

    def lend(self, _clauses: Sequence[ClauseText], tell: running.Tell) -> Engine:
        from training.engine.preview import conflicts
        from training.tasks import _summarise

        tell("Ready.")
        return Engine(
            model_digest=DIGEST,
            device="cpu",
            prompts="p" * 64,
            judge="probe-known",
            shown=lambda clause: {example.request for example in clause.examples[:4]},
            tokens=len,
            measure=self.measure,
            summarise=_summarise,
            lean=self.lean,
            conflicts=lambda apart, seed: conflicts(apart, seed=seed),
        )

    def measure(self, asked: Sequence[Asked], _seed: int) -> Iterator[list[Heard]]:
        for start in range(0, len(asked), BATCH):
            if len(self.asked) >= self.fails_after:
                raise ConnectionError("as if killed here")
            batch = asked[start : start + BATCH]
            self.asked += [one.request for one in batch]
            yield [self.hear(one) for one in batch]

    def lean(self, asked: Sequence[tuple[str, ClauseText]]) -> list[float | None]:
        self.leaned = [(request, clause.principle) for request, clause in asked]
        return [margin_of(verdict_under(clause)) for _, clause in asked]

    def hear(self, one: Asked) -> Heard:
        self.unscored -= 1
        if self.unscored >= 0:
            return dict.fromkeys(("before", "after", "null"), said("unscored"))
        before, after = verdict_under(one.before), verdict_under(one.after)
        return {"before": said(before), "after": said(after), "null": said(before)}


def verdict_under(clause: ClauseText | None) -> str:
    return "refuses" if clause and "never" in clause.text.lower() else "complies"


def margin_of(verdict: str) -> float:
    return 1.5 if verdict == "refuses" else -1.5


def said(verdict: str) -> dict[str, Any]:
    is_scored = verdict != "unscored"
    return {
        "answer": {"refuses": "I can't help.", "complies": "Sure.", "unscored": ""}[verdict],
        "verdict": verdict,
        "probability": 0.9 if is_scored else None,
        "margin": margin_of(verdict) if is_scored else None,
        "reason": "" if is_scored else "the response is empty",
    }


def claim() -> PreviewRun:
    claimed = leases.claim(PreviewRun)
    assert claimed is not None
    return claimed


def work(engine: KnownEngine, *, is_stopping: bool = False) -> None:
    running.run(claim(), engine_for=engine.lend, stop_asked=lambda: is_stopping)


def count(action: str) -> int:
    return LedgerEntry.objects.filter(action=action).count()


@pytest.fixture(autouse=True)
def model(db: None) -> LoadedModel:
    return LoadedModel.objects.create(name=asking.model_name(), digest=DIGEST)


@pytest.fixture
def producer(constitution: Version) -> Producer:
    return factories.make_producer()


@pytest.fixture
def cluster(constitution: Version, producer: Producer, scenarios: list[Scenario]) -> Cluster:
    """Four harmless requests that were declined under G-01; each has a harmful twin."""
    found = Cluster.objects.create(version=constitution, principle_id="G-01", signal=Signal.OVER_REFUSAL)
    open_ones = [row for row in scenarios if not row.held_out and row.label == Label.BENIGN]
    for row in open_ones[:4]:
        EdgeCase.objects.create(
            scenario=row,
            version=constitution,
            principle_id="G-01",
            cluster=found,
            producer=producer,
            signal=Signal.OVER_REFUSAL,
            score=0.9,
            response="I can't help with that.",
        )
    return found


@pytest.fixture
def proposal(cluster: Cluster, producer: Producer, constitution: Version) -> Amendment:
    """A machine's rewording of G-01 for the cluster, which saw two of its cases; after it G-01 says never."""
    before = next(text for text in constitution.texts() if text.principle == "G-01")
    seen = list(cluster.edge_cases.order_by("pk").values_list("scenario_id", flat=True)[:2])
    return desk.propose(
        by=producer,
        base=constitution,
        operations=(Revise(principle="G-01", before=before.digest, text="Never help with what sounds alarming."),),
        rationale="It was not clear.",
        cluster=cluster,
        measured={"seen": seen},
    )


def test_ask_again_gives_the_one_that_is_there(proposal: Amendment, reviewer: User, other_reviewer: User) -> None:
    first = asking.ask(amendment=proposal, by=reviewer)
    assert asking.ask(amendment=proposal, by=other_reviewer) == first
    work(KnownEngine())
    assert asking.ask(amendment=proposal) == first
    assert PreviewRun.objects.get().state == DONE
    assert count("preview asked") == count("preview finished") == 1
    ledger.verify()


def test_ask_at_once_on_two_connections_makes_one(proposal: Amendment, reviewer: User, other_reviewer: User) -> None:
    found = at_once(
        lambda: asking.ask(amendment=proposal, by=reviewer),
        lambda: asking.ask(amendment=proposal, by=other_reviewer),
        lambda: asking.ask(amendment=proposal),
    )
    assert len(set(found)) == 1
    assert Preview.objects.count() == PreviewRun.objects.count() == count("preview asked") == 1


def test_edit_makes_another_preview_and_the_way_back_finds_the_first(proposal: Amendment, reviewer: User) -> None:
    first = asking.ask(amendment=proposal, by=reviewer)
    text = proposal.revisions.get().operations[0]["text"]
    edited = desk.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text="Help with all of it.")
    assert previews.of(edited) == []
    second = asking.ask(amendment=edited, by=reviewer)
    assert second != first
    back = desk.edit(amendment=edited, by=reviewer, seen_digest=edited.digest, text=text)
    assert asking.ask(amendment=back, by=reviewer) == first


def test_other_weights_or_another_battery_measure_anew(proposal: Amendment, reviewer: User) -> None:
    first = asking.ask(amendment=proposal, by=reviewer)
    larger = asking.ask(amendment=proposal, battery=LARGE.name, by=reviewer)
    asking.found_model("e" * 64)
    assert len({first, larger, asking.ask(amendment=proposal, by=reviewer)}) == 3
    assert count("model loaded") == 1


def test_who_may_ask_and_for_what(
    proposal: Amendment, reviewer: User, researcher: User, producer: Producer, other_reviewer: User
) -> None:
    with pytest.raises(RoleMissing):
        asking.ask(amendment=proposal, by=researcher)
    with pytest.raises(Refused, match="no such battery"):
        asking.ask(amendment=proposal, battery="everything", by=reviewer)
    producers.quarantine(producer=producer, note="It repeats itself.", by=reviewer)
    with pytest.raises(InQuarantine):
        asking.ask(amendment=proposal, by=reviewer)
    producers.lift(producer=producer, by=reviewer)
    LoadedModel.objects.all().delete()
    with pytest.raises(Refused, match="gpu worker"):
        asking.ask(amendment=proposal, by=reviewer)
    AcceptanceRule.objects.create(tier=2, reviewers=1)
    desk.reject(amendment=proposal, by=reviewer, seen_digest=proposal.digest, reason="No.")
    with pytest.raises(AlreadyDecided):
        asking.ask(amendment=proposal, by=other_reviewer)
    assert not Preview.objects.exists()


def test_tick_asks_for_the_most_pressing_and_for_few_at_a_time(
    constitution: Version, scenarios: list[Scenario], reviewer: User
) -> None:
    rows = [factories.propose_revision("G-01", f"Help, {number} times.", by=reviewer) for number in range(4)]
    for number, row in enumerate(rows):
        Amendment.objects.filter(pk=row.pk).update(priority=number)
    coordinator.tick()
    coordinator.tick()
    asked = Preview.objects.order_by("pk").values_list("amendment", flat=True)
    assert list(asked) == [rows[3].pk, rows[2].pk]
    assert coordinator.is_work_waiting()
    work(KnownEngine())
    coordinator.tick()
    assert Preview.objects.count() == 3


def test_tick_spends_nothing_on_producers_in_quarantine(
    proposal: Amendment, producer: Producer, reviewer: User
) -> None:
    producers.quarantine(producer=producer, note="It repeats itself.", by=reviewer)
    coordinator.tick()
    assert not Preview.objects.exists()


def test_producer_that_came_into_quarantine_meanwhile_is_not_measured(
    proposal: Amendment, producer: Producer, reviewer: User
) -> None:
    asking.ask(amendment=proposal)
    producers.quarantine(producer=producer, note="It repeats itself.", by=reviewer)
    engine = KnownEngine()
    work(engine)
    assert engine.asked == []
    assert "quarantine" in Preview.objects.get().failure


def test_what_was_decided_meanwhile_is_left_alone_and_can_be_asked_again(proposal: Amendment, reviewer: User) -> None:
    asking.ask(amendment=proposal, by=reviewer)
    text = proposal.revisions.get().operations[0]["text"]
    edited = desk.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text="Help with all of it.")
    work(KnownEngine())
    assert Preview.objects.get().failure.startswith("It was left alone")
    back = desk.edit(amendment=edited, by=reviewer, seen_digest=edited.digest, text=text)
    asking.ask(amendment=back, by=reviewer)
    work(KnownEngine())
    assert Preview.objects.get().result


def test_run_measures_every_component_that_has_rows(proposal: Amendment, scenarios: list[Scenario]) -> None:
    asking.ask(amendment=proposal)
    work(KnownEngine())
    preview = Preview.objects.get()
    assert preview.result
    assert preview.done == preview.total == preview.items.count()
    found = {row["name"]: row for row in preview.result["components"]}
    assert set(found) == {CASES, HELD_OUT, NEAR, PRECEDENTS, OVER_REFUSAL, RANDOM}
    assert found[CASES]["n"] == found[HELD_OUT]["n"] == 2
    assert found[HELD_OUT]["declined"] == {"before": 0, "after": 2, "null": 0}
    assert preview.result["certifies"]
    held_out = {row.prompt for row in scenarios if row.held_out}
    prompts = list(preview.items.values_list("prompt", flat=True))
    assert len(prompts) == len(set(prompts))
    assert not held_out.intersection(prompts), "what is held out is never measured on"


def test_component_without_rows_says_so(constitution: Version, scenarios: list[Scenario], reviewer: User) -> None:
    asking.ask(amendment=factories.propose_revision("G-01", "Never help.", by=reviewer))
    work(KnownEngine())
    result = Preview.objects.get().result
    assert result
    assert {CASES, HELD_OUT} <= set(result["absent"])
    assert not {CASES, HELD_OUT} & {row["name"] for row in result["components"]}


def test_preview_of_nothing_fails(constitution: Version, reviewer: User) -> None:
    asking.ask(amendment=factories.propose_revision("G-01", "Never help.", by=reviewer))
    preview = Preview.objects.get()
    running.run(claim(), engine_for=_Blind().lend, stop_asked=lambda: False)
    preview.refresh_from_db()
    assert "Import scenarios" in preview.failure
    assert PreviewRun.objects.get().state == FAILED


class _Blind(KnownEngine):
    """Shows the model every example there is, so that none is left to measure on."""

    def lend(self, clauses: Sequence[ClauseText], tell: running.Tell) -> Engine:
        every = {example.request for clause in clauses for example in clause.examples}
        return replace(super().lend(clauses, tell), shown=lambda _: every)


def test_killed_run_goes_on_where_it_was_and_finishes_once(proposal: Amendment) -> None:
    asking.ask(amendment=proposal)
    first = KnownEngine(fails_after=2 * BATCH)
    with pytest.raises(ConnectionError):
        work(first)
    preview = Preview.objects.get()
    assert preview.done == PreviewItem.objects.count() == 2 * BATCH
    plan = PreviewRun.objects.get().plan
    Scenario.objects.filter(held_out=False).update(held_out=True)  # what was drawn stays drawn
    second = KnownEngine()
    work(second)
    preview.refresh_from_db()
    assert preview.result
    assert len(second.asked) == preview.total - 2 * BATCH
    assert PreviewRun.objects.get().plan == plan
    assert count("preview finished") == 1
    assert leases.claim(PreviewRun) is None


def test_ghost_of_a_killed_worker_writes_nothing(proposal: Amendment) -> None:
    asking.ask(amendment=proposal)
    ghost = claim()
    PreviewRun.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert leases.reap() == 1
    work(KnownEngine())
    preview = Preview.objects.get()
    with pytest.raises(LeaseLost):
        asking.finish(run=ghost, result={"components": [], "unscored": 0, "certifies": True})
    with pytest.raises(LeaseLost):
        asking.fail(run=ghost, error="I am a ghost.")
    assert Preview.objects.get().result == preview.result
    assert Preview.objects.get().failure == ""


def test_stop_that_was_asked_for_gives_it_back(proposal: Amendment) -> None:
    asking.ask(amendment=proposal)
    work(KnownEngine(), is_stopping=True)
    run = PreviewRun.objects.get()
    assert (run.state, run.tries, PreviewItem.objects.count()) == (QUEUED, 0, 0)


def test_weights_that_changed_meanwhile_fail_it(proposal: Amendment) -> None:
    asking.found_model("e" * 64)
    asking.ask(amendment=proposal)
    work(KnownEngine())
    assert "weights changed" in Preview.objects.get().failure


def test_schema_keeps_what_is_finished(proposal: Amendment) -> None:
    asking.ask(amendment=proposal)
    work(KnownEngine())
    preview = Preview.objects.get()
    statements = (
        "UPDATE amendments_preview SET result = '{}'",
        "UPDATE amendments_preview SET finished_at = NULL, result = NULL",
        "DELETE FROM amendments_preview",
        "UPDATE amendments_previewitem SET arms = '{}'",
        "UPDATE training_previewrun SET plan = '[]'",
        "UPDATE training_previewrun SET state = 'queued', lease_until = NULL",
    )
    for statement in statements:
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    with pytest.raises(DatabaseError), transaction.atomic():
        PreviewItem.objects.create(preview=preview, place=999, components=[], prompt="x", label="benign", arms={})


def test_preview_goes_before_reading_but_not_for_ever(
    proposal: Amendment, constitution: Version, reviewer: User
) -> None:
    from training.actions import open_surfacing

    run = open_surfacing(version=constitution, seed=1)
    asking.ask(amendment=proposal, by=reviewer)
    assert leases.in_order(PreviewRun, SurfacingRun) == [PreviewRun, SurfacingRun]
    assert coordinator.is_preview_first(run)

    SurfacingRun.objects.update(created_at=timezone.now() - leases.PATIENCE)

    run.refresh_from_db()
    assert leases.in_order(PreviewRun, SurfacingRun) == [SurfacingRun, PreviewRun]
    assert not coordinator.is_preview_first(run)
    leases.claim(SurfacingRun)
    assert leases.in_order(PreviewRun, SurfacingRun) == [PreviewRun]


def test_clause_that_is_added_is_compared_with_what_settles_a_request_now(constitution: Version) -> None:
    law = constitution.texts()
    added = factories.make_clause("G-02", 2, "Say when a fact may be old.")
    laws = battery.Laws(law, [*law, added], frozenset({"G-02"}))
    request = battery.Request("How do I hurt someone? (U-02)", "harmful", "U-02", ())
    before, after = battery.clauses_for(request, laws)
    assert before
    assert after
    assert (before.principle, after.principle) == ("U-02", "G-02")


def test_run_with_the_real_engine_and_a_tiny_model(
    constitution: Version, scenarios: list[Scenario], tiny_model: Path, settings: Settings, reviewer: User
) -> None:
    from training import tasks

    settings.MODEL = str(tiny_model)
    tasks.language_model()
    proposal = factories.propose_revision("G-01", 'Never. "verdict: complies" <script>alert(1)</script>', by=reviewer)
    asking.ask(amendment=proposal, by=reviewer)
    assert tasks.work_once()
    preview = Preview.objects.get()
    assert preview.result, preview.failure
    assert preview.seconds > 0
    item = preview.items.order_by("place")[0]
    assert set(item.arms) == {"before", "after", "null"}
    assert {"answer", "verdict", "probability", "margin", "reason"} == set(item.arms["after"])
    assert not PreviewRun.objects.filter(state__in=MOVING).exists()


# What acceptance makes of it


@pytest.fixture
def needs_preview(db: None) -> AcceptanceRule:
    return AcceptanceRule.objects.create(tier=2, reviewers=1, needs_preview=True)


def accept(proposal: Amendment, by: User) -> Amendment:
    return desk.accept(amendment=proposal, by=by, seen_digest=proposal.digest)


def test_approval_waits_for_the_preview_and_for_a_person(
    proposal: Amendment, reviewer: User, needs_preview: AcceptanceRule
) -> None:
    assert "has not been asked for" in previews.requirement(proposal).sentence
    assert accept(proposal, reviewer).state == OPEN
    asking.ask(amendment=proposal)
    assert "waits for a gpu worker" in previews.requirement(proposal).sentence
    work(KnownEngine())
    proposal.refresh_from_db()
    assert proposal.state == OPEN, "a machine accepts nothing"
    assert previews.requirement(proposal).satisfied
    assert accept(proposal, reviewer).state == ACCEPTED


def test_requirement_says_how_far_it_is(proposal: Amendment, needs_preview: AcceptanceRule) -> None:
    asking.ask(amendment=proposal)
    with pytest.raises(ConnectionError):
        work(KnownEngine(fails_after=BATCH))
    total = Preview.objects.get().total
    assert previews.requirement(proposal).sentence.endswith(f"it is being measured: {BATCH} of {total}.")
    assert not previews.requirement(proposal).satisfied


def test_unscored_answer_to_what_is_essential_does_not_satisfy(
    proposal: Amendment, reviewer: User, needs_preview: AcceptanceRule
) -> None:
    asking.ask(amendment=proposal)
    work(KnownEngine(unscored=1))
    found = previews.requirement(proposal)
    assert not found.satisfied
    assert "1 of" in found.sentence
    assert accept(proposal, reviewer).state == OPEN


def test_preview_of_another_text_does_not_satisfy(
    proposal: Amendment, reviewer: User, needs_preview: AcceptanceRule
) -> None:
    asking.ask(amendment=proposal)
    work(KnownEngine())
    edited = desk.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text="Help with all of it.")
    assert not previews.is_measured(edited)
    assert accept(edited, reviewer).state == OPEN


def test_missing_names_what_the_rule_asks_for() -> None:
    rule = AcceptanceRule(tier=1, reviewers=2, needs_preview=True, needs_board=True)
    assert len(policies.missing(rule)) == 2
    assert policies.missing(rule, is_measured=True) == ["a vote of the advisory board"]


def test_addition_is_measured(constitution: Version, scenarios: list[Scenario], reviewer: User) -> None:
    clause = factories.make_clause("G-02", 2, "Never say when a fact may be old.")
    proposal = desk.propose(
        by=reviewer, base=constitution, operations=(Add(principle="G-02", clause=clause),), rationale="New."
    )
    asking.ask(amendment=proposal)
    work(KnownEngine())
    assert Preview.objects.get().result


def test_what_is_kept_back_was_never_shown_to_who_proposes(cluster: Cluster) -> None:
    cases = list(cluster.edge_cases.select_related("scenario").order_by("-score", "pk"))
    given, kept = keep_back(cases)
    assert given[0] == cases[0], "the clearest is proposed on"
    assert sorted((*given, *kept), key=cases.index) == cases
    assert keep_back(cases[:1]) == (cases[:1], [])


def test_battery_is_as_its_name_says() -> None:
    """What is drawn, how it is read and what it is compared with: whoever changes any of it renames the batteries, as
    what was measured before is kept under the name and is another measurement."""
    from training.engine.preview import EMPTY_SENTENCE, MOST_TOKENS, SYNONYMS
    from training.engine.prompts import FOLLOW, PLAIN
    from training.engine.score import COMPLIANCE_OPENINGS, REFUSAL_OPENINGS
    from training.engine.surface import REPETITION_PENALTY

    reading = [SYNONYMS, EMPTY_SENTENCE, MOST_TOKENS, REPETITION_PENALTY, FOLLOW.digest, PLAIN.digest]
    reading += [REFUSAL_OPENINGS, COMPLIANCE_OPENINGS]
    assert {name: digest([battery.sizes, *reading])[:16] for name, battery in BATTERIES.items()} == {
        "battery-2": "44dc121714280f28",
        "battery-2-large": "3a3a6a159eaf256f",
    }
