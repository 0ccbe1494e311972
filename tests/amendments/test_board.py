"""The advisory board: what reviewers send to it, how it votes, and that nobody counts twice."""

from datetime import timedelta
from typing import ClassVar

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import settings as shape
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pytest_django import Settings

from amendments import actions, board, bulk, policies, states
from amendments.board import Outcome
from amendments.errors import AlreadyDecided, ContentMoved, OwnProposal, RoleMissing, TooLate
from amendments.models import AcceptanceRule, Amendment, BoardVerdict, BoardVote, Notice, NoticeKind
from amendments.visibility import visible_board_votes
from constitution import ledger
from constitution.blame import sources
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, Role, User, Version
from tests import factories
from tests.amendments.conftest import Propose
from tests.amendments.deciding import UNDO, accept, ask, count, let_pass, reject, url

FOR, AGAINST, ABSTAIN, VETO, RECUSED = BoardVerdict.values


@pytest.fixture(autouse=True)
def small_quorums(db: None) -> None:
    """One reviewer, and two members of the board."""
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1, quorum=2)


@pytest.fixture
def members(board_member: User) -> list[User]:
    return [board_member, factories.make_user("bruno", Role.BOARD), factories.make_user("beate", Role.BOARD)]


@pytest.fixture
def sent(file_proposal: Propose, reviewer: User, members: list[User]) -> Amendment:
    return actions.refer(amendment=file_proposal(), by=reviewer, reason="Two values pull apart.")


def vote(proposal: Amendment, by: User, verdict: str = FOR, reason: str = "") -> Amendment:
    said = reason or ("It is too broad." if verdict in (AGAINST, VETO) else "")
    return actions.vote(amendment=proposal, by=by, seen_digest=proposal.digest, verdict=verdict, reason=said)


@pytest.mark.parametrize(
    ("verdicts", "members", "quorum", "expected"),
    [
        ([], 3, 1, Outcome.UNDER_WAY),
        ([FOR], 3, 2, Outcome.UNDER_WAY),
        ([FOR, FOR], 3, 2, Outcome.CARRIED),
        ([FOR, ABSTAIN], 3, 2, Outcome.CARRIED),  # who abstains is present
        ([FOR, RECUSED], 3, 2, Outcome.UNDER_WAY),  # who is recused is not
        ([ABSTAIN, ABSTAIN, ABSTAIN], 3, 2, Outcome.UNDER_WAY),  # nobody is for it
        ([FOR, FOR, AGAINST], 3, 2, Outcome.CARRIED),  # two thirds, exactly
        ([FOR, AGAINST], 3, 2, Outcome.UNDER_WAY),
        ([FOR, AGAINST, AGAINST], 3, 2, Outcome.LOST),
        ([FOR, AGAINST, AGAINST], 6, 3, Outcome.UNDER_WAY),  # three more can still carry it: four of six
        ([FOR, AGAINST, AGAINST], 5, 3, Outcome.LOST),  # three of five at most
        ([AGAINST, AGAINST], 9, 3, Outcome.UNDER_WAY),  # no quorum yet
        ([FOR, FOR, VETO], 3, 2, Outcome.UNDER_WAY),
        ([VETO, VETO, VETO], 3, 3, Outcome.UNDER_WAY),  # a veto can be withdrawn
        ([AGAINST, AGAINST, VETO], 3, 2, Outcome.LOST),
        ([RECUSED, RECUSED, RECUSED], 3, 1, Outcome.UNDER_WAY),
    ],
)
def test_outcome(verdicts: list[str], members: int, quorum: int, expected: Outcome) -> None:
    assert board.outcome(verdicts, members=members, quorum=quorum) == expected


def test_what_is_sent_to_the_board_takes_its_vote_beside_the_reviewers(
    sent: Amendment, reviewer: User, members: list[User]
) -> None:
    assert accept(sent, reviewer).state == states.OPEN
    assert vote(sent, members[0]).state == states.OPEN

    decided = vote(sent, members[1])

    assert (decided.state, decided.decided_by) == (states.ACCEPTED, members[1])
    assert Version.objects.count() == 2
    assert (count("amendment sent to the board"), count("board voted"), count("amendment accepted")) == (1, 1, 1)
    assert not LedgerEntry.objects.filter(action="board voted", detail__has_key="verdict").exists()
    ledger.verify()


def test_the_board_alone_accepts_nothing(sent: Amendment, reviewer: User, members: list[User]) -> None:
    for member in members:
        assert vote(sent, member).state == states.OPEN
    assert accept(sent, reviewer).state == states.ACCEPTED


def test_what_the_board_votes_down_is_rejected_with_its_reasons(
    sent: Amendment, reviewer: User, members: list[User]
) -> None:
    accept(sent, reviewer)
    vote(sent, members[0], AGAINST, "It is too broad.")
    decided = vote(sent, members[1], AGAINST, "It helps nobody.")

    assert (decided.state, decided.decided_by) == (states.REJECTED, members[1])
    assert decided.reason == "The advisory board voted it down. It is too broad. It helps nobody."
    assert Version.objects.count() == 1
    told = Notice.objects.filter(kind=NoticeKind.DECIDED).values_list("recipient__username", flat=True)
    assert set(told) == {reviewer.username, members[0].username}


def test_veto_stands_in_the_way_until_it_is_withdrawn(sent: Amendment, reviewer: User, members: list[User]) -> None:
    accept(sent, reviewer)
    vote(sent, members[0], VETO)
    for member in members[1:]:
        assert vote(sent, member).state == states.OPEN
    assert vote(sent, members[0], ABSTAIN).state == states.ACCEPTED


def test_board_settles_what_reviewers_disagree_on(
    file_proposal: Propose, reviewer: User, other_reviewer: User, members: list[User]
) -> None:
    AcceptanceRule.objects.filter(tier=2).update(reviewers=2)
    proposal = accept(file_proposal(), reviewer)
    proposal = reject(proposal, other_reviewer)
    assert proposal.state == states.CONFLICTED
    proposal = actions.refer(amendment=proposal, by=reviewer, reason="We keep disagreeing.")
    vote(proposal, members[0])

    assert vote(proposal, members[1]).state == states.ACCEPTED


def test_request_for_changes_is_answered_before_the_board_decides(
    sent: Amendment, reviewer: User, members: list[User]
) -> None:
    ask(sent, reviewer)
    assert [vote(sent, member).state for member in members] == [states.CHANGES_REQUESTED] * 3


def test_edited_text_voids_the_votes_and_stays_before_the_board(
    sent: Amendment, reviewer: User, other_reviewer: User, members: list[User]
) -> None:
    for member in members[:2]:
        vote(sent, member)
    edited = actions.edit(amendment=sent, by=other_reviewer, seen_digest=sent.digest, text="Help with all of it.")

    assert accept(edited, reviewer).state == states.OPEN
    with pytest.raises(ContentMoved):
        actions.vote(amendment=edited, by=members[2], seen_digest=sent.digest, verdict=FOR)
    vote(edited, members[0])
    assert vote(edited, members[2]).state == states.ACCEPTED


def test_universal_clauses_take_the_board_without_being_sent(
    file_proposal: Propose, other_reviewer: User, reviewer: User, members: list[User]
) -> None:
    AcceptanceRule.objects.create(tier=1, reviewers=1, needs_board=True, quorum=2)
    proposal = file_proposal("U-02", "Protect everybody.", by=other_reviewer)
    assert set(Notice.objects.values_list("recipient", flat=True)) == {member.pk for member in members}
    with pytest.raises(Refused, match="already"):
        actions.refer(amendment=proposal, by=reviewer, reason="It matters.")
    accept(proposal, reviewer)
    vote(proposal, members[0])
    assert vote(proposal, members[1]).state == states.ACCEPTED


def test_nobody_counts_twice(sent: Amendment, reviewer: User, other_reviewer: User, members: list[User]) -> None:
    both = factories.make_user("both", Role.REVIEWER, Role.BOARD)
    accept(sent, both)
    with pytest.raises(NotAllowed, match="You reviewed this"):
        vote(sent, both)
    other = factories.make_user("other", Role.REVIEWER, Role.BOARD)
    vote(sent, other)
    with pytest.raises(NotAllowed, match="as a member of the advisory board"):
        accept(sent, other)
    with pytest.raises(RoleMissing):
        vote(sent, reviewer)


def test_proposer_on_the_board_does_not_vote(file_proposal: Propose, reviewer: User, members: list[User]) -> None:
    proposal = actions.refer(amendment=file_proposal(by=members[0]), by=reviewer, reason="It matters.")
    with pytest.raises(OwnProposal):
        vote(proposal, members[0])


def test_vote_ends_with_the_role(sent: Amendment, reviewer: User, members: list[User]) -> None:
    accept(sent, reviewer)
    vote(sent, members[0])
    User.objects.filter(pk=members[0].pk).update(roles=[Role.RESEARCHER])
    assert vote(sent, members[1]).state == states.OPEN
    assert vote(sent, members[2]).state == states.ACCEPTED


def test_refer_says_why_not(file_proposal: Propose, reviewer: User, board_member: User) -> None:
    proposal = file_proposal()
    with pytest.raises(Refused, match="Only 1 is on the advisory board and could vote; it takes 2"):
        actions.refer(amendment=proposal, by=reviewer, reason="It matters.")
    with pytest.raises(Refused, match="Say why"):
        actions.refer(amendment=proposal, by=reviewer, reason=" ")
    with pytest.raises(RoleMissing):
        actions.refer(amendment=proposal, by=board_member, reason="It matters.")
    with pytest.raises(Refused, match="not before the advisory board"):
        vote(proposal, board_member)
    accept(proposal, reviewer)
    with pytest.raises(AlreadyDecided):
        vote(proposal, board_member)
    assert not BoardVote.objects.exists()


def test_vote_says_what_is_missing(sent: Amendment, members: list[User]) -> None:
    with pytest.raises(Refused, match="Choose how"):
        vote(sent, members[0], "maybe")
    for verdict in (AGAINST, VETO):
        with pytest.raises(Refused, match="Say why"):
            actions.vote(amendment=sent, by=members[0], seen_digest=sent.digest, verdict=verdict)


def test_recall_is_for_who_sent_it_and_for_ten_minutes(sent: Amendment, reviewer: User, other_reviewer: User) -> None:
    with pytest.raises(NotAllowed, match="sent it"):
        actions.recall(amendment=sent, by=other_reviewer)
    recalled = actions.recall(amendment=sent, by=reviewer)
    assert (recalled.referred_at, recalled.referred_by) == (None, None)
    assert not Notice.objects.filter(read_at=None, kind=NoticeKind.TURN).exists()

    again = actions.refer(amendment=recalled, by=reviewer, reason="After all.")
    Amendment.objects.filter(pk=again.pk).update(referred_at=timezone.now() - policies.RECALL - timedelta(seconds=1))
    with pytest.raises(TooLate):
        actions.recall(amendment=again, by=reviewer)
    assert count("amendment taken back from the board") == 1


def test_vote_can_be_taken_back_for_ten_seconds(
    settings: Settings, sent: Amendment, reviewer: User, members: list[User]
) -> None:
    accept(sent, reviewer)
    settings.UNDO_SECONDS = UNDO
    vote(sent, members[0])
    assert vote(sent, members[1]).state == states.OPEN, "both can be taken back"
    actions.take_back(amendment=sent, by=members[0])
    let_pass()
    assert actions.settle(sent).state == states.OPEN
    with pytest.raises(TooLate):
        actions.take_back(amendment=sent, by=members[1])
    vote(sent, members[2])
    let_pass()
    assert actions.settle(sent).state == states.ACCEPTED
    assert count("board vote taken back") == 1


def test_turn_of_a_member_lasts_until_they_voted(sent: Amendment, members: list[User]) -> None:
    def waiting() -> set[str]:
        return set(Notice.objects.filter(read_at=None).values_list("recipient__username", flat=True))

    assert waiting() == {member.username for member in members}
    vote(sent, members[0], RECUSED)
    assert waiting() == {member.username for member in members[1:]}


def test_votes_are_read_after_the_decision_and_a_veto_at_once(
    sent: Amendment, reviewer: User, members: list[User]
) -> None:
    vote(sent, members[0])
    vote(sent, members[1], VETO)
    assert [each.member for each in visible_board_votes(sent, members[0])] == members[:2]
    assert [each.member for each in visible_board_votes(sent, reviewer)] == [members[1]]
    accept(sent, reviewer)
    decided = vote(sent, members[1])
    assert [each.member for each in visible_board_votes(decided, reviewer)] == members[:2]

    assert decided.version is not None
    source = sources(decided.version.constitution, [decided.version.number])[decided.version.number]
    assert ("bela (advisory board)", "for") in {(each.voter, each.verdict) for each in source.votes}


def test_queue_shows_the_board_what_is_before_it(client: Client, sent: Amendment, file_proposal: Propose) -> None:
    other = file_proposal("T-03", "Decline in a line.")
    member = User.objects.get(username="bela")
    client.force_login(member, backend="sesame.backends.ModelBackend")
    for query in ("turn=mine", "turn=board"):
        page = client.get(f"{reverse('amendments:queue')}?{query}").content.decode()
        assert sent.get_absolute_url() in page
        assert other.get_absolute_url() not in page
    assert "before the board" in page
    vote(sent, member)
    assert sent.get_absolute_url() not in client.get(f"{reverse('amendments:queue')}?turn=mine").content.decode()


def test_pages_send_and_vote_without_scripts(client: Client, file_proposal: Propose, reviewer: User) -> None:
    members = [factories.make_user(name, Role.BOARD) for name in ("bela", "bruno")]
    proposal = file_proposal()
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    client.post(url("refer", proposal), {"reason": "values", "note": "Privacy and safety."})
    page = client.get(proposal.get_absolute_url()).content.decode()
    assert "Privacy and safety." in page
    assert "Take it back from the board" in page
    assert "2 members of the advisory board are present" in page
    assert "Vote as a member of the board" not in page
    client.post(url("accept", proposal), {"digest": proposal.digest})

    client.force_login(members[0], backend="sesame.backends.ModelBackend")
    empty = client.post(url("board-vote", proposal), {"digest": proposal.digest, "reason": "veto", "note": ""})
    assert empty.status_code == 409
    assert "Say why" in empty.content.decode()
    client.post(url("board-vote", proposal), {"digest": proposal.digest, "reason": "veto", "note": "Too <b>broad</b>."})
    page = client.get(proposal.get_absolute_url()).content.decode()
    assert "bela vetoes it: Too &lt;b&gt;broad&lt;/b&gt;." in page
    assert "Take it back from the board" not in page
    for member in members:
        client.force_login(member, backend="sesame.backends.ModelBackend")
        client.post(url("board-vote", proposal), {"digest": proposal.digest, "reason": "for", "note": ""})
    proposal.refresh_from_db()
    assert proposal.state == states.ACCEPTED
    assert client.get(proposal.get_absolute_url()).content.decode().count("For it</strong>") == 2


def test_many_at_once_leave_out_what_is_before_the_board(
    file_proposal: Propose, reviewer: User, members: list[User]
) -> None:
    proposal = file_proposal("T-03", "Decline in a line.")
    actions.refer(amendment=proposal, by=reviewer, reason="It matters.")
    proposal.refresh_from_db()
    with pytest.raises(NotAllowed, match="before the advisory board"):
        bulk.check_can_accept_among_many(proposal, policies.rule_for(3))


class Desk(RuleBasedStateMachine):
    """Votes of reviewers and of the board, edits, take-backs and waits: what is accepted has both."""

    reviewers: ClassVar[list[User]]
    members: ClassVar[list[User]]
    author: ClassVar[User]
    file: ClassVar[Propose]

    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.savepoint()
        self.row = actions.refer(amendment=self.file(by=self.author), by=self.reviewers[0], reason="It matters.")
        self.last = states.OPEN
        self.versions = Version.objects.count()

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.savepoint_rollback(self.savepoint)

    @rule(place=st.integers(0, 1), verb=st.sampled_from([accept, accept, reject, ask]))
    def review(self, place: int, verb: object) -> None:
        try:
            verb(self.row, self.reviewers[place])  # type: ignore[operator]
        except Refused:
            assert self.last in states.AMENDMENT.final

    @rule(place=st.integers(0, 2), verdict=st.sampled_from([FOR, FOR, FOR, AGAINST, ABSTAIN, VETO, RECUSED]))
    def vote(self, place: int, verdict: str) -> None:
        try:
            vote(self.row, self.members[place], verdict)
        except Refused:
            assert self.last in states.AMENDMENT.final

    @rule(number=st.integers(0, 1))
    def edit(self, number: int) -> None:
        try:
            self.row = actions.edit(
                amendment=self.row, by=self.author, seen_digest=self.row.digest, text=f"Help with harmless {number}."
            )
        except Refused:
            assert self.last in states.AMENDMENT.final

    @rule(place=st.integers(0, 2), seconds=st.sampled_from([4, 11]))
    def take_back_or_wait(self, place: int, seconds: int) -> None:
        try:
            actions.take_back(amendment=self.row, by=self.members[place])
        except TooLate:
            let_pass(seconds)

    @rule()
    def settle(self) -> None:
        actions.settle(self.row)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "row"):
            return
        self.row.refresh_from_db()
        votes = self.row.board_votes.filter(digest=self.row.digest)
        settled = [each.verdict for each in votes if policies.has_settled(each)]
        outcome = board.outcome(settled, members=3, quorum=2)
        if self.row.state == states.ACCEPTED and self.last != states.ACCEPTED:
            assert outcome == Outcome.CARRIED
            assert len(settled) == len(votes)
            approvals = policies.counted(self.row.reviews.all(), self.row.digest)
            assert "approve" in {review.verdict for review in approvals}
        assert self.last not in states.AMENDMENT.final or self.row.state == self.last
        assert Version.objects.count() - self.versions == (self.row.state == states.ACCEPTED)
        self.last = self.row.state


def test_nothing_before_the_board_is_accepted_without_its_vote(
    settings: Settings, file_proposal: Propose, members: list[User]
) -> None:
    settings.UNDO_SECONDS = UNDO

    class Here(Desk):
        reviewers: ClassVar = [factories.make_user(name, Role.REVIEWER) for name in ("ada", "grace")]
        author: ClassVar = factories.make_user("rosa", Role.RESEARCHER)
        file: ClassVar = staticmethod(file_proposal)

    Here.members = members
    run_state_machine_as_test(Here, settings=shape(max_examples=12, stateful_step_count=16, deadline=None))
