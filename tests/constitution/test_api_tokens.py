"""Tokens: shown once, kept as a digest, counted for all processes together, and over when they are over."""

import hashlib
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from constitution import tokens
from constitution.errors import NotAllowed, Refused
from constitution.models import ApiToken, ApiWindow, LedgerEntry, Role, User, Version
from tests import factories
from tests.constitution.test_api import ROOT, client_of

PAGE = "/settings/tokens/"


def make(owner: User, *scopes: str) -> tuple[ApiToken, str]:
    return tokens.issue(name="a program", scopes=scopes or ("read",), by=owner)


def status(secret: str, path: str = "/constitutions") -> int:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    return Client().get(f"{ROOT}{path}", headers=headers).status_code


# Actions


def test_issue_keeps_the_digest_alone(reviewer: User) -> None:
    token, secret = make(reviewer)
    assert secret.startswith("rat_")
    assert len(secret) == 47
    assert token.digest == hashlib.sha256(secret.encode()).hexdigest()
    entry = LedgerEntry.objects.order_by("-number")[0]
    assert (entry.action, entry.subject) == ("token issued", f"token:{token.pk}")
    assert secret not in str(entry.detail)
    assert secret[len(token.hint) :] not in str([list(row) for row in ApiToken.objects.values_list()])


def test_issue_refuses_nonsense(reviewer: User, stranger: User) -> None:
    for name in ("", "  ", "a" * 101, "a\nb", "a\x00"):
        with pytest.raises(Refused):
            tokens.issue(name=name, scopes=["read"], by=reviewer)
    for scopes in ([], ["everything"], ["read", "everything"]):
        with pytest.raises(Refused):
            tokens.issue(name="a program", scopes=scopes, by=reviewer)
    with pytest.raises(NotAllowed):
        make(stranger)


def test_rate_is_an_operators(reviewer: User, operator: User) -> None:
    token, _ = make(reviewer)
    with pytest.raises(NotAllowed):
        tokens.set_rate(token=token, per_minute=5, by=reviewer)
    with pytest.raises(NotAllowed):
        tokens.issue(name="fast", scopes=["read"], by=reviewer, per_minute=10_000)
    for wrong in (0, -1, tokens.HIGHEST_RATE + 1):
        with pytest.raises(Refused):
            tokens.set_rate(token=token, per_minute=wrong, by=operator)
    assert tokens.set_rate(token=token, per_minute=5, by=operator).per_minute == 5


def test_revoke_is_for_owner_and_operator(reviewer: User, other_reviewer: User, operator: User) -> None:
    mine, theirs = make(reviewer)[0], make(other_reviewer)[0]
    with pytest.raises(NotAllowed):
        tokens.revoke(token=theirs, by=reviewer)
    assert tokens.revoke(token=mine, by=reviewer).revoked_at
    first = tokens.revoke(token=theirs, by=operator).revoked_at
    assert tokens.revoke(token=theirs, by=operator).revoked_at == first
    assert LedgerEntry.objects.filter(action="token revoked").count() == 2


# At the gate


@pytest.mark.parametrize("secret", ["", "rat_wrong", "rat_é\x80", "x" * 5000, " "])
def test_wrong_token_is_refused(constitution: Version, secret: str) -> None:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    answer = Client().get(f"{ROOT}/constitutions", headers=headers)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith('Bearer realm="ratify"')
    assert "RateLimit-Limit" not in answer


def test_other_scheme_is_refused(reviewer: User) -> None:
    _, secret = make(reviewer)
    assert Client().get(f"{ROOT}/constitutions", headers={"authorization": f"Basic {secret}"}).status_code == 401


def test_session_opens_nothing(client: Client, reviewer: User, constitution: Version) -> None:
    client.force_login(reviewer)
    assert client.get(f"{ROOT}/constitutions").status_code == 401


def test_token_is_over_when_revoked(reviewer: User, constitution: Version) -> None:
    token, secret = make(reviewer)
    assert status(secret) == 200
    tokens.revoke(token=token, by=reviewer)
    assert status(secret) == 401


@pytest.mark.parametrize("change", [{"roles": []}, {"is_active": False}])
def test_token_is_over_with_its_owner(reviewer: User, constitution: Version, change: dict[str, object]) -> None:
    _, secret = make(reviewer)
    User.objects.filter(pk=reviewer.pk).update(**change)
    assert status(secret) == 401


def test_owner_of_any_role_may_ask(constitution: Version) -> None:
    for role in Role:
        assert status(make(factories.make_user(f"person-{role}", role))[1]) == 200


# Rates


def test_rate_is_told_and_kept(operator: User, constitution: Version) -> None:
    api = client_of(operator, per_minute=3)
    seen = [api.get(f"{ROOT}/constitutions") for _ in range(5)]
    assert [answer.status_code for answer in seen] == [200, 200, 200, 429, 429]
    assert [answer["RateLimit-Remaining"] for answer in seen] == ["2", "1", "0", "0", "0"]
    assert {answer["RateLimit-Limit"] for answer in seen} == {"3"}
    assert 1 <= int(seen[0]["RateLimit-Reset"]) <= 60
    assert seen[4]["Retry-After"] == seen[4]["RateLimit-Reset"]
    assert seen[4].json()["type"] == "/api/#rate"


def test_rate_begins_anew_after_a_minute(operator: User, constitution: Version) -> None:
    api = client_of(operator, per_minute=1)
    assert [api.get(f"{ROOT}/constitutions").status_code for _ in range(2)] == [200, 429]
    window = ApiWindow.objects.get()
    window.began -= timedelta(seconds=61)
    window.save()
    assert api.get(f"{ROOT}/constitutions")["RateLimit-Remaining"] == "0"


def test_unchanged_answer_counts_too(operator: User, constitution: Version) -> None:
    api = client_of(operator, per_minute=9)
    tag = api.get(f"{ROOT}/constitutions")["ETag"]
    answer = api.get(f"{ROOT}/constitutions", headers={"if-none-match": tag})
    assert (answer.status_code, answer["RateLimit-Remaining"]) == (304, "7")


@pytest.mark.django_db(transaction=True)
def test_rate_holds_over_many_connections() -> None:
    """Eight connections at once, as so many processes: exactly as many are let through as the rate says."""
    owner = factories.make_user("otto", Role.OPERATOR)
    _, secret = tokens.issue(name="a program", scopes=["read"], by=owner, per_minute=50)
    seen: list[bool] = []

    def ask() -> None:
        try:
            for _ in range(20):
                use = tokens.spend(secret)
                assert use is not None
                seen.append(use.is_over)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen.count(False), seen.count(True)) == (50, 110)


@pytest.mark.django_db
def test_counting_waits_for_no_disk() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'constitution_apiwindow'")
        assert cursor.fetchone() == ("u",)


# The page


def test_page_shows_a_secret_once(client: Client, reviewer: User) -> None:
    client.force_login(reviewer)
    made = client.post(PAGE, {"name": "Triage desk", "scopes": ["read", "profiles"]})
    secret = made.context["made"]["secret"]
    assert secret in made.content.decode()
    assert "no-store" in made["Cache-Control"]
    page = client.get(PAGE).content.decode()
    assert "Triage desk" in page
    assert secret not in page
    assert status(secret) == 200


def test_page_keeps_what_was_refused(client: Client, reviewer: User) -> None:
    client.force_login(reviewer)
    answer = client.post(PAGE, {"name": "Triage desk", "scopes": []})
    assert answer.status_code == 409
    assert "Choose at least one thing" in answer.content.decode()
    assert 'value="Triage desk"' in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_page_shows_others_to_operators_alone(client: Client, reviewer: User, operator: User) -> None:
    token, _ = make(reviewer)
    foreign, _ = make(operator)
    client.force_login(reviewer)
    assert [row["token"] for row in client.get(PAGE).context["tokens"]] == [token]
    for name in ("token-revoke", "token-rate"):
        address = reverse(f"constitution:{name}", kwargs={"pk": foreign.pk})
        assert client.post(address, {"per_minute": "5"}).status_code == 404
    client.force_login(operator)
    assert {row["token"] for row in client.get(PAGE).context["tokens"]} == {token, foreign}


def test_page_sets_rates_and_revokes(client: Client, reviewer: User, operator: User) -> None:
    token, _ = make(reviewer)
    client.force_login(operator)
    rate = reverse("constitution:token-rate", kwargs={"pk": token.pk})
    assert client.post(rate, {"per_minute": "25"}).status_code == 302
    assert client.post(rate, {"per_minute": "many"}).status_code == 409
    client.force_login(reviewer)
    assert client.post(rate, {"per_minute": "9999"}).status_code == 403
    assert client.post(reverse("constitution:token-revoke", kwargs={"pk": token.pk})).status_code == 302
    token.refresh_from_db()
    assert (token.per_minute, token.revoked_at is None) == (25, False)


def test_page_asks_the_same_for_many_tokens(
    client: Client, reviewer: User, django_assert_max_num_queries: object
) -> None:
    client.force_login(reviewer)
    for _ in range(12):
        make(reviewer)
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        client.get(PAGE)
