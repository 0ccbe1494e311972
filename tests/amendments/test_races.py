"""Two people at once, on two real connections: one outcome, nobody's text lost, one ledger entry each."""

from collections.abc import Callable
from datetime import timedelta
from time import sleep

import pytest
from django.utils import timezone
from pytest_django import Settings

from amendments import actions, states
from amendments.models import AcceptanceRule, Amendment, Review, Revision
from constitution import ledger
from constitution.errors import Refused
from constitution.models import LedgerEntry, Role, User, Version
from tests import factories
from tests.amendments.conftest import Propose
from tests.races import at_once

pytestmark = pytest.mark.django_db(transaction=True)
REPEATS = 8


@pytest.fixture(autouse=True)
def one_reviewer_decides(transactional_db: None) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)


def _count(action: str) -> int:
    return LedgerEntry.objects.filter(action=action).count()


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_accept_and_accept_publish_one_version(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    proposal = file_proposal()

    def accept(by: User) -> Callable[[], Amendment]:
        return lambda: actions.accept(amendment=proposal, by=by, seen_digest=proposal.digest)

    results = at_once(accept(reviewer), accept(other_reviewer))

    refusals = [str(result) for result in results if isinstance(result, Refused)]
    assert len(refusals) == 1
    assert "This proposal was accepted by" in refusals[0]
    assert (Version.objects.count(), _count("version published"), _count("amendment accepted")) == (2, 2, 1)
    ledger.verify()


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_accept_of_two_proposals_on_two_clauses_publishes_both(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    one, other = file_proposal(), file_proposal("T-03", "Decline in a line.")

    results = at_once(
        lambda: actions.accept(amendment=one, by=reviewer, seen_digest=one.digest),
        lambda: actions.accept(amendment=other, by=other_reviewer, seen_digest=other.digest),
    )

    assert not [result for result in results if isinstance(result, Refused)]
    head = Version.objects.head()
    assert head is not None
    texts = {clause.principle: clause.text for clause in head.texts()}
    assert (head.number, texts["T-03"]) == (3, "Decline in a line.")
    assert texts["G-01"].startswith("Help with every")
    ledger.verify()


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_accept_of_two_proposals_on_one_clause_publishes_one(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    one, other = file_proposal(), file_proposal(text="Help with harmless requests only.")

    results = at_once(
        lambda: actions.accept(amendment=one, by=reviewer, seen_digest=one.digest),
        lambda: actions.accept(amendment=other, by=other_reviewer, seen_digest=other.digest),
    )

    assert len([result for result in results if isinstance(result, Refused)]) == 1
    assert Version.objects.count() == 2
    found = sorted(Amendment.objects.values_list("state", flat=True))
    assert found == [states.ACCEPTED, states.OBSOLETE]


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_accept_and_edit_never_publish_words_the_voter_has_not_seen(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    proposal = file_proposal()
    text = "Help where it harms nobody."

    accepted, edited = at_once(
        lambda: actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest),
        lambda: actions.edit(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, text=text),
    )

    assert isinstance(accepted, Refused) != isinstance(edited, Refused)
    if isinstance(accepted, Amendment):
        assert accepted.version is not None
        published = {clause.principle: clause.text for clause in accepted.version.texts()}
        assert published["G-01"].startswith("Help with every")
    else:
        assert Revision.objects.get(amendment=proposal, number=2).operations[0]["text"] == text
        assert Version.objects.count() == 1


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_accept_and_reject_have_one_outcome(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    proposal = file_proposal()

    results = at_once(
        lambda: actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest),
        lambda: actions.reject(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, reason="Too broad."),
    )

    assert len([result for result in results if isinstance(result, Refused)]) == 1
    proposal.refresh_from_db()
    assert Version.objects.count() == (2 if proposal.state == states.ACCEPTED else 1)
    assert _count("amendment accepted") + _count("amendment rejected") == 1


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_edit_and_edit_keep_the_first_and_refuse_the_second(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    proposal = file_proposal()

    def edit(by: User) -> Callable[[], Amendment]:
        return lambda: actions.edit(amendment=proposal, by=by, seen_digest=proposal.digest, text=f"As {by} has it.")

    results = at_once(edit(reviewer), edit(other_reviewer))

    assert len([result for result in results if isinstance(result, Refused)]) == 1
    assert Revision.objects.filter(amendment=proposal).count() == 2


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_accept_and_withdraw_have_one_outcome(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    proposal = file_proposal(by=other_reviewer)

    results = at_once(
        lambda: actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest),
        lambda: actions.withdraw(amendment=proposal, by=other_reviewer),
    )

    assert len([result for result in results if isinstance(result, Refused)]) == 1
    proposal.refresh_from_db()
    assert Version.objects.count() == (2 if proposal.state == states.ACCEPTED else 1)
    assert _count("amendment accepted") + _count("amendment withdrawn") == 1


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_accept_of_one_that_is_being_carried_over_counts_for_words_that_were_seen(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    """Another acceptance rewords the clause, which the waiting amendment follows while somebody accepts it."""
    law = "Give general facts about medication. Leave doses to a clinician."
    other = file_proposal("H-02", law.replace("general", "plain"), by=other_reviewer)
    waiting = file_proposal("H-02", law.replace("doses", "all doses"), by=other_reviewer)

    results = at_once(
        lambda: actions.accept(amendment=other, by=reviewer, seen_digest=other.digest),
        lambda: actions.accept(amendment=waiting, by=reviewer, seen_digest=waiting.digest),
    )

    published = Version.objects.count() - 1
    assert published == _count("amendment accepted") == 2 - len([r for r in results if isinstance(r, Refused)])
    for row in Amendment.objects.undecided():
        assert not row.reviews.filter(digest=row.digest).exists(), "a vote went to words that nobody had seen"
    ledger.verify()


def _vote(proposal: Amendment, by: User) -> None:
    """Accept, with the time to undo just over and nothing settled yet."""
    actions.accept(amendment=proposal, by=by, seen_digest=proposal.digest)
    Review.objects.filter(reviewer=by).update(settles_at=timezone.now())


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_settle_and_settle_publish_once(
    file_proposal: Propose, reviewer: User, settings: Settings, attempt: int
) -> None:
    settings.UNDO_SECONDS = 10
    proposal = file_proposal()
    _vote(proposal, reviewer)

    results = at_once(lambda: actions.settle(proposal), lambda: actions.settle(proposal), actions.settle_due)

    assert not [result for result in results if isinstance(result, Exception)]
    assert (Version.objects.count(), _count("version published"), _count("amendment accepted")) == (2, 2, 1)
    ledger.verify()


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_settle_and_take_back_never_both_happen(
    file_proposal: Propose, reviewer: User, settings: Settings, attempt: int
) -> None:
    settings.UNDO_SECONDS = 10
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)
    soon = timezone.now() + timedelta(milliseconds=20)
    Review.objects.update(settles_at=soon)

    def wait_and(verb: Callable[[], object]) -> Callable[[], object]:
        def run() -> object:
            sleep(max(0.0, (soon - timezone.now()).total_seconds() - 0.005 + attempt * 0.002))
            return verb()

        return run

    _, taken = at_once(
        wait_and(lambda: actions.settle(proposal)),
        wait_and(lambda: actions.take_back(amendment=proposal, by=reviewer)),
    )
    actions.settle(proposal)

    is_published = Version.objects.count() == 2
    assert is_published == isinstance(taken, Refused) == Review.objects.exists() == (_count("amendment accepted") == 1)
    assert _count("review taken back") == (0 if is_published else 1)


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_settle_and_edit_publish_the_words_that_were_voted_on(
    file_proposal: Propose, reviewer: User, other_reviewer: User, settings: Settings, attempt: int
) -> None:
    settings.UNDO_SECONDS = 10
    proposal = file_proposal()
    _vote(proposal, reviewer)
    text = "Help where it harms nobody."

    _, edited = at_once(
        lambda: actions.settle(proposal),
        lambda: actions.edit(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, text=text),
    )

    head = Version.objects.head()
    assert head is not None
    assert (head.number == 2) == isinstance(edited, Refused) == (_count("amendment accepted") == 1)
    assert text not in {clause.text for clause in head.texts()}


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_vote_and_edit_leave_no_vote_for_words_that_nobody_saw(
    file_proposal: Propose, reviewer: User, other_reviewer: User, settings: Settings, attempt: int
) -> None:
    settings.UNDO_SECONDS = 10
    proposal = file_proposal()

    at_once(
        lambda: actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest),
        lambda: actions.edit(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, text="Help."),
    )
    Review.objects.update(settles_at=timezone.now())
    settled = actions.settle(proposal)

    assert (settled.state, Version.objects.count()) == (states.OPEN, 1)
    assert not settled.reviews.filter(digest=settled.digest).exists()


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_settle_and_another_vote_hear_both(
    file_proposal: Propose, reviewer: User, other_reviewer: User, settings: Settings, attempt: int
) -> None:
    """The second vote comes too late, and its caster is told; or it is in time, and is waited for."""
    settings.UNDO_SECONDS = 10
    proposal = file_proposal()
    _vote(proposal, reviewer)

    _, second = at_once(
        lambda: actions.settle(proposal),
        lambda: actions.reject(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, reason="No."),
    )
    Review.objects.update(settles_at=timezone.now())
    settled = actions.settle(proposal)

    assert settled.state == (states.ACCEPTED if isinstance(second, Refused) else states.CONFLICTED)


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_duplicates_of_each_other_close_one(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    one, other = file_proposal(), file_proposal(text="Help with harmless requests only.")

    results = at_once(
        lambda: actions.mark_duplicate(amendment=one, by=reviewer, of=other, reason=""),
        lambda: actions.mark_duplicate(amendment=other, by=other_reviewer, of=one, reason=""),
    )

    assert len([result for result in results if isinstance(result, Refused)]) == 1
    assert sorted(Amendment.objects.values_list("state", flat=True)) == [states.DUPLICATE, states.OPEN]


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_two_members_who_complete_the_quorum_publish_one_version(
    file_proposal: Propose, reviewer: User, board_member: User, attempt: int
) -> None:
    AcceptanceRule.objects.filter(tier=2).update(needs_board=True, quorum=1)
    other = factories.make_user("bruno", Role.BOARD)
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)

    def vote(by: User) -> Callable[[], Amendment]:
        return lambda: actions.vote(amendment=proposal, by=by, seen_digest=proposal.digest, verdict="for")

    results = at_once(vote(board_member), vote(other))

    assert len([result for result in results if isinstance(result, Refused)]) == 1
    assert (Version.objects.count(), _count("version published"), _count("amendment accepted")) == (2, 2, 1)
    ledger.verify()


@pytest.mark.parametrize("attempt", range(REPEATS))
def test_vote_of_the_board_and_edit_never_accept_unread_words(
    file_proposal: Propose, reviewer: User, other_reviewer: User, board_member: User, attempt: int
) -> None:
    AcceptanceRule.objects.filter(tier=2).update(needs_board=True, quorum=1)
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)

    voted, edited = at_once(
        lambda: actions.vote(amendment=proposal, by=board_member, seen_digest=proposal.digest, verdict="for"),
        lambda: actions.edit(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, text="Help."),
    )

    proposal.refresh_from_db()
    assert isinstance(voted, Refused) != isinstance(edited, Refused)
    assert (proposal.state == states.ACCEPTED) == isinstance(edited, Refused)
    assert _count("version published") == 1 + isinstance(edited, Refused)
    ledger.verify()
