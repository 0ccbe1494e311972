"""Full-text search over every wording there has been."""

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from constitution.models import User, Version
from constitution.views.history.search import marked
from tests.constitution.histories import import_history, many_versions, reword, rewrite
from tests.factories import make_clause

SEARCH = "/search/"


@pytest.fixture
def reader(client: Client, researcher: User) -> Client:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    return client


def test_search_finds_words_that_no_version_says_any_more(
    reader: Client, constitution: Version, reviewer: User
) -> None:
    second = reword(constitution, {"T-03": "Decline kindly."}, by=reviewer)
    reword(second, {"T-03": "Decline in one sentence."}, by=reviewer)

    (found,) = reader.get(SEARCH, {"q": "preaching"}).context["results"]

    assert (found["principle"], found["is_one"], found["first"]["number"]) == ("T-03", True, 1)
    assert (True, "preach") in found["snippet"]


def test_search_says_from_when_to_when_a_wording_held(reader: Client, constitution: Version, reviewer: User) -> None:
    many_versions(constitution, 3, by=reviewer)
    (found,) = reader.get(SEARCH, {"q": '"hurt a person"'}).context["results"]
    assert (found["first"]["number"], found["last"]["number"]) == (1, 4)
    assert found["first"]["url"] == "/versions/1/#U-02"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("requests or medication", {"G-01", "H-02"}),
        ("help -medication", {"U-02", "G-01"}),
        ('"a clinician"', {"H-02"}),
        ("clinicians", {"H-02"}),
        ("the and of", set()),
        ("zebra", set()),
        ('"', set()),
        ("\x00 & | ! :* <-> ((", set()),
        ("'; DROP TABLE x; --", set()),
    ],
)
def test_search_understands_the_syntax_of_web_searches(
    reader: Client, constitution: Version, words: str, expected: set[str]
) -> None:
    page = reader.get(SEARCH, {"q": words})
    assert page.status_code == 200
    assert {row["principle"] for row in page.context["results"]} == expected


def test_search_keeps_to_a_tier(reader: Client, constitution: Version) -> None:
    page = reader.get(SEARCH, {"q": "help", "tier": "1"})
    assert {row["principle"] for row in page.context["results"]} == {"U-02"}


def test_search_keeps_to_a_constitution_or_asks_them_all(reader: Client, constitution: Version, reviewer: User) -> None:
    import_history("charter", ["Never hurt the truth.", "Never hurt it."], by=reviewer)

    def found(**asked: str) -> set[str]:
        return {row["principle"] for row in reader.get(SEARCH, {"q": "hurt", **asked}).context["results"]}

    assert found() == {"U-02"}
    assert found(**{"in": "charter"}) == {"be_honest"}
    assert found(**{"in": ""}) == {"U-02", "be_honest"}
    results = reader.get("/constitutions/charter/search/", {"q": "hurt"}).context["results"]
    assert [row["life_url"] for row in results] == ["/constitutions/charter/clauses/be_honest/"] * 2


def test_search_knows_the_ids_of_principles(reader: Client, constitution: Version) -> None:
    page = reader.get(SEARCH, {"q": "t-03"})
    assert page.context["principle"] == {"principle": "T-03", "url": "/clauses/T-03/"}


def test_search_escapes_what_it_quotes(reader: Client, constitution: Version, reviewer: User) -> None:
    hostile = "Decline <script>alert(1)</script> & <b>preach</b> {{ 7|add:7 }} zebra."
    reword(constitution, {"T-03": hostile}, by=reviewer)
    page = reader.get(SEARCH, {"q": "zebra"}).content.decode()
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "<mark>zebra</mark>" in page


def test_search_escapes_the_question(reader: Client, constitution: Version) -> None:
    page = reader.get(SEARCH, {"q": '"><script>alert(1)</script>', "in": '"><b>', "page": "-3"}).content.decode()
    assert "<script>alert" not in page


def test_search_pages_and_asks_few_queries(
    reader: Client, constitution: Version, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    clauses = [make_clause(f"N-{number:02}", 3, f"Zebra number {number} is striped.") for number in range(45)]
    rewrite(constitution, clauses, by=reviewer)
    with django_assert_num_queries(7):
        page = reader.get(SEARCH, {"q": "zebra"})
    second = reader.get(SEARCH + page.context["next_url"])
    third = reader.get(SEARCH + second.context["next_url"])
    found = [row["principle"] for answer in (page, second, third) for row in answer.context["results"]]
    assert sorted(found) == [clause.principle for clause in clauses]
    assert third.context["next_url"] == ""
    assert third.context["previous_url"] == second.context["next_url"].replace("page=3", "page=2")


def test_marked_takes_the_marks_of_the_database_apart() -> None:
    assert marked("a \x02b\x03 c \x02d\x03") == [(False, "a "), (True, "b"), (False, " c "), (True, "d")]
    assert marked("no mark") == [(False, "no mark")]
    assert marked("\x02open") == [(True, "open")]


def test_search_page_without_a_question_says_what_it_is_for(reader: Client, constitution: Version) -> None:
    assert "What are you looking for?" in reader.get(reverse("constitution:search")).content.decode()
