"""Before they voted nobody can tell a known item: every address, as every role, is the same with it and without it."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from amendments.models import AcceptanceRule, Amendment, KnownItem, Producer
from constitution import tokens
from constitution.models import ApiScope, Role
from tests import factories
from tests.amendments.deciding import accept, reject
from tests.amendments.planting import plant
from tests.amendments.test_blindness import Desk, look
from tests.architecture.test_access import Things
from tests.architecture.test_access import things as usual_things  # noqa: F401  a fixture

SECRET = "because-of-zwielicht"  # noqa: S105  words that must show nowhere


@pytest.fixture
def desk(usual_things: Things) -> Desk:  # noqa: F811  the fixture
    """A model's proposal. `make_known` turns it into a known item, which no code of ours can."""
    AcceptanceRule.objects.create(tier=3, reviewers=2)
    people = {role.value: factories.make_user(f"a-{role.value}", role) for role in Role}
    people["everything"] = factories.make_user("everything", *Role)
    producer = Producer.objects.get(pk=usual_things.producer)
    proposal = factories.propose_revision("T-03", "Decline in one sentence.", by=producer)
    about = replace(usual_things, pk=proposal.pk, digest=proposal.digest)
    return Desk(proposal, factories.make_user("a-voter", Role.REVIEWER), about, people)


def make_known(desk: Desk) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no trigger says no
        Amendment.objects.filter(pk=desk.proposal.pk).update(known_verdict="reject")
        cursor.execute("SET session_replication_role = DEFAULT")
    KnownItem.objects.create(
        amendment=desk.proposal,
        name=SECRET,
        digest=desk.proposal.digest,
        reason=SECRET,
        planted_by=desk.people["overseer"],
    )


def _different(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [address for address, text in after.items() if text != before[address]]


@pytest.mark.parametrize("role", [*Role.values, "everything"])
def test_pages_are_the_same_with_a_known_item(client: Client, desk: Desk, role: str) -> None:
    client.force_login(desk.people[role], backend="sesame.backends.ModelBackend")
    before = look(client, desk.things)

    make_known(desk)

    # Whoever oversees and does not decide reads which they are, in one place.
    expected = ["/insights/"] if role == Role.OVERSEER else []
    assert _different(before, look(client, desk.things)) == expected


@pytest.mark.parametrize("role", [*Role.values, "everything"])
def test_pages_are_the_same_after_somebody_else_voted_on_it(client: Client, desk: Desk, role: str) -> None:
    make_known(desk)
    client.force_login(desk.people[role], backend="sesame.backends.ModelBackend")
    before = look(client, desk.things)

    with CaptureQueriesContext(connection) as asked:
        accept(desk.proposal, desk.voter)

    told = [query["sql"] for query in asked.captured_queries if "pg_notify" in query["sql"]]
    assert [sql for sql in told if "amendment:" in sql] == [], "open pages are not asked to fetch themselves again"
    # Overseers read everybody's measure, which names no proposal.
    expected = ["/insights/"] if role in (Role.OVERSEER, "everything") else []
    found = look(client, desk.things)
    assert _different(before, found) == expected
    assert role == Role.OVERSEER or SECRET not in "".join(found.values())


def test_voter_alone_is_told_and_finds_it_in_no_list(client: Client, desk: Desk) -> None:
    make_known(desk)
    reject(desk.proposal, desk.voter)
    client.force_login(desk.voter, backend="sesame.backends.ModelBackend")

    assert SECRET in client.get(desk.proposal.get_absolute_url()).content.decode()
    assert SECRET in client.get("/inbox/").content.decode()
    link = desk.proposal.get_absolute_url()
    for address in ("/", "/?state=open", "/?state=decided", f"/?q=%23{desk.proposal.pk}", "/?by=machines"):
        assert f'href="{link}"' not in client.get(address).content.decode(), address
    client.force_login(desk.people["reviewer"], backend="sesame.backends.ModelBackend")
    assert f'href="{link}"' in client.get("/").content.decode()


def test_answers_to_programs_are_the_same_with_a_known_item(client: Client, desk: Desk) -> None:
    _, token = tokens.issue(name="a program", scopes=ApiScope.values, by=desk.people["reviewer"])
    before = look(client, desk.things, token)

    make_known(desk)

    assert look(client, desk.things, token) == before


def test_exports_say_nothing_of_a_known_item(desk: Desk, tmp_path: Path) -> None:
    item = plant("two", "G-01", by=desk.people["overseer"])
    make_known(desk)
    call_command("export_history", str(tmp_path / "history"), stdout=StringIO())
    call_command("export_git", str(tmp_path / "git"), stdout=StringIO())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for word in (SECRET, "known_item", "known item", item.known.reason):
        assert [path for path in files if word.encode() in path.read_bytes()] == []
