"""Requests for changes, and what tidies the desk."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from amendments import actions, policies, states
from amendments.errors import AlreadyDecided, OwnProposal, RoleMissing
from amendments.models import AcceptanceRule, Amendment
from constitution.errors import Refused
from constitution.models import LedgerEntry, Role, User
from tests import factories
from tests.amendments.conftest import Propose
from tests.amendments.deciding import ONE, TWO, UNDO, accept, ask, count, let_pass

BOTH = ["approve", "approve"]


@pytest.fixture(autouse=True)
def ten_seconds(settings: Settings) -> None:
    settings.UNDO_SECONDS = UNDO


@pytest.mark.parametrize(
    ("rule", "verdicts", "state"),
    [
        (ONE, ["changes"], states.CHANGES_REQUESTED),
        (ONE, ["changes", "approve"], states.CHANGES_REQUESTED),
        (TWO, ["changes"], states.CHANGES_REQUESTED),
        (TWO, ["changes", *BOTH], states.CHANGES_REQUESTED),
        (TWO, ["changes", "reject"], states.CHANGES_REQUESTED),
        (TWO, ["changes", "reject", "approve", "reject"], states.CHANGES_REQUESTED),
        (TWO, ["changes", "reject", "reject"], states.REJECTED),
    ],
)
def test_outcome_with_a_request_for_changes(rule: AcceptanceRule, verdicts: list[str], state: str) -> None:
    assert policies.outcome(rule, verdicts) == state


def test_request_for_changes_stands_against_approvals_until_it_is_withdrawn(
    file_proposal: Propose, reviewer: User, other_reviewer: User, board_member: User
) -> None:
    board_member.roles = [Role.REVIEWER]
    board_member.save()
    proposal = ask(file_proposal(), board_member)
    let_pass()
    assert actions.settle(proposal).state == states.CHANGES_REQUESTED

    for person in (reviewer, other_reviewer):
        accept(proposal, person)
    let_pass()
    assert actions.settle(proposal).state == states.CHANGES_REQUESTED

    accept(proposal, board_member)
    let_pass()
    assert actions.settle(proposal).state == states.ACCEPTED


def test_edit_after_a_request_for_changes_opens_it_again(file_proposal: Propose, reviewer: User) -> None:
    author = factories.make_user("rosa", Role.RESEARCHER)
    proposal = ask(file_proposal(by=author), reviewer)
    let_pass()
    proposal = actions.settle(proposal)
    assert proposal.state == states.CHANGES_REQUESTED

    same = proposal.revisions.get().operations[0]["text"]
    kept = actions.edit(amendment=proposal, by=author, seen_digest=proposal.digest, text=same)
    assert kept.state == states.CHANGES_REQUESTED
    moved = actions.edit(amendment=proposal, by=author, seen_digest=proposal.digest, text="Help where it is safe.")
    assert moved.state == states.OPEN


def test_request_for_changes_needs_a_reason_and_no_clash(
    file_proposal: Propose, reviewer: User, other_reviewer: User, settings: Settings
) -> None:
    settings.UNDO_SECONDS = 0
    AcceptanceRule.objects.create(tier=2, reviewers=1)
    persons = file_proposal(text="Help.", by=other_reviewer)
    with pytest.raises(Refused, match="Say why"):
        actions.request_changes(amendment=persons, by=reviewer, seen_digest=persons.digest, reason=" ")
    accept(file_proposal(), reviewer)
    with pytest.raises(Refused, match="waits for another wording already"):
        ask(persons, reviewer)


def test_deferral_ends_by_itself_or_at_once(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    tomorrow = timezone.localdate() + timedelta(days=1)

    put_off = actions.defer(amendment=proposal, by=reviewer, until=tomorrow, reason="A measurement comes first.")
    assert policies.is_deferred(put_off)
    back = actions.bring_back(amendment=proposal, by=reviewer)
    assert not policies.is_deferred(back)
    actions.bring_back(amendment=proposal, by=reviewer)

    assert (count("amendment deferred"), count("amendment brought back")) == (1, 1)


@pytest.mark.parametrize("days", [-1, 0, 366, 100_000])
def test_deferral_to_a_day_that_is_no_use_is_refused(file_proposal: Propose, reviewer: User, days: int) -> None:
    until = timezone.localdate() + timedelta(days=days)
    with pytest.raises(Refused, match="from tomorrow on"):
        actions.defer(amendment=file_proposal(), by=reviewer, until=until, reason="Later.")


def test_duplicate_names_the_other_and_makes_no_circle(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    one, other, third = file_proposal(), file_proposal(text="Help."), file_proposal(text="Help all.")

    def mark(row: Amendment, of: Amendment) -> Amendment:
        return actions.mark_duplicate(amendment=row, by=reviewer, of=of, reason="")

    with pytest.raises(Refused, match="of itself"):
        mark(one, one)
    closed = mark(one, other)
    assert (closed.state, closed.duplicate_of, closed.decided_by) == (states.DUPLICATE, other, reviewer)
    with pytest.raises(Refused, match=f"itself a duplicate, of proposal {other.pk}"):
        mark(other, one)
    with pytest.raises(AlreadyDecided):
        mark(one, third)
    actions.withdraw(amendment=(mine := file_proposal(text="Help us.", by=other_reviewer)), by=other_reviewer)
    with pytest.raises(Refused, match="covers nothing"):
        mark(third, mine)


def test_assignment_goes_to_those_who_may_decide(
    file_proposal: Propose, reviewer: User, other_reviewer: User, researcher: User
) -> None:
    proposal = file_proposal(by=other_reviewer)
    assert actions.assign(amendment=proposal, by=reviewer, to=reviewer).assignee == reviewer
    actions.assign(amendment=proposal, by=reviewer, to=reviewer)
    for person, sentence in ((researcher, "no reviewer"), (other_reviewer, "proposed this")):
        with pytest.raises(Refused, match=sentence):
            actions.assign(amendment=proposal, by=reviewer, to=person)
    with pytest.raises(RoleMissing):
        actions.assign(amendment=proposal, by=researcher, to=None)
    assert actions.assign(amendment=proposal, by=reviewer, to=None).assignee is None
    assert count("amendment assigned") == 2


@pytest.mark.parametrize("person", ["researcher", "overseer", "board_member", "operator", "stranger"])
def test_only_reviewers_tidy(file_proposal: Propose, person: str, request: pytest.FixtureRequest) -> None:
    by: User = request.getfixturevalue(person)
    one, other = file_proposal(), file_proposal(text="Help.")
    tomorrow = timezone.localdate() + timedelta(days=1)
    tries: list[Callable[[], object]] = [
        lambda: ask(one, by),
        lambda: actions.defer(amendment=one, by=by, until=tomorrow, reason="Later."),
        lambda: actions.bring_back(amendment=one, by=by),
        lambda: actions.mark_duplicate(amendment=one, by=by, of=other, reason=""),
    ]
    before = LedgerEntry.objects.count()
    for attempt in tries:
        with pytest.raises(RoleMissing):
            attempt()
    assert LedgerEntry.objects.count() == before


def test_author_neither_puts_off_nor_closes_their_own(file_proposal: Propose, reviewer: User) -> None:
    mine, other = file_proposal(by=reviewer), file_proposal(text="Help.")
    with pytest.raises(OwnProposal):
        actions.mark_duplicate(amendment=mine, by=reviewer, of=other, reason="")
