"""The timeline, the text on a date, comparisons, the life of a clause, and links that stay."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from constitution.models import User, Version
from tests.constitution.histories import accept_rewording, import_history, many_versions, measure, reword, rewrite
from tests.factories import make_clause, small_constitution


@pytest.fixture
def reader(client: Client, researcher: User) -> Client:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    return client


# Timeline and the text on a date


def test_timeline_draws_what_each_version_changed_by_tier(
    reader: Client, constitution: Version, reviewer: User
) -> None:
    second = reword(constitution, {"U-02": "Never help to hurt.", "T-03": "Be brief."}, by=reviewer)
    rewrite(second, second.texts()[:3], by=reviewer)

    strip = reader.get(reverse("constitution:history")).context["strip"]

    assert [bar["counts"] for bar in strip["bars"]] == [[1, 2, 1], [1, 0, 1], [0, 0, 1]]
    assert [bar["is_founding"] for bar in strip["bars"]] == [True, False, False]
    assert strip["highest"] == 2


def test_timeline_says_when_only_the_order_changed(reader: Client, constitution: Version, reviewer: User) -> None:
    texts = constitution.texts()
    rewrite(constitution, [texts[1], texts[0], *texts[2:]], by=reviewer)
    page = reader.get(reverse("constitution:history"))
    assert "The same clauses in another order." in page.content.decode()


def test_timeline_of_an_import_has_its_own_addresses(reader: Client, constitution: Version, reviewer: User) -> None:
    import_history("charter", ["Say what is true.", "Say what you hold true."], by=reviewer)

    page = reader.get("/constitutions/charter/history/")

    newest, founding = page.context["versions"]
    assert newest["url"] == "/constitutions/charter/versions/2/"
    assert newest["compare_url"] == "/constitutions/charter/versions/1/to/2/"
    assert founding["round_pk"] is None
    assert page.context["others"] == [{"title": "A small constitution", "url": "/history/"}]


@pytest.mark.parametrize(
    ("day", "number"),
    [("2021-01-15", 1), ("2021-12-31", 1), ("2022-01-14", 1), ("2022-01-15", 2), ("2090-01-01", 3)],
)
def test_as_of_leads_to_the_version_that_was_in_force(
    reader: Client, constitution: Version, reviewer: User, day: str, number: int
) -> None:
    import_history("charter", ["Say what is true.", "Say what you hold true.", "Be truthful."], by=reviewer)
    answer = reader.get("/constitutions/charter/history/as-of/", {"on": day})
    assert answer["Location"] == f"/constitutions/charter/versions/{number}/"


def test_as_of_before_the_first_version_says_so(reader: Client, constitution: Version) -> None:
    day = (constitution.published_at - timedelta(days=2)).date()
    page = reader.get(reverse("constitution:history-as-of"), {"on": day.isoformat()})
    assert page.status_code == 422
    assert page.context["refusal"].startswith("Nothing was in force on")


def test_as_of_what_is_no_date_says_how_to_write_one(reader: Client, constitution: Version) -> None:
    page = reader.get(reverse("constitution:history-as-of"), {"on": "<b>soon</b>"})
    assert page.context["refusal"] == "<b>soon</b> is not a date. Write it as 2026-03-31."
    assert "<b>soon" not in page.content.decode()


# Comparisons


def test_compare_takes_two_numbers_to_their_address(reader: Client, constitution: Version, reviewer: User) -> None:
    many_versions(constitution, 3, by=reviewer)
    answer = reader.get(reverse("constitution:compare-choose"), {"old": "1", "new": "4"})
    assert answer["Location"] == "/versions/1/to/4/"


@pytest.mark.parametrize("asked", [("1", "9"), ("0", "1"), ("", "1"), ("one", "two"), ("9" * 30, "1"), ("²", "1")])
def test_compare_refuses_what_is_no_version(reader: Client, constitution: Version, asked: tuple[str, str]) -> None:
    page = reader.get(reverse("constitution:compare-choose"), {"old": asked[0], "new": asked[1]})
    assert page.status_code == 422
    assert page.context["refusal"] == "Give two numbers from 1 to 1."


def test_compare_recognises_what_moved_and_what_was_renamed(
    reader: Client, constitution: Version, reviewer: User
) -> None:
    universal, medical, lookalikes, style = small_constitution()
    renamed = make_clause("H-07", 2, f"{medical.text} Say so.", scope=medical.scope, examples=medical.examples)
    rewrite(constitution, [style, universal, lookalikes, renamed], by=reviewer)

    page = reader.get(reverse("constitution:compare", args=[1, 2]))

    (change,) = page.context["changes"]
    assert (change["principle"], change["was"], change["kind_label"]) == ("H-07", "H-02", "renamed")
    assert change["moved"] == {"before": 2, "after": 4}
    assert [(row["principle"], row["before"], row["after"]) for row in page.context["moved"]] == [("T-03", 4, 1)]
    assert page.context["counts"] == ["1 renamed", "2 moved"]


def test_compare_shows_every_field_that_changed(reader: Client, constitution: Version, reviewer: User) -> None:
    texts = constitution.texts()
    stricter = texts[2].model_copy(update={"precedes": ("T-03",), "may_narrow": True, "scope": {"region": ("EU",)}})
    rewrite(constitution, [*texts[:2], stricter, texts[3]], by=reviewer)

    (change,) = reader.get(reverse("constitution:compare", args=[1, 2])).context["changes"]

    assert [field["label"] for field in change["fields"]] == ["Scope", "Prevails over", "Profiles"]
    assert change["is_same_text"]


def test_compare_pages_through_many_changes(
    reader: Client, constitution: Version, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    clauses = [make_clause(f"N-{number:02}", 3, f"Rule {number} of style, as it is.") for number in range(60)]
    second = rewrite(constitution, clauses, by=reviewer)
    changed = [clause.model_copy(update={"text": f"{clause.text} More."}) for clause in clauses]
    rewrite(second, changed, by=reviewer)

    with django_assert_num_queries(8):
        page = reader.get(reverse("constitution:compare", args=[2, 3]))
    rest = reader.get(reverse("constitution:compare", args=[2, 3]) + page.context["more_url"])

    shown = [change["principle"] for found in (page, rest) for change in found.context["changes"]]
    assert shown == [clause.principle for clause in clauses]
    assert page.context["index"][55]["url"] == "?from=50#change-N-55"


def test_compare_backwards_swaps_what_came_and_went(reader: Client, constitution: Version, reviewer: User) -> None:
    rewrite(constitution, constitution.texts()[:3], by=reviewer)
    page = reader.get(reverse("constitution:compare", args=[2, 1]))
    assert [change["kind_label"] for change in page.context["changes"]] == ["added"]
    assert page.context["swap_url"] == "/versions/1/to/2/"


def test_compare_asks_few_queries(
    reader: Client, constitution: Version, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    many_versions(constitution, 2, by=reviewer)
    with django_assert_num_queries(8):
        reader.get(reverse("constitution:compare", args=[1, 2]))
    many_versions(Version.objects.get(number=3), 12, by=reviewer)
    with django_assert_num_queries(8):
        reader.get(reverse("constitution:compare", args=[1, 15]))


# The life of a clause


def test_life_has_every_wording_with_what_was_behind_it(
    reader: Client, constitution: Version, reviewer: User, other_reviewer: User
) -> None:
    amendment = accept_rewording("T-03", "Decline in one sentence.", voters=[reviewer, other_reviewer][:1])
    finished = measure(Version.objects.get(number=2), 3)

    page = reader.get(reverse("constitution:clause-life", args=["T-03"]))

    newest, first = page.context["wordings"]
    assert (newest["since"], newest["until"], newest["source"].amendment) == (2, 2, amendment.pk)
    assert newest["source"].votes[0].voter == "ada"
    assert newest["source"].first_round.pk == finished.pk
    assert (first["since"], first["until"]) == (1, 1)
    assert [segment.kind for segment in first["redline"]] == ["equal"]
    assert newest["compare_url"] == "/versions/1/to/2/#change-T-03"


def test_life_knows_that_it_was_gone_and_came_back(reader: Client, constitution: Version, reviewer: User) -> None:
    gone = rewrite(constitution, constitution.texts()[:3], by=reviewer)
    still_gone = reword(gone, {"U-02": "Hurt nobody."}, by=reviewer)
    rewrite(still_gone, [*still_gone.texts(), constitution.texts()[3]], by=reviewer)

    page = reader.get(reverse("constitution:clause-life", args=["T-03"]))

    back, first = page.context["wordings"]
    assert (back["since"], back["is_back"], back["is_in_force"], back["left_with"]) == (4, True, True, None)
    assert (first["until"], first["left_with"].number) == (1, 2)


def test_life_of_a_repealed_clause_says_so(reader: Client, constitution: Version, reviewer: User) -> None:
    rewrite(constitution, constitution.texts()[:3], by=reviewer)
    page = reader.get(reverse("constitution:clause-life", args=["T-03"]))
    assert not page.context["is_in_force"]
    assert "repealed with version 2" in page.content.decode()


def test_life_of_nothing_is_not_found(reader: Client, constitution: Version, reviewer: User) -> None:
    import_history("charter", ["Say what is true."], by=reviewer)
    assert reader.get(reverse("constitution:clause-life", args=["be_honest"])).status_code == 404
    assert reader.get("/constitutions/charter/clauses/be_honest/").status_code == 200


def test_life_pages_through_many_wordings(
    reader: Client, constitution: Version, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    many_versions(constitution, 24, by=reviewer)
    with django_assert_num_queries(9):
        page = reader.get(reverse("constitution:clause-life", args=["T-03"]))
    rest = reader.get(reverse("constitution:clause-life", args=["T-03"]) + page.context["older_url"])
    found = [row["since"] for answer in (page, rest) for row in answer.context["wordings"]]
    assert found == list(range(25, 0, -1))


# Links that stay


def test_digest_leads_to_the_version(reader: Client, constitution: Version) -> None:
    for length in (12, 30, 64):
        answer = reader.get(reverse("constitution:by-digest", args=[constitution.digest[:length]]))
        assert answer["Location"] == "/versions/1/"


def test_digest_of_a_wording_leads_to_where_it_first_stood(
    reader: Client, constitution: Version, reviewer: User
) -> None:
    second = reword(constitution, {"T-03": "Be brief."}, by=reviewer)
    reword(second, {"U-02": "Hurt nobody."}, by=reviewer)
    clause = second.version_clauses.select_related("clause").get(principle="T-03").clause

    answer = reader.get(reverse("constitution:by-digest", args=[clause.digest[:12]]))

    assert answer["Location"] == "/versions/2/#T-03"


def test_digest_of_an_import_leads_to_the_import(reader: Client, constitution: Version, reviewer: User) -> None:
    imported = import_history("charter", ["Say what is true."], by=reviewer)
    answer = reader.get(reverse("constitution:by-digest", args=[imported.versions.get().digest]))
    assert answer["Location"] == "/constitutions/charter/versions/1/"


@pytest.mark.parametrize("digest", ["abc", "f" * 64, "F" * 12, "g" * 12, "f" * 65, "%25" * 12])
def test_digest_of_nothing_is_not_found(reader: Client, constitution: Version, digest: str) -> None:
    assert reader.get(f"/d/{digest}/").status_code == 404
