"""Whose turn it is, who is told of what, and one mail for a person however much happens."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from amendments import actions, discussion, notices
from amendments.models import AcceptanceRule, Amendment, Audience, DeskSettings, Digest, Notice, NoticeKind
from constitution import ledger
from constitution.errors import Refused
from constitution.models import LedgerEntry, Role, User
from tests import factories
from tests.amendments.conftest import Propose
from tests.races import at_once


@pytest.fixture
def author(db: None) -> User:
    return factories.make_user("paul", Role.RESEARCHER)


def _waits(person: User) -> list[tuple[str, str]]:
    return [(notice.kind, notice.sentence) for notice in notices.waiting(person)]


def _turns(person: User) -> list[str]:
    return [sentence for kind, sentence in _waits(person) if kind == NoticeKind.TURN]


def _approve(proposal: Amendment, by: User) -> Amendment:
    return actions.accept(amendment=proposal, by=by, seen_digest=proposal.digest)


def _reject(proposal: Amendment, by: User) -> Amendment:
    return actions.reject(amendment=proposal, by=by, seen_digest=proposal.digest, reason="Too wide.")


def test_assigned_person_is_in_turn_until_they_have_reviewed(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    actions.assign(amendment=proposal, by=other_reviewer, to=reviewer)
    assert _turns(reviewer) == [notices.ASSIGNED]

    _reject(proposal, reviewer)

    assert _turns(reviewer) == []


def test_reassigning_passes_the_turn_on(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    actions.assign(amendment=proposal, by=other_reviewer, to=reviewer)
    actions.assign(amendment=proposal, by=reviewer, to=other_reviewer)

    assert (_turns(reviewer), _turns(other_reviewer)) == ([], [notices.ASSIGNED])


def test_what_is_put_off_waits_for_nobody_until_then(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    actions.assign(amendment=proposal, by=other_reviewer, to=reviewer)
    day = timezone.localdate() + timedelta(days=3)
    actions.defer(amendment=proposal, by=reviewer, until=day, reason="After the audit.")
    assert _turns(reviewer) == []

    Amendment.objects.update(deferred_until=timezone.now() - timedelta(hours=1))

    assert _turns(reviewer) == [notices.ASSIGNED]


def test_changes_requested_are_the_proposers_turn_until_the_text_is_edited(
    file_proposal: Propose, reviewer: User, author: User
) -> None:
    proposal = file_proposal(by=author)
    actions.request_changes(amendment=proposal, by=reviewer, seen_digest=proposal.digest, reason="Name the places.")
    assert _turns(author) == [notices.CHANGES]

    actions.edit(amendment=proposal, by=author, seen_digest=proposal.digest, text="Help with all of it.")

    assert _turns(author) == []


def test_clash_is_the_proposers_turn(file_proposal: Propose, reviewer: User, author: User) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=1)
    file_proposal(text="Help.", by=author)

    _approve(file_proposal(text="Help with harmless requests, always."), reviewer)

    assert _turns(author) == [notices.CLASH]


def test_conflict_is_the_turn_of_those_who_voted(
    file_proposal: Propose, reviewer: User, other_reviewer: User, author: User
) -> None:
    third = factories.make_user("third", Role.REVIEWER)
    proposal = file_proposal(by=author)
    _reject(proposal, reviewer)
    assert _turns(reviewer) == _turns(other_reviewer) == []

    _approve(proposal, other_reviewer)

    assert _turns(reviewer) == _turns(other_reviewer) == [notices.CONFLICT]
    assert _turns(author) == _turns(third) == []
    _reject(proposal, other_reviewer)
    assert _turns(reviewer) == _turns(other_reviewer) == []


def test_decision_is_told_to_proposer_and_reviewers_but_the_last(
    file_proposal: Propose, reviewer: User, other_reviewer: User, author: User
) -> None:
    proposal = file_proposal(by=author)
    _approve(proposal, reviewer)
    _approve(proposal, other_reviewer)

    said = [(NoticeKind.DECIDED, "It was accepted: version 2 follows from it.")]
    assert _waits(author) == _waits(reviewer) == said
    assert _waits(other_reviewer) == []


def test_machine_is_never_in_turn(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    actions.request_changes(amendment=proposal, by=reviewer, seen_digest=proposal.digest, reason="Name the places.")
    proposal.refresh_from_db()
    _reject(proposal, reviewer)

    assert not Notice.objects.exists()


def test_hidden_vote_tells_nobody_anything(
    file_proposal: Propose, reviewer: User, other_reviewer: User, author: User
) -> None:
    proposal = file_proposal(by=author)
    actions.assign(amendment=proposal, by=reviewer, to=other_reviewer)
    before = list(Notice.objects.order_by("pk").values())

    with CaptureQueriesContext(connection) as asked:
        _reject(proposal, reviewer)

    assert list(Notice.objects.order_by("pk").values()) == before
    assert not [query for query in asked.captured_queries if "pg_notify" in query["sql"]]


def test_many_events_leave_one_notice(file_proposal: Propose, reviewer: User, author: User) -> None:
    proposal = file_proposal(by=author)
    for number in range(5):
        text = f"@ada, look at this: {number}"
        discussion.say(amendment=proposal, by=author, text=text, audience=Audience.EVERYBODY)

    assert _waits(reviewer) == [(NoticeKind.MENTION, "paul: @ada, look at this: 4")]


def test_read_marks_news_and_leaves_turns(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    actions.assign(amendment=proposal, by=other_reviewer, to=reviewer)
    discussion.say(amendment=proposal, by=other_reviewer, text="@ada?", audience=Audience.EVERYBODY)

    assert notices.read(by=reviewer) == 1

    assert _waits(reviewer) == [(NoticeKind.TURN, notices.ASSIGNED)]
    turn = notices.waiting(reviewer)[0]
    with pytest.raises(Refused, match="It waits until"):
        notices.read(by=reviewer, notice=turn)
    with pytest.raises(Refused, match="not addressed to you"):
        notices.read(by=other_reviewer, notice=turn)


def test_inbox_page_shows_turns_first_and_marks_read(
    client: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    client.force_login(reviewer)
    assert "Nothing waits for you in particular" in client.get(reverse("amendments:inbox")).content.decode()
    proposal = file_proposal()
    actions.assign(amendment=proposal, by=other_reviewer, to=reviewer)
    discussion.say(amendment=proposal, by=other_reviewer, text="@ada <b>?", audience=Audience.EVERYBODY)

    page = client.get(reverse("amendments:inbox"))

    content = page.content.decode()
    assert [row["sentence"] for row in page.context["turns"]] == [notices.ASSIGNED]
    assert "grace: @ada &lt;b&gt;?" in content
    link = client.get(reverse("amendments:inbox-link")).content.decode()
    assert '<span class="count">2' in link
    client.post(reverse("amendments:inbox-read"), {"notice": page.context["news"][0]["pk"]})
    assert '<span class="count">1' in client.get(reverse("amendments:inbox-link")).content.decode()


def test_inbox_asks_the_same_number_of_queries_for_many(
    client: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    client.force_login(reviewer)

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            client.get(reverse("amendments:inbox"))
        return len(asked)

    def file(count: int, start: int) -> None:
        for number in range(start, start + count):
            proposal = file_proposal(text=f"Help with harmless request {number}.")
            actions.assign(amendment=proposal, by=other_reviewer, to=reviewer)
            discussion.say(amendment=proposal, by=other_reviewer, text="@ada?", audience=Audience.EVERYBODY)

    file(3, 0)
    queries()
    few = queries()
    file(20, 3)
    assert queries() == few


def test_inbox_pages_by_key(client: Client, file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    Notice.objects.bulk_create(
        Notice(
            recipient=reviewer,
            amendment=proposal,
            kind=NoticeKind.DECIDED,
            sentence=f"{number}",
            read_at=timezone.now(),
        )
        for number in range(3)
    )
    others = [file_proposal(text=f"Help with harmless request {number}.") for number in range(55)]
    Notice.objects.bulk_create(
        Notice(recipient=reviewer, amendment=other, kind=NoticeKind.DECIDED, sentence="It was rejected.")
        for other in others
    )
    client.force_login(reviewer)

    seen, url = [], reverse("amendments:inbox")
    while url:
        page = client.get(url)
        seen += [row["pk"] for row in page.context["news"]]
        older = page.context["older_url"]
        url = reverse("amendments:inbox") + older if older else ""

    assert len(seen) == len(set(seen)) == 55


def test_digest_settings_are_kept_and_checked(client: Client, reviewer: User) -> None:
    client.force_login(reviewer)
    url = reverse("amendments:desk-settings")
    assert client.get(url).context["digest"] == Digest.DAILY

    client.post(url, {"digest": "weekly"})

    assert client.get(url).context["digest"] == Digest.WEEKLY
    assert client.post(url, {"digest": "hourly"}).status_code == 409
    assert LedgerEntry.objects.filter(action="desk settings set").count() == 1


def _two_things_wait(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    actions.assign(amendment=proposal, by=other_reviewer, to=reviewer)
    discussion.say(amendment=proposal, by=other_reviewer, text="@ada?", audience=Audience.EVERYBODY)


def test_digest_is_one_plain_mail_with_everything(
    file_proposal: Propose, reviewer: User, other_reviewer: User, settings: Settings
) -> None:
    _two_things_wait(file_proposal, reviewer, other_reviewer)
    said = StringIO()

    call_command("send_digests", site="https://ratify.example.org/", stdout=said)
    call_command("send_digests", stdout=StringIO())

    assert said.getvalue() == "1 mail sent.\n"
    (letter,) = mail.outbox
    assert letter.to == ["ada@example.org"]
    assert letter.subject == "Ratify: 1 proposal waits for you"
    assert notices.ASSIGNED in letter.body
    assert "grace: @ada?" in letter.body
    assert "https://ratify.example.org/proposals/" in letter.body
    assert "https://ratify.example.org/settings/desk/" in letter.body


def test_digest_comes_once_an_interval(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    _two_things_wait(file_proposal, reviewer, other_reviewer)
    assert notices.send_digests() == 1
    discussion.say(
        amendment=Amendment.objects.get(), by=other_reviewer, text="@ada, again", audience=Audience.EVERYBODY
    )
    assert notices.send_digests() == 0

    DeskSettings.objects.update(mailed_at=timezone.now() - timedelta(days=1))
    assert notices.send_digests() == 1
    assert "Your turn" not in mail.outbox[1].body  # that was in the first mail

    notices.set_digest(digest=Digest.WEEKLY, by=reviewer)
    DeskSettings.objects.update(mailed_at=timezone.now() - timedelta(days=2))
    Notice.objects.update(mailed_at=None)
    assert notices.send_digests() == 0


@pytest.mark.parametrize("change", ["off", "no address", "inactive", "no role"])
def test_digest_is_not_sent_to(file_proposal: Propose, reviewer: User, other_reviewer: User, change: str) -> None:
    _two_things_wait(file_proposal, reviewer, other_reviewer)
    if change == "off":
        notices.set_digest(digest=Digest.OFF, by=reviewer)
    reviewer.email = "" if change == "no address" else reviewer.email
    reviewer.is_active = change != "inactive"
    reviewer.roles = [] if change == "no role" else reviewer.roles
    reviewer.save()

    assert notices.send_digests() == 0


def test_mail_that_fails_is_tried_again(
    file_proposal: Propose, reviewer: User, other_reviewer: User, settings: Settings
) -> None:
    _two_things_wait(file_proposal, reviewer, other_reviewer)
    settings.EMAIL_BACKEND = "django.core.mail.backends.nowhere.EmailBackend"
    with pytest.raises(ModuleNotFoundError):
        notices.send_digests()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"

    assert notices.send_digests() == 1


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_send_one_mail(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    _two_things_wait(file_proposal, reviewer, other_reviewer)

    results = at_once(notices.send_digests, notices.send_digests, notices.send_digests)

    assert sorted(results) == [0, 0, 1]  # type: ignore[type-var]
    assert len(mail.outbox) == 1
    ledger.verify()


@pytest.mark.django_db(transaction=True)
def test_mentions_at_once_leave_one_notice(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()

    def say() -> object:
        return discussion.say(amendment=proposal, by=other_reviewer, text="@ada?", audience=Audience.EVERYBODY)

    at_once(say, say, say)

    assert len(_waits(reviewer)) == 1
