"""Profiles over the API: what is refused, what is kept, and that nobody sees another's."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from constitution.models import LedgerEntry, Profile, User, Version
from tests import factories
from tests.constitution.test_api import ROOT, client_of, get, ids, publish_after
from tests.races import at_once

WARD: dict[str, Any] = {"principle": "A-01", "tier": 2, "title": "Name the ward", "text": "Say which ward can help."}
ACME: dict[str, Any] = {
    "slug": "acme",
    "name": "Acme Clinics",
    "clauses": [WARD],
    "context": {"region": ["FR"], "industry": ["healthcare"]},
}


@pytest.fixture
def api(reviewer: User, constitution: Version) -> Client:
    return client_of(reviewer)


@pytest.fixture
def acme(api: Client) -> Any:
    """The answer to making the profile."""
    return send(api.post, "/profiles", ACME, 201)


def send(call: Any, path: str, body: Any, status: int, **headers: str) -> Any:
    answer = call(f"{ROOT}{path}", body, content_type="application/json", headers=headers)
    assert answer.status_code == status, answer.content
    return answer


def test_create_gives_a_place_and_a_tag(api: Client, acme: Any) -> None:
    assert acme["Location"] == f"{ROOT}/profiles/acme"
    read = api.get(acme["Location"])
    assert read["ETag"] == acme["ETag"]
    assert read.json() == acme.json()
    assert [row["slug"] for row in get(api, "/profiles")["items"]] == ["acme"]
    assert LedgerEntry.objects.order_by("-number")[0].action == "profile created"


def test_effective_adds_a_profile_and_its_context(api: Client, acme: Any, django_assert_num_queries: Any) -> None:
    get(api, "/constitutions/home/effective?profile=acme")
    with django_assert_num_queries(1):  # the token with its rate; the head and the profile are known
        told = get(api, "/constitutions/home/effective?profile=acme&region=DE")
    assert ids(told) == ["U-02", "H-02", "G-01", "acme/A-01", "T-03"]
    assert told["context"] == {"region": ["DE"], "industry": ["healthcare"]}


def test_profile_that_touches_the_universal_is_refused_in_sentences(api: Client) -> None:
    clause = {**WARD, "tier": 1}
    problem = send(api.post, "/profiles", {**ACME, "clauses": [clause]}, 400).json()
    assert problem["type"] == "/api/#refused"
    assert problem["reasons"] == ["A-01: a profile cannot add a universal clause. Make it tier 2 or 3."]
    assert not Profile.objects.exists()


def test_replace_wants_the_tag_of_what_was_read(api: Client, acme: Any) -> None:
    other = {**ACME, "name": "Acme"}
    send(api.put, "/profiles/acme", other, 428)
    first = send(api.put, "/profiles/acme", other, 200, if_match=acme["ETag"])
    assert first.json()["revision"] == 2
    late = send(api.put, "/profiles/acme", {**ACME, "name": "Late"}, 412, if_match=acme["ETag"])
    assert late["ETag"] == first["ETag"]
    assert get(api, "/profiles/acme")["name"] == "Acme"


def test_base_is_pinned_and_let_go(api: Client, acme: Any, constitution: Version) -> None:
    pinned = send(api.put, "/profiles/acme/base", {"pinned_to": 1}, 200, if_match=acme["ETag"])
    publish_after(constitution, factories.small_constitution()[:2])
    assert get(api, "/constitutions/home/effective?profile=acme")["version"] == 1
    send(api.put, "/profiles/acme/base", {"pinned_to": None}, 200, if_match=pinned["ETag"])
    assert get(api, "/constitutions/home/effective?profile=acme")["version"] == 2
    send(api.put, "/profiles/acme/base", {"pinned_to": 9}, 400, if_match="*")


def test_taken_name_is_a_conflict(api: Client, acme: Any, operator: User) -> None:
    send(client_of(operator).post, "/profiles", ACME, 409)


def test_profile_of_another_does_not_exist(acme: Any, other_reviewer: User) -> None:
    other = client_of(other_reviewer)
    get(other, "/profiles/acme", status=404)
    get(other, "/constitutions/home/effective?profile=acme", status=404)
    send(other.put, "/profiles/acme", ACME, 404, if_match=acme["ETag"])
    send(other.put, "/profiles/acme/base", {"pinned_to": 1}, 404, if_match=acme["ETag"])
    assert get(other, "/profiles")["items"] == []


def test_reader_writes_nothing(reviewer: User, constitution: Version) -> None:
    reader = client_of(reviewer, "read")
    problem = send(reader.post, "/profiles", ACME, 403).json()
    assert problem["type"] == "/api/#scope"
    get(client_of(reviewer, "profiles"), "/profiles", status=403)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "application/json", 422),
        (b"", "application/json", 415),
        (b"null", "application/json", 422),
        (b'{"slug": "a\\ud800"}', "application/json", 422),
        (b"slug=acme", "application/x-www-form-urlencoded", 415),
        (b"{" + b" " * 1_000_001, "application/json", 413),
    ],
)
def test_bad_body_is_a_problem(api: Client, body: bytes, kind: str, status: int) -> None:
    answer = api.generic("POST", f"{ROOT}/profiles", body, content_type=kind)
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"


def test_hidden_character_is_named_with_its_place(api: Client) -> None:
    clause = {**WARD, "text": "Say \u202e nothing."}
    problem = send(api.post, "/profiles", {**ACME, "clauses": [clause]}, 422).json()
    assert problem["invalid"] == [
        {"place": "body → clauses → 1 → text", "reason": "contains the hidden character U+202E; remove it"}
    ]


def test_pages_of_profiles_join_without_a_gap(api: Client) -> None:
    for slug in ("one", "two", "three"):
        send(api.post, "/profiles", {"slug": slug, "name": slug}, 201)
    first = get(api, "/profiles?limit=2")
    rest = get(api, first["next"].removeprefix(ROOT))
    assert [row["slug"] for row in first["items"] + rest["items"]] == ["one", "three", "two"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(6))
@pytest.mark.parametrize(
    ("other_path", "other_body"), [("/profiles/acme/base", {"pinned_to": 2}), ("/profiles/acme", {**ACME, "name": "A"})]
)
def test_of_two_writers_with_the_same_tag_one_wins(
    constitution: Version, reviewer: User, other_path: str, other_body: dict[str, Any], attempt: int
) -> None:
    publish_after(constitution, factories.small_constitution()[:2])
    one, other = client_of(reviewer), client_of(reviewer)
    tag = send(one.post, "/profiles", ACME, 201)["ETag"]

    def put(api: Client, path: str, body: dict[str, Any]) -> Callable[[], int]:
        headers = {"if-match": tag}
        address = f"{ROOT}{path}"
        return lambda: api.put(address, body, content_type="application/json", headers=headers).status_code

    statuses = at_once(put(one, "/profiles/acme/base", {"pinned_to": 1}), put(other, other_path, other_body))

    assert sorted(map(str, statuses)) == ["200", "412"]
    written = LedgerEntry.objects.filter(action__in=["profile pinned", "profile revised"])
    assert written.count() == 1
