"""Many at once: each by its own verb and in its own transaction, what came of each, and what is never done in bulk."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from zeal import zeal_ignore

from amendments import actions, bulk, states
from amendments.bulk import Item
from amendments.models import AcceptanceRule, Amendment, Review, Verdict
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import User, Version
from tests.amendments.conftest import Propose
from tests.races import at_once

MANY = reverse("amendments:queue-many")


@pytest.fixture(autouse=True)
def one_reviewer_decides(db: None) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


def items(*amendments: Amendment) -> list[Item]:
    return [Item(amendment.pk, amendment.digest) for amendment in amendments]


def form(*amendments: Amendment, **fields: str) -> dict[str, object]:
    return {"item": [f"{item.pk}:{item.digest}" for item in items(*amendments)], **fields}


def verdicts(amendments: Iterable[Amendment]) -> list[tuple[int, str]]:
    rows = Review.objects.filter(amendment__in=list(amendments)).order_by("amendment")
    return list(rows.values_list("amendment", "verdict"))


def test_reject_does_what_it_can_and_says_what_it_skipped(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    one, other = file_proposal(text="One way."), file_proposal(text="Another way.")
    own = file_proposal(text="I wrote it.", by=reviewer)
    edited = file_proposal(text="Before the edit.")
    chosen = items(one, own, edited, other)
    actions.edit(amendment=edited, by=other_reviewer, seen_digest=edited.digest, text="After the edit.")

    outcomes = bulk.reject(items=chosen, by=reviewer, reason="Too broad.")

    assert [(outcome.amendment, outcome.is_done) for outcome in outcomes] == [
        (one, True),
        (own, False),
        (edited, False),
        (other, True),
    ]
    assert "somebody else has to decide" in outcomes[1].sentence
    assert "edited after you opened it" in outcomes[2].sentence
    assert verdicts([one, own, edited, other]) == [(one.pk, Verdict.REJECT), (other.pk, Verdict.REJECT)]
    ledger.verify()


def test_reject_without_a_reason_does_nothing(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    with pytest.raises(Refused, match="Say why"):
        bulk.reject(items=items(proposal), by=reviewer, reason=" ")
    assert not Review.objects.exists()


def test_accept_takes_style_alone(file_proposal: Propose, reviewer: User) -> None:
    style, contextual = file_proposal("T-03", "Decline in a line."), file_proposal()
    outcomes = bulk.accept(items=items(style, contextual), by=reviewer)
    assert [outcome.is_done for outcome in outcomes] == [True, False]
    assert "on its own page" in outcomes[1].sentence
    assert verdicts([style, contextual]) == [(style.pk, Verdict.APPROVE)]


def test_accept_refuses_style_that_takes_more_than_one_reviewer(file_proposal: Propose, reviewer: User) -> None:
    AcceptanceRule.objects.filter(tier=3).update(reviewers=2)
    style = file_proposal("T-03", "Decline in a line.")
    (outcome,) = bulk.accept(items=items(style), by=reviewer)
    assert (outcome.is_done, "More than one reviewer" in outcome.sentence) == (False, True)
    with pytest.raises(NotAllowed):
        bulk.check_can_accept_among_many(style, AcceptanceRule(tier=3, reviewers=1, needs_board=True))


def test_limits_are_said_and_nothing_is_done(reviewer: User, constitution: Version) -> None:
    with pytest.raises(Refused, match="At most 500"):
        bulk.reject(items=[Item(pk, "") for pk in range(501)], by=reviewer, reason="No.")
    with pytest.raises(Refused, match="At most 20"):
        bulk.accept(items=[Item(pk, "") for pk in range(21)], by=reviewer)
    with pytest.raises(Refused, match="Nothing is chosen"):
        bulk.reject(items=[], by=reviewer, reason="No.")


def test_defer_assign_and_duplicate(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    one, other, keeper = (file_proposal(text=f"Wording {number}.") for number in range(3))
    day = timezone.localdate() + timedelta(days=4)
    assert all(o.is_done for o in bulk.defer(items=items(one, other), by=reviewer, until=day, reason="Wait."))
    assert all(o.is_done for o in bulk.assign(items=items(one, other), by=reviewer, to=other_reviewer))
    outcomes = bulk.mark_duplicate(items=items(one, keeper), by=reviewer, of=keeper, reason="The same.")
    assert [outcome.is_done for outcome in outcomes] == [True, False]
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.state, one.duplicate_of) == (states.DUPLICATE, keeper)
    assert (other.assignee, other.deferred_until is not None) == (other_reviewer, True)


def test_page_shows_what_was_ticked_and_all_that_match(
    desk: Client, file_proposal: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    filed = [file_proposal(text=f"Wording {number}.", priority=9 - number) for number in range(3)]
    style = file_proposal("T-03", "Decline in a line.")
    ticked = desk.get(MANY, {"item": [f"{filed[1].pk}:{filed[1].digest}", "nonsense", "7"]})
    assert [row["pk"] for row in ticked.context["chosen"] if row["pk"] != 7] == [filed[1].pk]
    matching = desk.get(MANY, {"all": "1", "tier": "2"})
    assert [row["pk"] for row in matching.context["chosen"]] == [proposal.pk for proposal in filed]
    monkeypatch.setattr(bulk, "MOST", 2)
    capped = desk.get(MANY, {"all": "1"})
    assert [row["pk"] for row in capped.context["chosen"]] == [filed[0].pk, filed[1].pk]
    assert "At most 2 are decided at once" in capped.content.decode()
    assert style.pk not in [row["pk"] for row in capped.context["chosen"]]


def test_form_gives_each_its_outcome_and_keeps_what_was_skipped(
    desk: Client, file_proposal: Propose, reviewer: User
) -> None:
    one, own = file_proposal(text="One way."), file_proposal(text="I wrote it.", by=reviewer)
    with zeal_ignore():  # one transaction after the other, each with the same questions: that is what it is for
        page = desk.post(MANY, form(one, own, do="reject", reason="wrong", note="It is."))
    content = page.content.decode()
    assert "1 done, 1 skipped" in content
    assert "somebody else has to decide" in content
    assert [row["pk"] for row in page.context["chosen"]] == [own.pk]
    assert Review.objects.get().reason == "The change would be wrong. It is."


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"do": ""}, "Choose what to do"),
        ({"do": "reject"}, "Say why"),
        ({"do": "defer", "note": "Wait.", "until": "soon"}, "until which day"),
        ({"do": "assign", "to": "nobody-of-that-name"}, "nobody called"),
        ({"do": "duplicate", "of": "#0", "note": "Same."}, "by its number"),
        ({"do": "duplicate", "of": "9" * 40, "note": "Same."}, "by its number"),
    ],
)
def test_form_that_lacks_something_comes_back_with_everything(
    desk: Client, file_proposal: Propose, fields: dict[str, str], sentence: str
) -> None:
    proposal = file_proposal()
    page = desk.post(MANY, form(proposal, **fields))
    assert page.status_code == 409
    assert sentence in page.content.decode()
    assert [row["pk"] for row in page.context["chosen"]] == [proposal.pk]
    assert page.context["written"]["note"] == fields.get("note", "")
    assert Amendment.objects.get(pk=proposal.pk).state == states.OPEN


def test_researcher_decides_on_nothing(client: Client, researcher: User, file_proposal: Propose) -> None:
    proposal = file_proposal()
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    assert client.post(MANY, form(proposal, do="reject", note="No.")).status_code == 403
    assert not Review.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(8))
def test_bulk_and_single_decide_each_once(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    filed = [file_proposal(text=f"Wording {number}.") for number in range(3)]
    target = filed[1]

    single, many = at_once(
        lambda: actions.mark_duplicate(amendment=target, by=other_reviewer, of=filed[0], reason="The same."),
        lambda: bulk.mark_duplicate(items=items(*filed[1:]), by=reviewer, of=filed[0], reason="The same."),
    )

    assert isinstance(many, list)
    done = {outcome.amendment.pk: outcome.is_done for outcome in many}
    assert done[filed[2].pk]
    assert isinstance(single, Refused) == done[target.pk]
    target.refresh_from_db()
    assert target.state == states.DUPLICATE
    ledger.verify()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(8))
def test_bulk_and_bulk_in_opposite_order_do_not_wait_for_each_other(
    file_proposal: Propose, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    filed = [file_proposal(text=f"Wording {number}.") for number in range(4)]
    one, other = at_once(
        lambda: bulk.assign(items=items(*filed), by=reviewer, to=reviewer),
        lambda: bulk.assign(items=items(*reversed(filed)), by=other_reviewer, to=other_reviewer),
    )
    assert isinstance(one, list)
    assert isinstance(other, list)
    assert all(outcome.is_done for outcome in [*one, *other])
    ledger.verify()
