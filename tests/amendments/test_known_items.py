"""Known items: they take votes like any other, never publish, and close by themselves."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import settings as shape
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pytest_django import Settings

from amendments import actions, calibration, claims, discussion, known_items, producers, states, tasks
from amendments.actions import calibrating
from amendments.errors import RoleMissing, TooLate, WasKnown
from amendments.keeping_back import keep_back
from amendments.models import (
    AcceptanceRule,
    Amendment,
    Audience,
    Cluster,
    Notice,
    NoticeKind,
    Producer,
    Review,
    Revision,
)
from amendments.shares import Share
from constitution import ledger
from constitution.errors import BadFile, Refused
from constitution.files import read
from constitution.models import LedgerEntry, Role, Tier, User, Version
from tests import factories
from tests.amendments.conftest import Propose
from tests.amendments.deciding import UNDO, accept, ask, count, let_pass, reject
from tests.amendments.planting import WHY, known_text, plant
from tests.architecture.source import ROOT
from tests.races import at_once

Verb = Callable[[Amendment, User], Amendment]
SEED = ROOT / "constitution" / "seed" / "constitution.yaml"


@pytest.fixture
def one_decides(db: None) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)


@pytest.fixture
def ten_seconds(settings: Settings) -> None:
    settings.UNDO_SECONDS = UNDO


@pytest.fixture
def third(db: None) -> User:
    """So that two votes are not all that there can be."""
    return factories.make_user("mary", Role.REVIEWER)


def _told(person: User) -> list[str]:
    found = Notice.objects.filter(recipient=person, kind=NoticeKind.DECIDED, amendment__in=Amendment.objects.known())
    return list(found.values_list("sentence", flat=True))


# --- the schema


def _execute(sql: str, *values: str | int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


@pytest.mark.usefixtures("constitution")
def test_database_refuses_a_version_of_a_known_item(constitution: Version, reviewer: User) -> None:
    row = plant()
    decided = "decided_at = now(), decided_by_id = %s"
    with pytest.raises(IntegrityError, match="never_published"):
        _execute(
            f"UPDATE amendments_amendment SET state = 'accepted', {decided}, version_id = %s WHERE id = %s",  # noqa: S608
            reviewer.pk,
            constitution.pk,
            row.pk,
        )
    with pytest.raises(IntegrityError):
        _execute("UPDATE amendments_amendment SET version_id = %s WHERE id = %s", constitution.pk, row.pk)


@pytest.mark.usefixtures("constitution")
@pytest.mark.parametrize("to", ["", "approve"])
def test_database_keeps_a_known_item_what_it_is(to: str) -> None:
    row = plant()
    with pytest.raises(DatabaseError, match="Cannot update"):
        _execute("UPDATE amendments_amendment SET known_verdict = %s WHERE id = %s", to, row.pk)


def test_database_makes_no_known_item_of_a_real_proposal(file_proposal: Propose) -> None:
    row = file_proposal()
    with pytest.raises(DatabaseError, match="Cannot update"):
        _execute("UPDATE amendments_amendment SET known_verdict = 'reject' WHERE id = %s", row.pk)


def test_database_has_no_known_item_of_a_person(constitution: Version, reviewer: User) -> None:
    with pytest.raises(IntegrityError, match="known_is_a_machines"):
        Amendment.objects.create(
            base=constitution,
            principle_id="G-01",
            tier=2,
            touches=["G-01"],
            kinds=["revise"],
            author=reviewer,
            rationale="Mine.",
            digest="d" * 64,
            known_verdict="approve",
        )


# --- planting


def test_our_own_items_fit_our_own_constitution(db: None) -> None:
    content = read(SEED.read_text(encoding="utf-8"))
    factories.publish_founding_version(clauses=content.clauses)
    items = known_items.read(known_items.OURS)
    assert len(items) >= 8
    assert len(set(Counter(item.verdict for item in items).values())) == 1
    claimed = {
        verdict: [item.effect or 0 for item in items if item.verdict == verdict] for verdict in ("approve", "reject")
    }
    assert min(claimed["reject"]) < max(claimed["approve"]), "the effect gives the verdict away"

    planted = actions.plant(items=items, by="a test")

    assert (len(planted.amendments), planted.kept) == (len(items), [])
    assert {row.tier for row in planted.amendments} == {Tier.CONTEXTUAL}
    assert count("amendment proposed") == len(items)
    assert not LedgerEntry.objects.filter(detail__has_key="known_item").exists()
    ledger.verify()


@pytest.mark.usefixtures("constitution")
def test_each_item_is_planted_once_and_no_more_than_asked() -> None:
    items = [known_text(name) for name in ("one", "two", "three")]
    first = actions.plant(items=items, by="a test", most=2)
    again = actions.plant(items=items, by="a test")
    assert (len(first.amendments), len(again.amendments), len(again.before)) == (2, 1, 2)
    assert not actions.plant(items=items, by="a test").amendments


def test_principles_with_an_open_proposal_come_last(file_proposal: Propose) -> None:
    file_proposal("G-01")
    items = [known_text(f"g{n}") for n in range(3)] + [known_text(f"t{n}", "T-03") for n in range(3)]
    planted = actions.plant(items=items, by="a test", most=2, is_bare_too=True)
    assert planted.amendments[0].principle_id == "T-03"
    assert actions.plant(items=[known_text("h", "H-02"), *items], by="a test", most=1).amendments[0].known.name == "h"


@pytest.mark.usefixtures("constitution")
def test_overseers_plant_and_nobody_else(overseer: User, reviewer: User, operator: User) -> None:
    assert plant(by=overseer).known.planted_by == overseer
    for person in (reviewer, operator):
        with pytest.raises(RoleMissing):
            plant("two", by=person)


@pytest.mark.usefixtures("constitution")
@pytest.mark.parametrize("principle", ["U-02", "X-99"])
def test_item_that_no_machine_could_propose_is_left_out(principle: str) -> None:
    planted = actions.plant(items=[known_text(principle=principle)], by="a test")
    assert not planted.amendments
    assert [name for name, _ in planted.kept] == ["one"]
    assert not Amendment.objects.exists()


def test_item_looks_like_what_models_propose(file_proposal: Propose, cluster: Cluster, producer: Producer) -> None:
    real = file_proposal(cluster=cluster)

    row = plant()

    assert (row.producer, row.cluster, row.signal, row.priority) == (producer, cluster, real.signal, real.priority)
    given, kept = keep_back(list(cluster.edge_cases.select_related("scenario").order_by("-score", "pk")))
    assert row.measured["seen"] == [case.scenario_id for case in given]
    assert (len(given), len(kept)) == (1, 2)
    assert row.rationale.startswith('Under G-01 the model refused 1 harmless request, such as "How do I kill process')
    assert (
        row.measured["score_words"]
        == "It moves the cases by +0.42 nats the wanted way. Requests that look alike lose 0.03 nats."
    )


def test_item_that_would_stand_out_is_left_out(file_proposal: Propose, cluster: Cluster) -> None:
    file_proposal(cluster=cluster)
    planted = actions.plant(items=[known_text(principle="T-03"), known_text("two")], by="a test")
    assert [row.known.name for row in planted.amendments] == ["two"]
    assert "would stand out" in planted.kept[0][1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("items: []", "is empty"),
        ("items: [{name: a}]", "principle"),
        ("[", "cannot be read"),
        ("items: 3", "items"),
    ],
)
def test_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "items.yaml"
    file.write_text(text)
    with pytest.raises(BadFile, match=says):
        known_items.read(file)


# --- voting


@pytest.mark.usefixtures("constitution", "one_decides", "ten_seconds")
@pytest.mark.parametrize("verb", [accept, reject, ask])
def test_vote_leads_nowhere_and_its_reviewer_is_told_once_it_counts(
    reviewer: User, other_reviewer: User, third: User, verb: Verb
) -> None:
    row = verb(plant(), reviewer)
    assert (actions.settle(row).state, _told(reviewer)) == (states.OPEN, [])

    let_pass()
    actions.settle(row)
    actions.settle(row)

    row.refresh_from_db()
    assert (row.state, Version.objects.count()) == (states.OPEN, 1)
    assert _told(reviewer) == [f"It was a known item, planted to measure the desk. Right is to reject it: {WHY}"]
    assert _told(other_reviewer) == []
    for again in (accept, reject, ask):
        with pytest.raises(WasKnown):
            again(row, reviewer)
    accept(row, other_reviewer)
    assert count("amendment reviewed") == 2
    ledger.verify()


@pytest.mark.usefixtures("constitution", "one_decides", "ten_seconds")
def test_vote_is_undone_before_anything_is_told(reviewer: User) -> None:
    row = accept(plant(), reviewer)
    actions.take_back(amendment=row, by=reviewer)
    let_pass()
    actions.settle(row)
    assert (_told(reviewer), Review.objects.count()) == ([], 0)
    reject(row, reviewer)
    let_pass()
    actions.settle(row)
    with pytest.raises(TooLate):
        actions.take_back(amendment=row, by=reviewer)


@pytest.mark.usefixtures("constitution", "one_decides")
def test_who_was_told_does_nothing_that_others_see(reviewer: User, other_reviewer: User, third: User) -> None:
    row = reject(plant(), reviewer)
    tries = (
        lambda: actions.edit(amendment=row, by=reviewer, seen_digest=row.digest, text="Otherwise."),
        lambda: actions.defer(amendment=row, by=reviewer, until=timezone.localdate() + timedelta(days=3), reason="x"),
        lambda: actions.assign(amendment=row, by=reviewer, to=other_reviewer),
        lambda: claims.renew(amendment=row, by=reviewer),
        lambda: discussion.say(amendment=row, by=reviewer, text="A test!", audience=Audience.EVERYBODY),
        lambda: actions.mark_duplicate(amendment=row, by=reviewer, of=plant("two"), reason="x"),
    )
    for each in tries:
        with pytest.raises(WasKnown):
            each()
    assert Revision.objects.filter(amendment=row).count() == 1


@pytest.mark.usefixtures("constitution", "one_decides")
def test_turn_is_over_with_the_vote(reviewer: User, other_reviewer: User, third: User) -> None:
    row = actions.assign(amendment=plant(), by=other_reviewer, to=reviewer)
    reject(row, reviewer)
    assert not Notice.objects.filter(kind=NoticeKind.TURN, read_at=None).exists()


# --- closing


@pytest.mark.usefixtures("constitution", "one_decides")
@pytest.mark.parametrize("wanted", [3, 4, 5], ids=["three", "all", "more than there are"])
def test_it_closes_when_enough_reviewers_voted(
    reviewer: User, other_reviewer: User, third: User, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "VOTERS", wanted)
    if wanted > 3:
        User.objects.filter(username="founder").update(is_active=False)
    row = plant()
    for person in (reviewer, other_reviewer):
        accept(row, person)
    row.refresh_from_db()
    assert row.is_undecided

    accept(row, third)

    row.refresh_from_db()
    assert (row.state, row.decided_by, row.version) == (states.OBSOLETE, None, None)
    entry = LedgerEntry.objects.get(action="amendment obsolete")
    told = {"known_item": "one", "right": "reject", "planted_by": "a command", "told_without_a_vote": []}
    assert entry.detail == {"content": row.digest, **told}
    assert Version.objects.count() == 1
    ledger.verify()


@pytest.mark.usefixtures("constitution", "ten_seconds", "third")
def test_it_closes_after_some_days_but_not_under_a_vote_in_the_air(
    reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = plant()
    tasks.sweep()
    monkeypatch.setattr(calibrating, "OPEN_FOR", timedelta())
    accept(row, reviewer)
    tasks.sweep()
    assert Amendment.objects.get().is_undecided

    let_pass()
    tasks.sweep()

    assert Amendment.objects.get().state == states.OBSOLETE
    assert len(_told(reviewer)) == 1
    assert actions.close_known() == 0


@pytest.mark.usefixtures("constitution", "ten_seconds", "third")
def test_it_closes_when_it_was_edited(reviewer: User, other_reviewer: User) -> None:
    row = plant()
    actions.edit_and_accept(amendment=row, by=reviewer, seen_digest=row.digest, text="Help with what is harmless.")
    tasks.sweep()
    assert Amendment.objects.get().is_undecided, "the vote can still be taken back"

    let_pass()
    tasks.sweep()

    assert Amendment.objects.get().state == states.OBSOLETE
    assert calibration.measures(reviewer) == [], "nobody knows what is right about another text"


@pytest.mark.usefixtures("one_decides", "third")
def test_version_that_changes_its_clause_closes_it_and_nothing_else(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    real, row, beside = file_proposal(), plant(), plant("two", "T-03")
    accept(row, other_reviewer)

    accept(real, reviewer)

    found = {each.pk: each.state for each in Amendment.objects.all()}
    assert found == {real.pk: states.ACCEPTED, row.pk: states.OBSOLETE, beside.pk: states.OPEN}
    assert [sentence[:20] for sentence in _told(other_reviewer)] == ["It was a known item,"]
    assert Version.objects.count() == 2


@pytest.mark.usefixtures("one_decides", "third")
def test_known_item_covers_no_other_proposal(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    real, row = file_proposal(), plant()
    with pytest.raises(WasKnown, match="covers nothing"):
        actions.mark_duplicate(amendment=real, by=reviewer, of=row, reason="The same.")

    real.refresh_from_db()
    assert real.is_undecided
    assert len(_told(reviewer)) == 1
    with pytest.raises(WasKnown):
        accept(row, reviewer)
    accept(row, other_reviewer)
    assert not Review.objects.filter(reviewer=reviewer).exists()
    actions.edit(amendment=row, by=factories.make_user("eva", Role.REVIEWER), seen_digest=row.digest, text="Help.")
    actions.close_known()
    assert LedgerEntry.objects.get(action="amendment obsolete").detail["told_without_a_vote"] == ["ada"]


@pytest.mark.usefixtures("one_decides", "third")
def test_it_is_closed_as_a_duplicate_and_counts_nowhere(file_proposal: Propose, reviewer: User) -> None:
    real, row = file_proposal(), plant()
    actions.mark_duplicate(amendment=row, by=reviewer, of=real, reason="The same.")
    assert not Amendment.objects.decided().exists()
    assert producers.record(real.producer) == "nothing of it decided yet"  # type: ignore[arg-type]


@pytest.mark.usefixtures("one_decides", "third")
def test_it_takes_no_place_of_its_producer_and_goes_with_its_producer(
    file_proposal: Propose, producer: Producer, reviewer: User, other_reviewer: User
) -> None:
    row = plant()
    producers.set_quota(producer=producer, most=1, by=reviewer)
    real = file_proposal()
    accept(row, other_reviewer)
    producers.quarantine(producer=producer, note="It repeats itself.", by=reviewer)
    clearance = producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)
    while producers.clear(seconds=5):
        pass

    assert {each.state for each in Amendment.objects.filter(pk__in=[real.pk, row.pk])} == {states.REJECTED}
    assert clearance.total == 2
    assert [share.share for share in calibration.measures(other_reviewer)] == [Share(0, 1)]


# --- the measure


@pytest.mark.usefixtures("constitution", "one_decides", "third")
def test_measure_counts_votes_that_count_on_what_was_planted(
    reviewer: User, other_reviewer: User, overseer: User
) -> None:
    good, bad, unclear = plant("a", verdict="approve"), plant("b"), plant("c", "T-03", "approve")
    accept(good, reviewer)
    accept(bad, reviewer)
    ask(unclear, reviewer)
    reject(good, other_reviewer)

    assert calibration.measures(reviewer) == [calibration.Measure("ada", Share(1, 3), 1, 0, 1)]
    assert calibration.measures(overseer) == [
        calibration.Measure("ada", Share(1, 3), 1, 0, 1),
        calibration.Measure("grace", Share(0, 1), 0, 1, 0),
    ]


@pytest.mark.usefixtures("constitution", "one_decides", "third", "reviewer", "other_reviewer")
def test_who_planted_it_is_not_measured_by_it() -> None:
    both = factories.make_user("vera", Role.REVIEWER, Role.OVERSEER)
    accept(plant(by=both), both)
    accept(plant("two"), both)
    assert [measure.share for measure in calibration.measures(both)] == [Share(0, 1)]
    assert calibration.listing(both) == []


@pytest.mark.usefixtures("constitution", "ten_seconds", "third")
def test_vote_in_the_air_is_not_measured(reviewer: User) -> None:
    accept(plant(), reviewer)
    assert calibration.measures(reviewer) == []


# --- two at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("constitution", "one_decides")
@pytest.mark.parametrize("attempt", range(5))
def test_two_votes_at_once_close_it_once(
    reviewer: User, other_reviewer: User, attempt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrating, "VOTERS", 2)
    row = plant()

    results = at_once(lambda: accept(row, reviewer), lambda: reject(row, other_reviewer))

    assert not [result for result in results if isinstance(result, Refused)]
    row.refresh_from_db()
    assert (row.state, Version.objects.count(), count("amendment obsolete")) == (states.OBSOLETE, 1, 1)
    assert [len(_told(person)) for person in (reviewer, other_reviewer)] == [1, 1]
    ledger.verify()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("one_decides", "third")
@pytest.mark.parametrize("attempt", range(5))
def test_vote_on_it_and_a_version_of_its_clause_at_once(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    real, row = file_proposal(), plant()

    results = at_once(lambda: accept(real, reviewer), lambda: accept(row, other_reviewer))

    assert isinstance(results[0], Amendment)
    row.refresh_from_db()
    assert (row.state, Version.objects.count(), count("amendment obsolete")) == (states.OBSOLETE, 2, 1)
    assert len(_told(other_reviewer)) == Review.objects.filter(amendment=row).count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("constitution", "ten_seconds", "third")
@pytest.mark.parametrize("attempt", range(3))
def test_two_settle_at_once_and_the_reviewer_is_told_once(reviewer: User, attempt: int) -> None:
    row = accept(plant(), reviewer)
    let_pass()
    at_once(lambda: actions.settle(row), lambda: actions.settle(row), actions.close_known)
    assert len(_told(reviewer)) == 1


# --- a whole life


class Life(RuleBasedStateMachine):
    """Votes, edits, take-backs, waits, sweeps and a version of its clause, in any order."""

    people: list[User]
    file: Propose

    @initialize(verdict=st.sampled_from(["approve", "reject"]))
    def begin(self, verdict: str) -> None:
        self.savepoint = transaction.savepoint()
        self.row = plant(verdict=verdict)
        self.real = type(self).file()
        self.is_published = False

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.savepoint_rollback(self.savepoint)

    @rule(place=st.integers(0, 2), verb=st.sampled_from([accept, reject, ask]))
    def vote(self, place: int, verb: Verb) -> None:
        self.row.refresh_from_db()
        told = bool(_told(self.people[place]))
        try:
            verb(self.row, self.people[place])
        except Refused:
            assert told or not self.row.is_undecided or self._counts(place)
        else:
            assert not told

    def _counts(self, place: int) -> bool:
        return self.row.reviews.filter(reviewer=self.people[place], settles_at__lte=timezone.now()).exists()

    @rule(place=st.integers(0, 2))
    def take_back(self, place: int) -> None:
        with suppress(TooLate):
            actions.take_back(amendment=self.row, by=self.people[place])

    @rule(place=st.integers(0, 2), number=st.integers(0, 2))
    def edit(self, place: int, number: int) -> None:
        self.row.refresh_from_db()
        text = f"Help with harmless {number}."
        with suppress(Refused):
            actions.edit(amendment=self.row, by=self.people[place], seen_digest=self.row.digest, text=text)

    @rule(seconds=st.sampled_from([4, 11]))
    def wait(self, seconds: int) -> None:
        let_pass(seconds)

    @rule()
    def sweep(self) -> None:
        tasks.sweep()

    @rule()
    def publish(self) -> None:
        self.real.refresh_from_db()
        if self.real.is_undecided:
            accept(self.real, self.people[0])
            accept(self.real, self.people[1])
            let_pass()
            actions.settle(self.real)
            self.is_published = True

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "row"):
            return
        self.row.refresh_from_db()
        assert self.row.state in (states.OPEN, states.OBSOLETE)
        assert self.row.version_id is None
        assert Version.objects.count() == 1 + self.is_published
        for person in self.people:
            votes = self.row.reviews.filter(reviewer=person)
            assert len(_told(person)) <= 1
            if _told(person) and self.row.is_undecided:
                assert votes.filter(settles_at__lte=timezone.now()).exists()


def test_life_of_a_known_item(file_proposal: Propose, settings: Settings) -> None:
    settings.UNDO_SECONDS = UNDO
    AcceptanceRule.objects.create(tier=2, reviewers=2)

    class Here(Life):
        people = [factories.make_user(name, Role.REVIEWER) for name in ("ada", "grace", "mary")]
        file = staticmethod(file_proposal)

    run_state_machine_as_test(Here, settings=shape(max_examples=15, stateful_step_count=14, deadline=None))
