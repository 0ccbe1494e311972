"""Who is named where they may not read it yet: told when they may, once, and nothing before that."""

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from amendments import actions, discussion, notices, producers
from amendments.models import AcceptanceRule, Amendment, Audience, HiddenMention, Notice, NoticeKind, Producer
from constitution.models import Role, User
from tests import factories
from tests.amendments.conftest import Propose
from tests.amendments.deciding import UNDO, accept, ask, let_pass, reject
from tests.races import at_once

pytestmark = pytest.mark.django_db
SAID = "ada: @grace, and @third: is this meant for minors, too?"


@pytest.fixture
def third(db: None) -> User:
    return factories.make_user("third", Role.REVIEWER)


@pytest.fixture
def undo(settings: Settings) -> None:
    settings.UNDO_SECONDS = UNDO


def _name_others(proposal: Amendment, by: User, text: str = SAID.partition(": ")[2]) -> None:
    discussion.say(amendment=proposal, by=by, text=text, audience=Audience.REVIEWERS)


def _told(person: User) -> list[str]:
    """What the person was told of mentions, read or not."""
    return list(Notice.objects.filter(recipient=person, kind=NoticeKind.MENTION).values_list("sentence", flat=True))


def test_mention_is_told_once_when_all_reviews_are_in(
    file_proposal: Propose, reviewer: User, other_reviewer: User, third: User
) -> None:
    proposal = file_proposal()
    _name_others(proposal, reviewer)
    accept(proposal, reviewer)
    assert not Notice.objects.exists()

    reject(proposal, other_reviewer)

    assert _told(other_reviewer) == _told(third) == [SAID]
    assert _told(reviewer) == []
    assert not HiddenMention.objects.exists()
    for person in (other_reviewer, third):
        notices.read(by=person)
    reject(proposal, third)
    reject(proposal, reviewer)  # and with that it is decided
    assert _told(other_reviewer) == _told(third) == [SAID]


def test_mention_is_in_no_page_count_or_mail_before(
    client: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    client.force_login(other_reviewer, backend="sesame.backends.ModelBackend")
    addresses = [reverse("amendments:inbox"), reverse("amendments:inbox-link")]
    headers = {"HX-Request": "true", "HX-Target": "inbox"}
    before = [client.get(address, headers=headers).content for address in addresses]

    with CaptureQueriesContext(connection) as asked:
        _name_others(proposal, reviewer)

    assert [client.get(address, headers=headers).content for address in addresses] == before
    assert not [query for query in asked.captured_queries if "pg_notify" in query["sql"]]
    assert notices.send_digests() == 0
    accept(proposal, reviewer)
    reject(proposal, other_reviewer)
    assert '<span class="count">2' in client.get(addresses[1]).content.decode()  # the mention, and the turn
    assert notices.send_digests() >= 1
    (letter,) = [letter for letter in mail.outbox if letter.to == [other_reviewer.email]]
    assert letter.body.count(SAID) == 1


def test_decision_tells_everybody_who_was_named(
    file_proposal: Propose, reviewer: User, other_reviewer: User, researcher: User
) -> None:
    author = factories.make_user("paul", Role.RESEARCHER)
    proposal = file_proposal(by=author)
    _name_others(proposal, reviewer, "@paul and @rosa do not read this, @grace later")
    accept(proposal, reviewer)
    assert not Notice.objects.exists()

    accept(proposal, other_reviewer)

    told = ["ada: @paul and @rosa do not read this, @grace later"]
    assert _told(author) == _told(researcher) == _told(other_reviewer) == told


def test_consolidation_that_moves_no_state_tells(
    undo: None, file_proposal: Propose, reviewer: User, other_reviewer: User, third: User
) -> None:
    proposal = file_proposal()
    _name_others(proposal, reviewer)
    ask(proposal, reviewer)
    let_pass()
    actions.settle(proposal)
    accept(proposal, other_reviewer)
    actions.settle(proposal)
    assert _told(third) == []  # that vote can still be taken back

    let_pass()
    actions.settle_due()
    actions.settle(proposal)

    proposal.refresh_from_db()
    assert proposal.state == "changes-requested"
    assert _told(third) == [SAID]


def test_another_wording_keeps_it_hidden(
    file_proposal: Propose, reviewer: User, other_reviewer: User, third: User
) -> None:
    proposal = file_proposal()
    _name_others(proposal, reviewer)
    accept(proposal, reviewer)
    actions.edit(amendment=proposal, by=third, seen_digest=proposal.digest, text="Help with all of it.")
    proposal.refresh_from_db()
    accept(proposal, other_reviewer)
    assert _told(third) == []

    reject(proposal, reviewer)

    assert _told(third) == [SAID]


def test_several_that_were_hidden_are_one_notice(
    file_proposal: Propose, reviewer: User, other_reviewer: User, third: User
) -> None:
    proposal = file_proposal()
    for number in range(3):
        _name_others(proposal, reviewer, f"@third, have a look: {number}")
    accept(proposal, reviewer)
    reject(proposal, other_reviewer)

    assert _told(third) == ["ada: @third, have a look: 2"]


def test_rejected_together_tells_too(
    file_proposal: Propose, producer: Producer, reviewer: User, other_reviewer: User, third: User
) -> None:
    proposal = file_proposal()
    file_proposal(text="Help.")
    _name_others(proposal, reviewer)
    producers.quarantine(producer=producer, note="It repeats itself.", by=reviewer)
    clearance = producers.order_clearance(producer=producer, reason="All the same.", by=other_reviewer)

    producers.clear_batch(clearance=clearance, by="cpu worker")

    assert _told(third) == [SAID]


def test_who_lost_every_role_is_told_nothing(
    file_proposal: Propose, reviewer: User, other_reviewer: User, third: User
) -> None:
    proposal = file_proposal()
    _name_others(proposal, reviewer)
    User.objects.filter(pk=third.pk).update(roles=[])
    accept(proposal, reviewer)
    accept(proposal, other_reviewer)

    assert _told(third) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(4))
def test_votes_that_are_settled_at_once_tell_once(
    undo: None, file_proposal: Propose, reviewer: User, other_reviewer: User, third: User, attempt: int
) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=2, needs_board=True)  # so the state does not move
    proposal = file_proposal()
    _name_others(proposal, reviewer)
    accept(proposal, reviewer)
    accept(proposal, other_reviewer)
    let_pass()

    at_once(
        *3 * [lambda: actions.settle(proposal)],
        lambda: _name_others(proposal, other_reviewer, "@third, there is more."),
    )

    assert len(_told(third)) == 1
    assert not HiddenMention.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(4))
def test_last_votes_at_once_tell_once(
    file_proposal: Propose, reviewer: User, other_reviewer: User, third: User, attempt: int
) -> None:
    proposal = file_proposal()
    _name_others(proposal, reviewer)

    at_once(lambda: reject(proposal, reviewer), lambda: accept(proposal, other_reviewer))

    assert _told(third) == _told(other_reviewer) == [SAID]
    assert not HiddenMention.objects.exists()
