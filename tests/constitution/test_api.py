"""The API as a client system sees it: every answer and every refusal, over the real middleware."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from constitution.actions import found, publish
from constitution.api import reading
from constitution.models import LedgerEntry, User, Version
from constitution.texts import ClauseText
from constitution.tokens import issue
from tests import factories

ROOT = "/api/v1"
SENTENCE = "Give general facts about medication. Leave doses to a clinician, always."


@pytest.fixture
def api(reviewer: User, constitution: Version) -> Client:
    """A client system of a reviewer, which may read and write."""
    return client_of(reviewer)


@pytest.fixture
def two_versions(constitution: Version) -> Version:
    """The founding version, and one that rewords H-02, repeals G-01 and adds G-09."""
    texts = [text for text in factories.small_constitution() if text.principle != "G-01"]
    texts[1] = texts[1].model_copy(update={"text": SENTENCE})
    return publish_after(constitution, [*texts, factories.make_clause("G-09", 2, "Say where a fact is from.")])


def client_of(owner: User, *scopes: str, per_minute: int | None = None) -> Client:
    _, secret = issue(name="a program", scopes=scopes or ("read", "profiles"), by=owner, per_minute=per_minute)
    return Client(headers={"authorization": f"Bearer {secret}"})


def publish_after(base: Version, clauses: list[ClauseText]) -> Version:
    return publish(base=base, clauses=clauses, title="A small constitution", summary="More.", by=base.published_by)


def get(api: Client, path: str, status: int = 200, **headers: str) -> Any:
    answer = api.get(f"{ROOT}{path}", headers=headers)
    assert answer.status_code == status, answer.content
    return answer.json()


def ids(effective: dict[str, Any]) -> list[str]:
    return [clause["id"] for clause in effective["clauses"]]


# Texts


def test_constitutions_lists_home_and_imported(api: Client, reviewer: User) -> None:
    found(slug="model-spec", title="A specification", by=reviewer, source="https://example.org/spec")
    listed = get(api, "/constitutions")
    assert [(row["slug"], row["is_home"], row["head"]) for row in listed["items"]] == [
        ("home", True, 1),
        ("model-spec", False, None),
    ]
    assert listed["next"] is None
    assert get(api, "/constitutions/model-spec")["source"] == "https://example.org/spec"


def test_versions_come_in_pages_newest_first(api: Client, two_versions: Version) -> None:
    first = get(api, "/constitutions/home/versions?limit=1")
    assert [row["number"] for row in first["items"]] == [2]
    second = get(api, first["next"].removeprefix(ROOT))
    assert [(row["number"], row["parent"]) for row in second["items"]] == [(1, None)]
    assert second["next"] is None


@pytest.mark.parametrize("name", ["2", "head", "2999-01-01", "2999-01-01T00:00:00Z"])
def test_version_has_many_names(api: Client, two_versions: Version, name: str) -> None:
    assert get(api, f"/constitutions/home/versions/{name}")["digest"] == two_versions.digest


def test_version_as_of_a_day_is_what_held_when_it_ended(api: Client, reviewer: User, constitution: Version) -> None:
    other = found(slug="other", title="Another", by=reviewer)
    texts = factories.small_constitution()
    first = publish(
        base=None,
        clauses=texts,
        title="One",
        summary="1",
        by=reviewer,
        constitution=other,
        at=datetime(2025, 2, 12, 18, tzinfo=UTC),
    )
    publish(
        base=first,
        clauses=texts[:2],
        title="Two",
        summary="2",
        by=reviewer,
        constitution=other,
        at=datetime(2025, 4, 11, tzinfo=UTC),
    )
    assert get(api, "/constitutions/other/versions/2025-02-12")["number"] == 1
    assert get(api, "/constitutions/other/versions/2025-04-11")["number"] == 2
    assert get(api, "/constitutions/other/versions/2025-04-10T23:59:59Z")["number"] == 1
    get(api, "/constitutions/other/versions/2025-02-11", status=404)
    assert get(api, "/constitutions/other/versions/2025-02-30", status=400)["type"] == "/api/#refused"
    assert len(get(api, "/constitutions/other/effective?version=2025-03-01")["clauses"]) == 3


def test_clauses_say_since_when(api: Client, two_versions: Version) -> None:
    clauses = get(api, "/constitutions/home/versions/2/clauses")["items"]
    assert [(row["principle"], row["since"]) for row in clauses] == [("U-02", 1), ("H-02", 2), ("T-03", 1), ("G-09", 2)]
    assert clauses[1]["sentences_since"] == [1, 2]
    one = get(api, "/constitutions/home/versions/2/clauses/H-02")
    assert one == clauses[1]
    assert one["digest"] == two_versions.texts()[1].digest
    get(api, "/constitutions/home/versions/2/clauses/G-01", status=404)


def test_history_says_what_each_version_changed(api: Client, two_versions: Version) -> None:
    second, first = get(api, "/constitutions/home/history")["items"]
    assert first["changes"] == []
    assert [(row["principle"], row["kind"]) for row in second["changes"]] == [
        ("H-02", "revised"),
        ("G-09", "added"),
        ("G-01", "repealed"),
    ]


def test_diff_is_word_by_word(api: Client, two_versions: Version) -> None:
    compared = get(api, "/constitutions/home/versions/1/to/head")
    change = next(row for row in compared["changes"] if row["principle"] == "H-02")
    after = "".join(part["text"] for part in change["words"] if part["kind"] != "del")
    assert after == SENTENCE == change["after"]["text"]
    assert get(api, "/constitutions/home/versions/2/to/2")["changes"] == []


def test_vocabulary_is_served_in_pages(api: Client) -> None:
    words = get(api, "/contexts")
    assert {"region": "EU"} in [rule["when"] for rule in words["rules"]]
    page, seen = get(api, "/contexts/region?limit=200"), []
    while True:
        seen += [row["id"] for row in page["items"]]
        if page["next"] is None:
            break
        page = get(api, page["next"].removeprefix(ROOT))
    assert len(seen) == len(set(seen)) == words["dimensions"]["region"]
    assert {"FR", "EU", "US-CA"} <= set(seen)


# Effective constitutions


def test_effective_follows_the_context(api: Client) -> None:
    everywhere = get(api, "/constitutions/home/effective")
    clinic = get(api, "/constitutions/home/effective?industry=Healthcare&region=france")
    assert ids(everywhere) == ["U-02", "G-01", "T-03"]
    assert ids(clinic) == ["U-02", "H-02", "G-01", "T-03"]
    assert clinic["context"] == {"region": ["FR"], "industry": ["healthcare"]}
    assert everywhere["digest"] != clinic["digest"]


def test_effective_explains(api: Client) -> None:
    told = get(api, "/constitutions/home/effective?region=FR&explain=true")
    ruling = next(row for row in told["rulings"] if row["id"] == "H-02")
    assert ruling["in_force"] is False
    assert "healthcare" in ruling["reason"]
    assert told["facts"]["regulation"]["GDPR"]


def test_effective_is_a_prompt_for_who_accepts_text(api: Client) -> None:
    asked = f"{ROOT}/constitutions/home/effective?industry=healthcare"
    accepted = api.get(asked, headers={"accept": "text/plain"})
    named = api.get(asked.replace("effective?", "effective.txt?"), headers={"accept": "*/*"})
    assert accepted["Content-Type"] == named["Content-Type"] == "text/plain; charset=utf-8"
    assert accepted.content == named.content
    assert "[H-02]" in accepted.content.decode()
    assert accepted["ETag"] != api.get(asked)["ETag"]
    get(api, "/constitutions/home/effective", status=406, accept="image/png")


def test_effective_refuses_unknown_words_with_near_ones(api: Client) -> None:
    problem = get(api, "/constitutions/home/effective?region=Frnace&industry=healthcare", status=400)
    assert problem["type"] == "/api/#unknown-context"
    assert problem["unknown"] == [{"dimension": "region", "value": "Frnace", "near": ["FR"]}]


def test_effective_refuses_a_misspelt_dimension(api: Client) -> None:
    problem = get(api, "/constitutions/home/effective?regoin=FR", status=422)
    assert "Did you mean region" in problem["detail"]


def test_effective_costs_one_query_until_something_is_written(
    api: Client, constitution: Version, django_assert_num_queries: Any
) -> None:
    get(api, "/constitutions/home/effective")
    for industry in ("healthcare", "finance", "education"):
        with django_assert_num_queries(1):  # the token with its rate, and the newest entry of the ledger
            assert get(api, f"/constitutions/home/effective?industry={industry}")["version"] == 1
    publish_after(constitution, factories.small_constitution()[:2])
    assert get(api, "/constitutions/home/effective")["version"] == 2


# Conditions


@pytest.mark.parametrize(
    "path",
    [
        "/ping",
        "/constitutions",
        "/constitutions/home/versions/1",
        "/constitutions/home/versions/head/clauses",
        "/constitutions/home/effective?region=FR",
        "/constitutions/home/effective.txt?region=FR",
        "/contexts",
    ],
)
def test_known_answer_is_not_sent_again(api: Client, path: str) -> None:
    first = api.get(f"{ROOT}{path}")
    again = api.get(f"{ROOT}{path}", headers={"if-none-match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    other = api.get(f"{ROOT}{path}", headers={"if-none-match": '"something else"'})
    assert other.content == first.content


def test_head_tag_changes_with_the_head(api: Client, constitution: Version) -> None:
    path = f"{ROOT}/constitutions/home/effective"
    before = api.get(path)["ETag"]
    publish_after(constitution, factories.small_constitution()[:2])
    after = api.get(path, headers={"if-none-match": before})
    assert after.status_code == 200
    assert after["ETag"] != before


def test_numbered_version_may_be_kept(api: Client) -> None:
    assert "immutable" in api.get(f"{ROOT}/constitutions/home/versions/1")["Cache-Control"]
    assert api.get(f"{ROOT}/constitutions/home/versions/head")["Cache-Control"] == "private, no-cache"


# Refusals


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/constitutions/nobody", 404),
        ("/constitutions/nobody/effective", 404),
        ("/constitutions/home/versions/9", 404),
        ("/constitutions/home/versions/0", 422),
        ("/constitutions/home/effective?version=1999-01-01", 404),
        ("/constitutions/home/effective?profile=acme", 404),
        ("/contexts/weather", 422),
        ("/constitutions?limit=0", 422),
        ("/constitutions?limit=many", 422),
        ("/constitutions?after=%00", 422),
        ("/constitutions/%00", 422),
        ("/nothing/here", 404),
        ("/", 404),
    ],
)
def test_refusal_is_a_problem(api: Client, path: str, status: int) -> None:
    answer = api.get(f"{ROOT}{path}")
    problem = answer.json()
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
    assert problem["status"] == status
    assert problem["detail"].endswith((".", "?")) or problem["invalid"]
    assert problem["title"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE"])
def test_other_method_is_refused(api: Client, method: str) -> None:
    answer = api.generic(method, f"{ROOT}/constitutions")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.json()["status"] == 405


def test_head_and_options_are_answered(api: Client) -> None:
    head = api.head(f"{ROOT}/constitutions/home/effective")
    assert (head.status_code, head.content) == (200, b"")
    assert head["ETag"] == api.get(f"{ROOT}/constitutions/home/effective")["ETag"]
    options = api.options(f"{ROOT}/profiles")
    assert (options.status_code, options["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")


@pytest.mark.parametrize(("error", "status"), [(OperationalError("gone"), 503), (RuntimeError("secret"), 500)])
def test_breakdown_is_a_problem_without_its_reason(
    api: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    def break_down(row: object) -> None:
        raise error

    monkeypatch.setattr(reading, "_constitution", break_down)
    problem = get(api, "/constitutions/home", status=status)
    assert "secret" not in json.dumps(problem)


def test_no_cookie_is_set(api: Client) -> None:
    assert not api.get(f"{ROOT}/constitutions").cookies


# The description


def test_document_is_open_and_served(client: Client, db: None) -> None:
    answer = client.get(reverse("api:openapi"))
    assert answer.json()["openapi"].startswith("3.1")
    assert answer.json()["components"]["securitySchemes"]["Token"]["scheme"] == "bearer"


def test_reference_names_every_call(client: Client, db: None) -> None:
    page = client.get(reverse("api:reference")).content.decode()
    for path in client.get(reverse("api:openapi")).json()["paths"]:
        assert path in page


def test_reading_leaves_no_entry_in_the_ledger(api: Client) -> None:
    before = LedgerEntry.objects.count()
    get(api, "/constitutions/home/effective")
    assert LedgerEntry.objects.count() == before
