"""A vote can be taken back for some seconds: until then nothing is decided, and afterwards it is decided once."""

from typing import ClassVar

import pytest
from django.db import transaction
from hypothesis import settings as shape
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pytest_django import DjangoAssertNumQueries, Settings

from amendments import actions, policies, states, tasks
from amendments.actions import settling
from amendments.errors import AlreadyDecided, TooLate
from amendments.models import AcceptanceRule, Amendment, Review, Verdict
from config.celery import app
from constitution import ledger
from constitution.errors import Refused
from constitution.models import Role, User, Version
from tests import factories
from tests.amendments.conftest import Propose
from tests.amendments.deciding import TWO, UNDO, accept, ask, count, let_pass, reject


@pytest.fixture(autouse=True)
def ten_seconds(settings: Settings) -> None:
    settings.UNDO_SECONDS = UNDO


@pytest.fixture
def one_reviewer_decides(db: None) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)


@pytest.mark.usefixtures("one_reviewer_decides")
def test_vote_takes_effect_when_its_seconds_are_over_and_not_before(file_proposal: Propose, reviewer: User) -> None:
    proposal = accept(file_proposal(), reviewer)
    assert actions.settle(proposal).state == states.OPEN

    let_pass()
    settled = actions.settle(proposal)

    assert (settled.state, settled.decided_by, Version.objects.count()) == (states.ACCEPTED, reviewer, 2)
    assert actions.settle(proposal).version == settled.version
    assert (count("amendment reviewed"), count("amendment accepted")) == (1, 1)
    ledger.verify()


@pytest.mark.usefixtures("one_reviewer_decides")
def test_vote_taken_back_leaves_nothing_but_its_entries(file_proposal: Propose, reviewer: User) -> None:
    proposal = accept(file_proposal(), reviewer)

    actions.take_back(amendment=proposal, by=reviewer)
    let_pass()

    assert actions.settle(proposal).state == states.OPEN
    assert not Review.objects.exists()
    assert (count("amendment reviewed"), count("review taken back")) == (1, 1)


@pytest.mark.usefixtures("one_reviewer_decides")
def test_vote_that_counts_is_not_taken_back(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = accept(file_proposal(), reviewer)
    with pytest.raises(TooLate):
        actions.take_back(amendment=proposal, by=other_reviewer)
    let_pass()
    with pytest.raises(TooLate, match="counts by now"):
        actions.take_back(amendment=proposal, by=reviewer)
    actions.settle(proposal)
    with pytest.raises(TooLate, match="propose an amendment"):
        actions.take_back(amendment=proposal, by=reviewer)


@pytest.mark.usefixtures("one_reviewer_decides")
def test_vote_cast_while_another_is_in_the_air_is_heard(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = accept(file_proposal(), reviewer)
    let_pass(UNDO - 1)
    reject(proposal, other_reviewer)

    let_pass(2)
    assert actions.settle(proposal).state == states.OPEN, "the second vote can still be taken back"
    let_pass()
    assert actions.settle(proposal).state == states.CONFLICTED
    assert Version.objects.count() == 1


@pytest.mark.usefixtures("one_reviewer_decides")
def test_vote_that_waited_for_one_taken_back_takes_effect(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = accept(file_proposal(), reviewer)
    let_pass()
    reject(proposal, other_reviewer)

    actions.take_back(amendment=proposal, by=other_reviewer)

    proposal.refresh_from_db()
    assert (proposal.state, proposal.decided_by) == (states.ACCEPTED, reviewer)


@pytest.mark.usefixtures("one_reviewer_decides")
def test_rejection_settles_with_its_reason(file_proposal: Propose, reviewer: User) -> None:
    proposal = reject(file_proposal(), reviewer)
    assert proposal.state == states.OPEN
    let_pass()
    settled = actions.settle(proposal)
    assert (settled.state, settled.reason, settled.decided_by) == (states.REJECTED, "Too broad.", reviewer)


@pytest.mark.usefixtures("one_reviewer_decides")
def test_same_vote_again_does_not_begin_anew(file_proposal: Propose, reviewer: User) -> None:
    proposal = accept(file_proposal(), reviewer)
    let_pass(UNDO - 1)
    accept(proposal, reviewer)
    let_pass(2)
    assert actions.settle(proposal).state == states.ACCEPTED


def test_vote_changed_in_time_counts_as_it_was_changed(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = accept(file_proposal(), reviewer)
    accept(proposal, other_reviewer)
    reject(proposal, reviewer)
    let_pass()
    assert actions.settle(proposal).state == states.CONFLICTED


def test_reviewers_disagree_no_longer_once_one_takes_a_changed_vote_back(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = accept(file_proposal(), reviewer)
    reject(proposal, other_reviewer)
    let_pass()
    assert actions.settle(proposal).state == states.CONFLICTED

    accept(proposal, other_reviewer)
    actions.take_back(amendment=proposal, by=other_reviewer)

    proposal.refresh_from_db()
    assert proposal.state == states.OPEN


@pytest.mark.usefixtures("one_reviewer_decides")
def test_edit_voids_a_vote_in_the_air(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = accept(file_proposal(), reviewer)
    actions.edit(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, text="Help where it is safe.")
    let_pass()
    assert actions.settle(proposal).state == states.OPEN
    assert Version.objects.count() == 1


@pytest.mark.usefixtures("one_reviewer_decides")
def test_proposal_that_cannot_be_settled_keeps_no_other_waiting(
    file_proposal: Propose, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = accept(file_proposal(), reviewer), accept(file_proposal("H-02", "It helps at once."), reviewer)
    let_pass()
    settle = settling.settle

    def fails(amendment: Amendment) -> Amendment:
        if amendment == broken:
            raise RuntimeError("as if its row were damaged")
        return settle(amendment)

    monkeypatch.setattr(settling, "settle", fails)
    actions.settle_due()
    sound.refresh_from_db()
    broken.refresh_from_db()
    assert (sound.state, broken.is_undecided) == (states.ACCEPTED, True)


@pytest.mark.usefixtures("one_reviewer_decides")
def test_acceptance_elsewhere_leaves_no_vote_on_words_that_clash(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    persons = file_proposal(text="Help.", by=other_reviewer)
    accept(file_proposal(), reviewer)
    accept(persons, reviewer)
    let_pass()

    assert actions.settle_due() == 2, "in the order in which the votes came in"

    assert sorted(Amendment.objects.values_list("state", flat=True)) == [states.ACCEPTED, states.NEEDS_REBASE]
    assert actions.settle_due() == 0


@pytest.mark.usefixtures("one_reviewer_decides")
def test_sweep_finds_what_nobody_settled_and_nothing_else(
    file_proposal: Propose, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    early, late = file_proposal(), file_proposal("T-03", "Decline in a line.")
    accept(early, reviewer)
    let_pass()
    accept(late, reviewer)

    tasks.sweep()

    early.refresh_from_db()
    late.refresh_from_db()
    assert (early.state, late.state) == (states.ACCEPTED, states.OPEN)
    with django_assert_num_queries(2):  # for votes that are due, and for known items that are open
        tasks.sweep()


def test_task_has_the_name_it_is_sent_by(file_proposal: Propose) -> None:
    assert tasks.settle.name == "amendments.tasks.settle"
    assert app.conf.beat_schedule["settle"]["task"] == tasks.sweep.name
    tasks.settle(file_proposal().pk)


@pytest.mark.usefixtures("one_reviewer_decides")
def test_clause_that_clashes_twice_does_not_stand_in_the_way(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    persons = file_proposal(text="Help.", by=other_reviewer)
    for text in ("Help with every harmless request.", "Help with each harmless request there is."):
        head = Version.objects.head()
        proposal = accept(file_proposal(text=text, base=head), reviewer)
        let_pass()
        assert actions.settle(proposal).state == states.ACCEPTED
    persons.refresh_from_db()
    assert persons.state == states.NEEDS_REBASE


class Desk(RuleBasedStateMachine):
    """Votes, edits, take-backs, waits, settles and withdrawals, against a model of a few lines."""

    people: ClassVar[list[User]]
    author: ClassVar[User]
    file: ClassVar[Propose]

    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.savepoint()
        self.row = self.file(by=self.author)
        self.votes: dict[tuple[int, str], tuple[str, float]] = {}  # verdict and age
        self.last = states.OPEN
        self.entries = {name: count(name) for name in ("amendment accepted", "amendment rejected")}
        self.versions = Version.objects.count()

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.savepoint_rollback(self.savepoint)

    def present(self) -> list[tuple[str, float]]:
        return [vote for (_, digest), vote in self.votes.items() if digest == self.row.digest]

    def counted(self) -> list[str]:
        return [verdict for verdict, age in self.present() if age >= UNDO]

    @rule(place=st.integers(0, 2), verdict=st.sampled_from(["approve", "approve", "reject", "changes"]))
    def vote(self, place: int, verdict: str) -> None:
        by, verb = self.people[place], {"approve": accept, "reject": reject, "changes": ask}[verdict]
        try:
            verb(self.row, by)
        except Refused:
            assert self.last in states.AMENDMENT.final
            return
        key = (by.pk, self.row.digest)
        if self.votes.get(key, ("", 0))[0] != verdict:
            self.votes[key] = (verdict, 0)

    @rule(number=st.integers(0, 2))
    def edit(self, number: int) -> None:
        try:
            self.row = actions.edit(
                amendment=self.row, by=self.author, seen_digest=self.row.digest, text=f"Help with harmless {number}."
            )
        except Refused:
            assert self.last in states.AMENDMENT.final

    @rule(place=st.integers(0, 2))
    def take_back(self, place: int) -> None:
        by = self.people[place]
        fresh = [key for key, (_, age) in self.votes.items() if key[0] == by.pk and age < UNDO]
        try:
            actions.take_back(amendment=self.row, by=by)
        except TooLate:
            assert not fresh or self.last in states.AMENDMENT.final
            return
        assert fresh
        for key in fresh:
            del self.votes[key]

    @rule(seconds=st.sampled_from([4, 11]))
    def wait(self, seconds: int) -> None:
        let_pass(seconds)
        self.votes = {key: (verdict, age + seconds) for key, (verdict, age) in self.votes.items()}

    @rule()
    def settle(self) -> None:
        actions.settle(self.row)
        self.row.refresh_from_db()
        if self.row.is_undecided and len(self.counted()) == len(self.present()):
            assert self.row.state == policies.outcome(TWO, self.counted())

    @rule()
    def withdraw(self) -> None:
        try:
            actions.withdraw(amendment=self.row, by=self.author)
        except AlreadyDecided:
            assert self.last in states.AMENDMENT.final

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "row"):
            return
        self.row.refresh_from_db()
        found = policies.counted(self.row.reviews.all(), self.row.digest)
        assert sorted(review.verdict for review in found) == sorted(self.counted())
        if self.row.state == states.ACCEPTED and self.last != states.ACCEPTED:
            assert self.counted().count(Verdict.APPROVE) >= 2
            assert set(self.counted()) == {Verdict.APPROVE} == {verdict for verdict, _ in self.present()}
        assert self.last not in states.AMENDMENT.final or self.row.state == self.last
        for name, before in self.entries.items():
            assert count(name) - before == (name == f"amendment {self.row.state}")
        assert Version.objects.count() - self.versions == (self.row.state == states.ACCEPTED)
        self.last = self.row.state


def test_vote_counts_exactly_while_it_is_of_the_present_text_and_settled(file_proposal: Propose) -> None:
    class Here(Desk):
        people: ClassVar = [factories.make_user(name, Role.REVIEWER) for name in ("ada", "grace", "mary")]
        author: ClassVar = factories.make_user("rosa", Role.RESEARCHER)
        file: ClassVar = staticmethod(file_proposal)

    run_state_machine_as_test(Here, settings=shape(max_examples=20, stateful_step_count=14, deadline=None))
