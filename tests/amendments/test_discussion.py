"""What is said of a proposal: for whom, of which wording, in plain text, and never lost."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from amendments import actions, discussion, notices
from amendments.models import Amendment, Audience, Comment, Phase
from amendments.views.comments import SHOWN, parts
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, Role, User
from tests import factories
from tests.amendments.conftest import Propose

HOSTILE = "<script>alert(1)</script> {{ 7|add:7 }} [x](javascript:alert(1))"
FRAGMENT = {"HX-Request": "true", "HX-Target": "comments"}


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer)
    return client


def _say(
    proposal: Amendment, by: User, text: str = "Is this meant for minors, too?", audience: str = "everybody"
) -> Comment:
    return discussion.say(amendment=proposal, by=by, text=text, audience=audience)


def test_comment_keeps_phase_and_wording(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    found = _say(proposal, reviewer)

    assert (found.phase, found.digest) == (Phase.INDEPENDENT, proposal.digest)
    assert LedgerEntry.objects.filter(action="comment made", subject=f"amendment:{proposal.pk}").count() == 1


def test_comment_on_an_earlier_wording_says_so(desk: Client, file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    _say(proposal, reviewer)
    url = proposal.get_absolute_url()
    assert "said of an earlier wording" not in desk.get(url).content.decode()

    actions.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text="Help with all of it.")

    assert "said of an earlier wording" in desk.get(url).content.decode()


@pytest.mark.parametrize("text", ["", "  \r\n ", "x" * 4001, "to \u202e the left"])
def test_text_that_nobody_can_keep_is_refused(file_proposal: Propose, reviewer: User, text: str) -> None:
    with pytest.raises(Refused):
        _say(file_proposal(), reviewer, text)
    assert not Comment.objects.exists()


def test_author_writes_to_everybody_only(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal(by=reviewer)
    _say(proposal, reviewer)
    with pytest.raises(NotAllowed, match="Only those who decide"):
        _say(proposal, reviewer, audience=Audience.REVIEWERS)


def test_researcher_writes_to_everybody_only(file_proposal: Propose, researcher: User, stranger: User) -> None:
    proposal = file_proposal()
    _say(proposal, researcher)
    with pytest.raises(NotAllowed, match="Only those who decide"):
        _say(proposal, researcher, audience=Audience.REVIEWERS)
    with pytest.raises(NotAllowed, match="A role is needed"):
        _say(proposal, stranger)


def test_line_breaks_and_hostile_text_are_shown_as_text(desk: Client, file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    desk.post(
        reverse("amendments:discussion-say", args=[proposal.pk]),
        {"text": f"One.\r\n\r\n{HOSTILE}", "audience": "everybody"},
    )

    content = desk.get(proposal.get_absolute_url()).content.decode()

    assert Comment.objects.get().text == f"One.\n\n{HOSTILE}"
    assert "<script>alert(1)" not in content
    assert "&lt;script&gt;alert(1)" in content
    assert "{{ 7|add:7 }}" in content


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@ada look", [("mention", "@ada"), ("text", " look")]),
        ("(@ada.lovelace).", [("text", "("), ("mention", "@ada.lovelace"), ("text", ").")]),
        ("ada@example.org", [("text", "ada@example.org")]),
        ("@@ada @", [("text", "@@ada @")]),
        ("", []),
    ],
)
def test_parts_of_a_text(text: str, found: list[tuple[str, str]]) -> None:
    assert list(parts(text)) == found


def test_mention_tells_those_who_may_read_it(
    file_proposal: Propose, reviewer: User, other_reviewer: User, researcher: User, stranger: User
) -> None:
    proposal = file_proposal()
    people = "@ada @grace @rosa @sten @nobody"

    _say(proposal, reviewer, people)
    told = [person.username for person in (reviewer, other_reviewer, researcher, stranger) if notices.waiting(person)]
    assert told == ["grace", "rosa"]

    for person in (other_reviewer, researcher):
        notices.read(by=person)
    _say(proposal, reviewer, people, Audience.REVIEWERS)  # nobody reads it yet
    assert not notices.waiting(other_reviewer)

    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)
    actions.reject(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, reason="Too wide.")
    _say(proposal, reviewer, people, Audience.REVIEWERS)
    assert notices.waiting(other_reviewer).filter(kind="mention").exists()
    assert not notices.waiting(researcher).exists()


def test_saying_without_scripts_comes_back_to_the_page(desk: Client, file_proposal: Propose) -> None:
    proposal = file_proposal()
    url = reverse("amendments:discussion-say", args=[proposal.pk])

    answer = desk.post(url, {"text": "Who reads this?", "audience": "everybody"})

    assert answer.status_code == 302
    assert answer["Location"] == f"{proposal.get_absolute_url()}#discussion"
    assert "Who reads this?" in desk.get(proposal.get_absolute_url()).content.decode()


def test_refused_text_stays_in_the_form(desk: Client, file_proposal: Propose, other_reviewer: User) -> None:
    proposal = file_proposal()
    url = reverse("amendments:discussion-say", args=[proposal.pk])

    wrong = desk.post(url, {"text": "It reads \u202e backwards", "audience": "reviewers"})

    assert wrong.status_code == 409
    assert "hidden character" in wrong.content.decode()
    assert wrong.context["discussion"]["audience"] == "reviewers"
    actions.mark_duplicate(amendment=proposal, by=other_reviewer, of=file_proposal(text="Help."), reason="The same.")
    for headers in ({}, {"HX-Request": "true", "HX-Target": "discussion"}):
        late = desk.post(url, {"text": "My long thought.", "audience": "everybody"}, headers=headers)
        assert late.status_code == 409
        assert "My long thought." in late.content.decode()


def test_long_discussion_shows_the_newest_and_the_way_to_the_earlier(
    desk: Client, file_proposal: Propose, reviewer: User
) -> None:
    proposal = file_proposal()
    comments = [_say(proposal, reviewer, f"Thought number {number}.") for number in range(2 * SHOWN + 5)]
    seen: list[str] = []
    query = ""
    while True:
        whole = desk.get(f"{proposal.get_absolute_url()}{query}").context["discussion"]
        part = desk.get(reverse("amendments:discussion", args=[proposal.pk]) + query, headers=FRAGMENT)
        found = ["".join(text for _, text in comment["parts"]) for comment in whole["comments"]]
        assert all(text in part.content.decode() for text in found)
        seen = found + seen
        if not (query := whole["earlier"]):
            break

    assert seen == [comment.text for comment in comments]


@pytest.mark.parametrize("before", ["x", "2020-01-01", "9999-99-99T00:00:00Z", "'; DROP", "2020-01-01T00:00:00+00:00"])
def test_made_up_place_answers(desk: Client, file_proposal: Propose, before: str) -> None:
    url = file_proposal().get_absolute_url()
    assert desk.get(url, {"before": before}).status_code == 200


def test_discussion_as_swapped_is_as_loaded(desk: Client, file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    _say(proposal, reviewer)
    whole = desk.get(proposal.get_absolute_url()).content.decode()

    part = desk.get(reverse("amendments:discussion", args=[proposal.pk]), headers=FRAGMENT)

    assert part.content.decode().strip() in whole


def test_discussion_asks_the_same_number_of_queries_for_many(
    desk: Client, file_proposal: Propose, reviewer: User, other_reviewer: User, researcher: User
) -> None:
    proposal = file_proposal()
    url = reverse("amendments:discussion", args=[proposal.pk])

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            desk.get(url, headers=FRAGMENT)
        return len(asked)

    for by in (reviewer, other_reviewer):
        _say(proposal, by)
    queries()
    few = queries()
    for number in range(10):
        _say(proposal, researcher, f"More {number}.")
    assert queries() == few


def test_comment_never_changes(file_proposal: Propose, reviewer: User) -> None:
    found = _say(file_proposal(), reviewer)
    with pytest.raises(Exception, match=r"[Cc]annot update"):
        Comment.objects.filter(pk=found.pk).update(created_at=timezone.now() - timedelta(days=1))


def test_open_pages_hear_of_what_all_may_read(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()

    def topics(audience: str) -> list[str]:
        with CaptureQueriesContext(connection) as asked:
            _say(proposal, reviewer, audience=audience)
        return [query["sql"] for query in asked.captured_queries if "pg_notify" in query["sql"]]

    assert len(topics(Audience.EVERYBODY)) == 1
    assert topics(Audience.REVIEWERS) == []


def test_reviewers_are_offered_whom_to_write_to(desk: Client, file_proposal: Propose, client: Client) -> None:
    proposal = file_proposal()
    assert len(desk.get(proposal.get_absolute_url()).context["discussion"]["audiences"]) == 2
    client.force_login(factories.make_user("rita", Role.RESEARCHER))
    assert len(client.get(proposal.get_absolute_url()).context["discussion"]["audiences"]) == 1
