"""Taking in hand: leases, what they do not do, and that two people are never handed the same."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from amendments import actions, claims
from amendments.errors import AlreadyDecided, OwnProposal, RoleMissing
from amendments.models import Amendment, Claim, Review, Verdict
from amendments.views.hands import claim_context
from constitution.errors import Refused
from constitution.models import LedgerEntry, Role, User
from tests import factories
from tests.amendments.conftest import Propose
from tests.races import at_once

QUEUE = reverse("amendments:queue")
NEXT = reverse("amendments:queue-next")


def take(by: User) -> Amendment | None:
    return claims.take_next(by=by, among=Amendment.objects.all())


def let_it_run_out(amendment: Amendment) -> None:
    Claim.objects.filter(amendment=amendment).update(until=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


def test_take_next_hands_out_the_most_pressing_that_nobody_has(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    minor, major = file_proposal("T-03", "Decline in a line.", priority=1), file_proposal(priority=9)
    assert take(reviewer) == major
    assert take(other_reviewer) == minor
    assert take(other_reviewer) is None
    assert Claim.objects.get(amendment=major).holder == reviewer


def test_take_next_goes_on_for_whoever_asks_again(file_proposal: Propose, reviewer: User) -> None:
    first, second = file_proposal(priority=2), file_proposal("T-03", "Decline in a line.")
    assert [take(reviewer), take(reviewer), take(reviewer)] == [first, second, None]


def test_take_next_leaves_out_ones_own_and_what_is_decided(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    file_proposal(by=reviewer)
    gone = file_proposal(text="Gone.", by=other_reviewer)
    actions.withdraw(amendment=gone, by=other_reviewer)
    assert take(reviewer) is None


def test_lease_that_ran_out_is_free(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    take(reviewer)
    assert take(other_reviewer) is None
    let_it_run_out(proposal)
    assert take(other_reviewer) == proposal
    assert Claim.objects.get().holder == other_reviewer


def test_nobody_hoards(file_proposal: Propose, reviewer: User) -> None:
    for number in range(claims.MOST_IN_HAND + 1):
        file_proposal(text=f"Wording {number}.")
    for _ in range(claims.MOST_IN_HAND):
        assert take(reviewer)
    with pytest.raises(Refused, match="10 proposals in hand"):
        take(reviewer)


def test_only_reviewers_are_handed_work(file_proposal: Propose, researcher: User) -> None:
    file_proposal()
    with pytest.raises(RoleMissing):
        take(researcher)


def test_renew_lengthens_ones_own_and_leaves_that_of_others(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    claims.renew(amendment=proposal, by=reviewer)
    Claim.objects.update(until=timezone.now() + timedelta(minutes=1))
    assert claims.renew(amendment=proposal, by=reviewer).until > timezone.now() + timedelta(minutes=4)
    with pytest.raises(claims.InOtherHands, match="ada has it in hand until"):
        claims.renew(amendment=proposal, by=other_reviewer)
    claims.release(amendment=proposal, by=other_reviewer)
    assert Claim.objects.get().holder == reviewer
    claims.release(amendment=proposal, by=reviewer)
    assert claims.renew(amendment=proposal, by=other_reviewer).holder == other_reviewer


def test_renew_asks_the_policy(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    own = file_proposal(by=reviewer)
    with pytest.raises(OwnProposal):
        claims.renew(amendment=own, by=reviewer)
    actions.withdraw(amendment=own, by=reviewer)
    with pytest.raises(AlreadyDecided):
        claims.renew(amendment=own, by=other_reviewer)


def test_lease_is_courtesy_and_blocks_no_decision(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    claims.renew(amendment=proposal, by=reviewer)
    actions.reject(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, reason="Too broad.")
    assert Review.objects.get().reviewer == other_reviewer


def test_lease_leaves_no_entry_in_the_ledger(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    before = LedgerEntry.objects.count()
    claims.renew(amendment=proposal, by=reviewer)
    claims.release(amendment=proposal, by=reviewer)
    assert LedgerEntry.objects.count() == before


def test_next_opens_the_proposal_and_keeps_to_the_filters(desk: Client, file_proposal: Propose, reviewer: User) -> None:
    file_proposal(priority=9)
    style = file_proposal("T-03", "Decline in a line.")
    answer = desk.post(NEXT, {"filters": "tier=3"})
    assert answer["Location"] == f"{style.get_absolute_url()}?in=tier%3D3"
    again = desk.post(NEXT, {"filters": "tier=3"}, follow=True)
    assert again.redirect_chain[-1][0] == f"{QUEUE}?tier=3"
    assert "in nobody’s hands" in again.content.decode()


def test_next_leaves_out_what_one_has_reviewed_unless_a_state_is_asked_for(
    desk: Client, file_proposal: Propose, reviewer: User
) -> None:
    proposal = file_proposal()
    Review.objects.create(amendment=proposal, reviewer=reviewer, verdict=Verdict.APPROVE, digest=proposal.digest)
    assert desk.post(NEXT, {"filters": ""})["Location"] == f"{QUEUE}?"
    assert desk.post(NEXT, {"filters": "state=open"})["Location"].startswith(proposal.get_absolute_url())


def test_row_says_who_has_it_in_hand(
    desk: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    mine, theirs = file_proposal(priority=2), file_proposal("T-03", "Decline in a line.")
    until = claims.renew(amendment=mine, by=reviewer).until
    claims.renew(amendment=theirs, by=other_reviewer)
    hands = [row["hand"] for row in desk.get(QUEUE).context["proposals"]]
    assert hands == [f"In your hands until {until:%H:%M}", "grace has it in hand"]
    assert [row["pk"] for row in desk.get(QUEUE, {"hand": "me"}).context["proposals"]] == [mine.pk]
    let_it_run_out(theirs)
    assert [row["pk"] for row in desk.get(QUEUE, {"hand": "free"}).context["proposals"]] == [theirs.pk]
    assert desk.get(QUEUE).context["proposals"][1]["hand"] == ""


def test_claim_of_a_page_is_renewed_and_let_go_by_htmx_and_by_form(
    desk: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    renew, release = (reverse(f"amendments:claim-{verb}", args=[proposal.pk]) for verb in ("renew", "release"))
    piece = desk.post(renew, headers={"HX-Request": "true"}).content.decode()
    assert "In your hands until" in piece
    assert "data-renews" in piece
    assert claim_context(proposal, other_reviewer)["claim"]["holder"] == "ada"
    assert desk.post(release)["Location"] == proposal.get_absolute_url()
    claims.renew(amendment=proposal, by=other_reviewer)
    refused = desk.post(renew, headers={"HX-Request": "true"})
    assert refused.status_code == 409
    assert "grace has it in hand" in refused.content.decode()


def test_claim_as_swapped_is_as_loaded_and_counts_what_is_left(
    desk: Client, file_proposal: Propose, reviewer: User
) -> None:
    proposal = file_proposal()
    claims.renew(amendment=proposal, by=reviewer)
    Claim.objects.update(until=timezone.now() + timedelta(seconds=200, milliseconds=900))
    whole = desk.get(proposal.get_absolute_url()).content.decode()
    address = reverse("amendments:claim", args=[proposal.pk])
    part = desk.get(address, headers={"HX-Request": "true", "HX-Target": "claim"}).content.decode()
    assert desk.get(address)["Location"] == proposal.get_absolute_url()

    assert re.search(r'data-seconds="(200|201)"', part)
    assert [_plain(line) for line in part.split() if line] == [
        _plain(line) for line in whole[whole.index('<div id="claim"') :].split()[: len(part.split())]
    ]


def _plain(word: str) -> str:
    return re.sub(r'(value|data-seconds)="[^"]*"', "", word)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(12))
def test_people_who_ask_at_once_are_never_handed_the_same(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    people = [reviewer, other_reviewer, *(factories.make_user(f"person-{n}", Role.REVIEWER) for n in range(2))]
    filed = [file_proposal(text=f"Wording {number}.", priority=9 - number) for number in range(6)]

    def ask(by: User) -> Callable[[], object]:
        return lambda: take(by)

    handed = at_once(*(ask(person) for person in people))

    assert all(isinstance(proposal, Amendment) for proposal in handed)
    assert len(set(handed)) == 4
    assert set(handed) <= set(filed)
    assert Claim.objects.count() == 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(12))
def test_last_one_goes_to_one_of_two(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    file_proposal()
    handed = at_once(lambda: take(reviewer), lambda: take(other_reviewer))
    assert len([proposal for proposal in handed if proposal is not None]) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(8))
def test_taking_in_hand_at_once_has_one_holder(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    proposal = file_proposal()
    results = at_once(
        lambda: claims.renew(amendment=proposal, by=reviewer),
        lambda: claims.renew(amendment=proposal, by=other_reviewer),
    )
    assert len([result for result in results if isinstance(result, claims.InOtherHands)]) == 1
