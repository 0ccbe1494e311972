"""Nobody can tell that a hidden vote is there: every address, as every role, is the same with it and without it.

The list of addresses is that of tests/architecture/test_access.py, so that a new one is looked at by itself.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from amendments import actions, discussion
from amendments.models import AcceptanceRule, Amendment, Audience, Review
from constitution import tokens
from constitution.models import ApiScope, Role, User
from tests import factories
from tests.architecture.test_access import ACCESS, OURS, Things
from tests.architecture.test_access import things as usual_things  # noqa: F401  a fixture

WORD = "zwielicht"
# What differs between two looks at a page anyway: the form's token, how long ago something was, and when.
CHANGING = (
    re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"'),
    re.compile(r'"csrfToken": "[^"]*"'),
    re.compile(r'nonce="[^"]*"'),
    re.compile(r"<time[^>]*>[^<]*</time>"),
    re.compile(r"<updated>[^<]*</updated>"),
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:\d\d)?"),
)
QUERIES = {
    "amendments:queue": ("", "?state=decided", "?since=0", "?q=zwielicht", "?assignee=me", "?sort=age"),
    "amendments:amendment-detail": ("", "?before=2020-01-01T00:00:00+00:00"),
}
FRAGMENTS = {
    "amendments:amendment-detail": ("standing", "decision", "discussion", "comments"),
    "amendments:discussion": ("discussion", "comments"),
    "amendments:queue": ("queue", "activity", "arrivals"),
    "amendments:claim": ("claim",),
    "amendments:inbox": ("inbox",),
}


@dataclass(frozen=True)
class Desk:
    """A proposal of a person that two reviewers decide on, and everything that addresses are about."""

    proposal: Amendment
    voter: User
    things: Things
    people: dict[str, User]


@pytest.fixture
def desk(usual_things: Things) -> Desk:  # noqa: F811  the fixture
    AcceptanceRule.objects.create(tier=3, reviewers=2)
    people = {role.value: factories.make_user(f"a-{role.value}", role) for role in Role}
    people["author"] = factories.make_user("an-author", Role.REVIEWER)
    proposal = factories.propose_revision("T-03", "Decline in one sentence.", by=people["author"])
    # Something that all may read, too: hidden rows must not show between visible ones.
    discussion.say(amendment=proposal, by=people["researcher"], text="Why now?", audience=Audience.EVERYBODY)
    about = replace(usual_things, pk=proposal.pk, digest=proposal.digest)
    return Desk(proposal, factories.make_user("a-voter", Role.REVIEWER), about, people)


def vote_in_secret(desk: Desk) -> None:
    """A vote that counts, and words to the reviewers."""
    text = f"To the others: {WORD} @a-reviewer"
    discussion.say(amendment=desk.proposal, by=desk.voter, text=text, audience=Audience.REVIEWERS)
    actions.reject(amendment=desk.proposal, by=desk.voter, seen_digest=desk.proposal.digest, reason=f"No: {WORD}.")
    assert Review.objects.filter(reviewer=desk.voter).count() == 1
    desk.proposal.refresh_from_db()
    assert desk.proposal.is_undecided


def addresses(things: Things) -> Iterator[tuple[str, str]]:
    """(name, address) of everything that can be fetched."""
    for name in OURS:
        access = ACCESS[name]
        if access.method != "get":
            continue
        address = reverse(name, kwargs={argument: getattr(things, argument) for argument in access.kwargs})
        for query in QUERIES.get(name, ("",)):
            yield name, f"{address}{query}"


def look(client: Client, things: Things, token: str = "") -> dict[str, str]:
    """What each address and each of its fragments answers, without what changes by itself."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    seen: dict[str, str] = {}
    for name, address in addresses(things):
        if ACCESS[name].by_token != bool(token):
            continue
        seen[address] = _plain(client, address, headers)
        for fragment in FRAGMENTS.get(name, ()):
            asked = {**headers, "HX-Request": "true", "HX-Target": fragment}
            seen[f"{address} #{fragment}"] = _plain(client, address, asked)
    return seen


def _plain(client: Client, address: str, headers: dict[str, str]) -> str:
    answer = client.get(address, headers=headers)
    body = b"".join(answer) if answer.streaming else answer.content
    text = f"{answer.status_code} {answer.get('Location', '')}\n{body.decode()}"
    for pattern in CHANGING:
        text = pattern.sub("", text)
    return text


@pytest.mark.parametrize("role", [*Role.values, "author"])
def test_pages_are_the_same_with_a_vote_of_the_board(client: Client, desk: Desk, role: str) -> None:
    member = factories.make_user("a-member", Role.BOARD)
    AcceptanceRule.objects.filter(tier=3).update(quorum=2)
    actions.refer(amendment=desk.proposal, by=desk.people["reviewer"], reason="It matters.")
    sent = Amendment.objects.filter(pk=desk.proposal.pk)
    sent.update(referred_at=timezone.now() - timedelta(hours=1))
    client.force_login(desk.people[role], backend="sesame.backends.ModelBackend")
    before = look(client, desk.things)

    actions.vote(
        amendment=desk.proposal, by=member, seen_digest=desk.proposal.digest, verdict="against", reason=f"No: {WORD}."
    )

    after = look(client, desk.things)
    assert [address for address, text in after.items() if text != before[address]] == []


@pytest.mark.parametrize("role", [*Role.values, "author"])
def test_pages_are_the_same_with_a_hidden_vote(client: Client, desk: Desk, role: str) -> None:
    client.force_login(desk.people[role], backend="sesame.backends.ModelBackend")
    before = look(client, desk.things)

    vote_in_secret(desk)

    after = look(client, desk.things)
    assert [address for address, text in after.items() if WORD in text.replace(f"q={WORD}", "")] == _asked(after)
    assert [address for address, text in after.items() if text != before[address]] == []


def _asked(seen: dict[str, str]) -> list[str]:
    """A search shows what was searched for."""
    return [address for address, text in seen.items() if WORD in address and WORD in text.replace(f"q={WORD}", "")]


def test_voter_alone_reads_their_words(client: Client, desk: Desk) -> None:
    vote_in_secret(desk)
    client.force_login(desk.voter, backend="sesame.backends.ModelBackend")

    assert client.get(desk.proposal.get_absolute_url()).content.decode().count(WORD) >= 2


def test_answers_to_programs_are_the_same_with_a_hidden_vote(client: Client, desk: Desk) -> None:
    _, token = tokens.issue(name="a program", scopes=ApiScope.values, by=desk.people["reviewer"])
    before = look(client, desk.things, token)
    assert len(before) > 10

    vote_in_secret(desk)

    assert look(client, desk.things, token) == before


def test_exports_say_nothing_of_a_hidden_vote(desk: Desk, tmp_path: Path) -> None:
    vote_in_secret(desk)
    call_command("export_history", str(tmp_path / "history"), stdout=StringIO())
    call_command("export_git", str(tmp_path / "git"), stdout=StringIO())
    with (tmp_path / "constitution.yaml").open("w") as file:
        call_command("export_constitution", stdout=file)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if WORD.encode() in path.read_bytes()] == []


def test_live_pages_hear_nothing_of_a_hidden_vote(desk: Desk) -> None:
    with CaptureQueriesContext(connection) as asked:
        vote_in_secret(desk)

    assert [query["sql"] for query in asked.captured_queries if "pg_notify" in query["sql"]] == []


def test_consolidation_opens_it_to_reviewers_and_the_decision_to_all(client: Client, desk: Desk) -> None:
    def readers() -> list[str]:
        found = []
        for role, person in desk.people.items():
            client.force_login(person, backend="sesame.backends.ModelBackend")
            if WORD in client.get(desk.proposal.get_absolute_url()).content.decode():
                found.append(role)
        return found

    vote_in_secret(desk)
    assert readers() == []

    reviewer = desk.people["reviewer"]
    actions.accept(amendment=desk.proposal, by=reviewer, seen_digest=desk.proposal.digest)
    assert readers() == ["reviewer"]

    actions.reject(amendment=desk.proposal, by=reviewer, seen_digest=desk.proposal.digest, reason="Agreed.")
    assert readers() == list(desk.people)
