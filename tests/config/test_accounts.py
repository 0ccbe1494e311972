"""Accounts after they were made: roles given and taken, closed and opened again, and somebody left who may do that."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from config import sign_in
from constitution import ledger, people
from constitution.errors import NotAllowed, Refused
from constitution.models import ApiToken, LedgerEntry, Role, User, Version
from tests.constitution.test_api import ROOT, client_of
from tests.factories import PASSWORD, make_user
from tests.races import at_once

pytestmark = pytest.mark.django_db


def account(*arguments: str) -> str:
    out = StringIO()
    call_command("account", *arguments, stdout=out)
    return out.getvalue().strip()


def test_roles_are_given_and_taken_with_an_entry_each(client: Client, reviewer: User, operator: User) -> None:
    client.force_login(reviewer)
    said = account(reviewer.username, "--give", "board", "--take", "reviewer", "--by", operator.username)
    assert said == "ada: open, board."
    reviewer.refresh_from_db()
    assert (reviewer.has_role(Role.BOARD), reviewer.has_role(Role.REVIEWER)) == (True, False)
    assert client.get("/").status_code == 200, "the session goes on"
    entry = LedgerEntry.objects.get(action="roles changed")
    assert (entry.actor, entry.subject) == (operator, f"person:{reviewer.pk}")
    assert entry.detail == {"before": ["reviewer"], "roles": ["board"]}

    account(reviewer.username, "--give", "board", "--by", operator.username)
    assert LedgerEntry.objects.filter(action="roles changed").count() == 1, "nothing changed"


def test_closed_account_ends_sessions_links_password_and_tokens(
    client: Client, constitution: Version, reviewer: User, operator: User
) -> None:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    link, program = sign_in.link_for(reviewer, site=""), client_of(reviewer)
    address = f"{ROOT}/constitutions/home"
    assert (client.get("/").status_code, program.get(address).status_code) == (200, 200)

    assert account(reviewer.username, "--close", "--by", operator.username) == "ada: closed, reviewer."
    entry = LedgerEntry.objects.get(action="account closed")
    assert entry.detail == {"roles": ["reviewer"], "tokens": [ApiToken.objects.get().pk]}
    for closed in (True, False):  # reopening brings none of them back
        assert (client.get("/").status_code, program.get(address).status_code) == (302, 401)
        assert Client().get(link).status_code == 403
        Client().post("/accounts/login/", {"login": reviewer.username, "password": PASSWORD})
        assert client.get("/").status_code == 302
        if closed:
            with pytest.raises(CommandError, match=r"is closed: manage\.py account ada --reopen"):
                call_command("invite", reviewer.username)
            assert account(reviewer.username, "--reopen", "--by", operator.username) == "ada: open, reviewer."

    out = StringIO()
    call_command("invite", reviewer.username, site="", stdout=out)
    assert client.get(out.getvalue().strip()).status_code == 302
    assert client.get("/").status_code == 200
    assert LedgerEntry.objects.filter(action="account reopened").count() == 1
    ledger.verify()


def test_somebody_is_always_left_who_may_manage_accounts(operator: User, reviewer: User) -> None:
    User.objects.exclude(pk__in=[operator.pk, reviewer.pk]).update(is_active=False)
    for arguments in (["--take", "operator"], ["--close"]):
        with pytest.raises(CommandError, match="nobody would be left"):
            account(operator.username, *arguments, "--by", operator.username)
    operator.refresh_from_db()
    assert operator.has_role(Role.OPERATOR)
    assert not LedgerEntry.objects.filter(action__in=["roles changed", "account closed"]).exists()
    account(reviewer.username, "--give", "operator", "--by", operator.username)
    assert account(operator.username, "--close", "--by", reviewer.username).startswith(f"{operator.username}: closed")


def test_only_operators_who_are_not_closed_manage_accounts(operator: User, reviewer: User, overseer: User) -> None:
    closed = make_user("gone", Role.OPERATOR)
    people.close(person=closed, by=operator)
    for by in (reviewer, overseer, closed):
        for verb in (people.close, people.reopen, people.change_roles):
            with pytest.raises(NotAllowed, match="Only operators"):
                verb(person=reviewer, by=by)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ada", "--give", "board", "--take", "board"], "not both: board"),
        (["nobody", "--close"], "no account named nobody"),
        (["ada", "--reopen"], "is open"),
        (["ada", "--take", "reviewer", "--close", "--reopen"], "not allowed with"),
    ],
)
def test_senseless_order_changes_nothing(operator: User, reviewer: User, arguments: list[str], sentence: str) -> None:
    before = LedgerEntry.objects.count()
    with pytest.raises(CommandError, match=sentence):
        account(*arguments, "--by", operator.username)
    reviewer.refresh_from_db()
    assert (reviewer.is_active, reviewer.roles, LedgerEntry.objects.count()) == (True, ["reviewer"], before)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(6))
def test_two_operators_who_close_each_other_leave_one(attempt: int) -> None:
    one, other = make_user("one", Role.OPERATOR), make_user("other", Role.OPERATOR)
    results = at_once(
        lambda: people.close(person=one, by=other),
        lambda: people.change_roles(person=other, by=one, take=[Role.OPERATOR]),
    )
    assert sum(isinstance(result, Refused) for result in results) == 1
    assert User.objects.filter(roles__contains=[Role.OPERATOR], is_active=True).count() == 1
    ledger.verify()
