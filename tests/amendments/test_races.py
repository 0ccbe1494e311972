"""Two people at once, on two real connections: one outcome, nobody's text lost, one ledger entry each."""

from collections.abc import Callable

import pytest

from amendments import actions, states
from amendments.models import AcceptanceRule, Amendment, Revision
from constitution import ledger
from constitution.errors import Refused
from constitution.models import LedgerEntry, User, Version
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
    assert "has accepted this proposal" in refusals[0]
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
