"""Halving a range of versions: by a person's answers, which stand in the address, or by what was measured."""

from urllib.parse import parse_qs

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import DjangoAssertNumQueries

from constitution.bisection import Search, Value, judge, narrowed
from constitution.models import User, Version
from tests.constitution.histories import accept_rewording, many_versions, measure

BISECT = "/bisect/"


@pytest.fixture
def reader(client: Client, researcher: User) -> Client:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    return client


@pytest.fixture
def nine_versions(constitution: Version, reviewer: User) -> Version:
    return many_versions(constitution, 8, by=reviewer)


@given(st.integers(2, 3000), st.data())
def test_search_finds_the_culprit_in_as_many_steps_as_it_says(bad: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(2, bad))
    search, asked = Search(1, bad), 0
    most = search.steps
    while (middle := search.middle) is not None:
        asked += 1
        search = Search(search.good, middle) if middle >= culprit else Search(middle, search.bad)
    assert list(search.suspects) == [culprit]
    assert asked <= most


@given(st.integers(1, 50), st.integers(1, 50), st.frozensets(st.integers(1, 100)))
def test_search_offers_nothing_that_was_skipped(good: int, length: int, skipped: frozenset[int]) -> None:
    search = Search(good, good + length, skipped)
    middle = search.middle
    assert (middle is None) == (search.open_count == 0)
    assert middle is None or (good < middle < good + length and middle not in skipped)


@pytest.mark.parametrize(
    ("low", "high", "worse_above", "expected"),
    [
        (0.3, 0.4, True, "bad"),
        (0.3, 0.4, False, "good"),
        (0.1, 0.2, True, "good"),
        (0.1, 0.2, False, "bad"),
        (0.2, 0.3, True, "unsure"),
        (0.25, 0.3, True, "unsure"),
    ],
)
def test_judge_leaves_open_what_the_interval_leaves_open(
    low: float, high: float, worse_above: bool, expected: str
) -> None:
    assert judge(Value(1, (low + high) / 2, low, high), 0.25, worse_above=worse_above) == expected


def test_narrowed_stops_at_the_first_bad_one() -> None:
    verdicts = [(2, "good"), (3, "unsure"), (4, "good"), (6, "bad"), (7, "good"), (8, "bad"), (12, "bad")]
    assert narrowed(Search(1, 9), verdicts) == Search(4, 6)  # type: ignore[arg-type]
    assert narrowed(Search(1, 9), []) == Search(1, 9)


def test_bisect_is_walked_by_its_links_to_the_version_that_did_it(
    reader: Client, nine_versions: Version, reviewer: User
) -> None:
    page = reader.get(BISECT, {"good": "1", "bad": "9"})
    asked = []
    while middle := page.context["middle"]:
        asked.append(middle)
        page = reader.get(BISECT + page.context["bad_url" if middle >= 4 else "good_url"])
    assert asked == [5, 3, 4]
    assert page.context["is_single"]
    assert [row["number"] for row in page.context["suspects"]] == [4]
    assert "Version 4 did it" in page.content.decode()


def test_bisect_shows_the_proposal_of_the_culprit(reader: Client, constitution: Version, reviewer: User) -> None:
    amendment = accept_rewording("T-03", "Preach at length.", voters=[reviewer])
    page = reader.get(BISECT, {"good": "1", "bad": "2"})
    (suspect,) = page.context["suspects"]
    assert suspect["source"].amendment == amendment.pk
    assert [line.principle for line in suspect["changes"]] == ["T-03"]


def test_bisect_goes_around_what_cannot_be_told(reader: Client, nine_versions: Version) -> None:
    page = reader.get(BISECT, {"good": "1", "bad": "4"})
    while page.context["middle"]:
        page = reader.get(BISECT + page.context["skip_url"])
    assert [row["number"] for row in page.context["suspects"]] == [2, 3, 4]
    assert "One of versions 2 to 4 did it" in page.content.decode()


def test_bisect_reads_what_rounds_measured(reader: Client, nine_versions: Version) -> None:
    for number, rate in ((1, 10), (3, 12), (4, 22), (6, 40), (9, 60)):
        measure(Version.objects.get(number=number), rate)

    page = reader.get(BISECT, {"good": "1", "bad": "9", "measure": "harmful_answered", "limit": "20"})

    table = {row["number"]: row for row in page.context["table"]}
    assert [table[number]["verdict"] for number in (1, 3, 4, 6)] == [
        "good",
        "good",
        "cannot be told from the limit",
        "bad",
    ]
    assert table[2]["measured"] is None
    assert page.context["unmeasured_count"] == 4
    assert (page.context["narrowed"]["good"], page.context["narrowed"]["bad"]) == (3, 6)
    assert parse_qs(page.context["narrowed"]["url"][1:])["limit"] == ["20"]
    assert "no round measured it" in page.content.decode()


def test_bisect_takes_the_newest_round_of_a_version(reader: Client, nine_versions: Version) -> None:
    head = Version.objects.get(number=9)
    measure(head, 60)
    newest = measure(head, 5)
    page = reader.get(BISECT, {"good": "1", "bad": "9"})
    (row,) = (row for row in page.context["table"] if row["measured"])
    assert row["measured"].round_pk == newest.pk


def test_bisect_asks_the_same_number_of_queries_for_a_long_range(
    reader: Client, nine_versions: Version, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(11):
        reader.get(BISECT, {"good": "1", "bad": "9"})
    many_versions(nine_versions, 45, by=reviewer)
    for number in (10, 20, 30):
        measure(Version.objects.get(number=number), number)
    with django_assert_num_queries(11):
        page = reader.get(BISECT, {"good": "1", "bad": "54"})
    assert [row["number"] for row in page.context["table"]] == [10, 20, 30]


@pytest.mark.parametrize(
    "asked",
    [
        {"good": "9", "bad": "1"},
        {"good": "3", "bad": "3"},
        {"good": "0", "bad": "4"},
        {"good": "1", "bad": "99"},
        {"good": "x", "bad": "<b>"},
        {"good": "1", "bad": "9", "limit": "NaN"},
        {"good": "1", "bad": "9", "limit": "<script>"},
    ],
)
def test_bisect_refuses_what_is_no_range(reader: Client, nine_versions: Version, asked: dict[str, str]) -> None:
    page = reader.get(BISECT, asked)
    assert page.status_code == 422
    assert page.context["refusal"]
    assert "<script>" not in page.content.decode().split("<main")[1]


def test_bisect_of_one_version_says_what_it_takes(reader: Client, constitution: Version) -> None:
    assert "It takes two versions" in reader.get(BISECT).content.decode()
