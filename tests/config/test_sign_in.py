"""Who gets in, and how."""

from datetime import timedelta
from http import HTTPStatus

import pytest
from django.conf import LazySettings
from django.test import Client

from config import sign_in
from constitution.models import User
from tests.factories import PASSWORD


def has_session(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.mark.parametrize("path", ["/", "/history/", "/accounts/2fa/"])
def test_pages_without_a_session_ask_to_sign_in(db: None, client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == HTTPStatus.FOUND
    assert response.headers["Location"] == f"/accounts/login/?next={path}"


def test_health_needs_no_session(db: None, client: Client) -> None:
    response = client.get("/healthz")
    assert response.status_code == HTTPStatus.OK
    assert response.json()["database"] is True


def test_link_signs_in_once(client: Client, reviewer: User) -> None:
    link = sign_in.link_for(reviewer, site="")
    assert client.get(link).status_code == HTTPStatus.FOUND
    assert has_session(client)
    second = Client()
    assert second.get(link).status_code == HTTPStatus.FORBIDDEN
    assert not has_session(second)


def test_link_is_worthless_after_a_day(client: Client, reviewer: User, settings: LazySettings) -> None:
    settings.SESAME_MAX_AGE = timedelta(seconds=-1)
    link = sign_in.link_for(reviewer, site="")
    assert client.get(link).status_code == HTTPStatus.FORBIDDEN
    assert not has_session(client)


def test_link_of_somebody_deactivated_is_refused(client: Client, reviewer: User) -> None:
    link = sign_in.link_for(reviewer, site="")
    reviewer.is_active = False
    reviewer.save()
    assert client.get(link).status_code == HTTPStatus.FORBIDDEN


def test_nobody_registers_by_themselves(db: None, client: Client) -> None:
    form = {"username": "eve", "password1": PASSWORD, "password2": PASSWORD}
    client.post("/accounts/signup/", form)
    assert not User.objects.filter(username="eve").exists()
    assert not has_session(client)


def test_guessed_passwords_lock_the_name_out(client: Client, reviewer: User, settings: LazySettings) -> None:
    for guess in range(settings.AXES_FAILURE_LIMIT):
        name = reviewer.username.upper() if guess % 2 else reviewer.username
        client.post("/accounts/login/", {"login": name, "password": f"guess {guess}"})
    response = client.post("/accounts/login/", {"login": reviewer.username, "password": PASSWORD})
    assert response.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert not has_session(client)


def test_password_signs_in(client: Client, reviewer: User) -> None:
    response = client.post("/accounts/login/", {"login": reviewer.username, "password": PASSWORD})
    assert response.headers["Location"] == "/"
    assert has_session(client)


def test_every_answer_forbids_inline_code(db: None, client: Client) -> None:
    policy = client.get("/accounts/login/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
