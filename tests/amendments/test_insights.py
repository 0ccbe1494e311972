"""Figures of the desk: counted right, with their intervals, blind until the decision, and safe in a spreadsheet."""

import random
from datetime import UTC, date, datetime, timedelta

import krippendorff
import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from amendments import agreement, insights, states
from amendments.insights import Period
from amendments.models import Amendment, Producer, Review
from amendments.shares import Share
from constitution.models import User, Version
from tests.amendments.conftest import Propose

URL = "/insights/"


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


@pytest.mark.parametrize("day", ["9999-12-31", "9999-12-30", "0001-01-01"])
def test_last_and_first_day_of_all_are_answered(desk: Client, day: str) -> None:
    for address in (f"{URL}?from={day}&to={day}", f"{URL}?from={day}", f"{URL}?to={day}"):
        assert desk.get(address).status_code in (200, 422)
    assert desk.get(f"{URL}acceptance.csv?from={day}&to={day}").status_code in (200, 404)


@pytest.fixture
def month(db: None) -> Period:
    today = timezone.localdate()
    return Period(today - timedelta(days=29), today)


def _decide(row: Amendment, state: str, by: User, *, hours: int = 1, at: datetime | None = None) -> None:
    """As if it had been decided so many hours after it was proposed."""
    when = at or timezone.now()
    version = row.base if state == states.ACCEPTED else None
    Amendment.objects.filter(pk=row.pk).update(
        state=state, created_at=when - timedelta(hours=hours), decided_at=when, decided_by=by, version=version
    )


def _vote(row: Amendment, *votes: tuple[User, str]) -> None:
    for by, verdict in votes:
        Review.objects.create(
            amendment=row, reviewer=by, verdict=verdict, digest=row.digest, reason="Because.", settles_at=row.created_at
        )


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(0, 10, 0, 0.278), (12, 31, 0.237, 0.562), (10, 10, 0.722, 1), (0, 0, 0, 1)]
)
def test_share_has_wilsons_interval(k: int, n: int, low: float, high: float) -> None:
    assert Share(k, n).interval == pytest.approx((low, high), abs=0.001)


def test_share_in_words() -> None:
    assert str(Share(12, 31)) == "39 %, 24 to 56"
    assert str(Share(0, 0)) == "none yet"


def _matrix(patterns: agreement.Patterns) -> float:
    counts = np.repeat([*patterns], [*patterns.values()], axis=0)
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def test_alpha_of_perfect_agreement_and_of_chance() -> None:
    assert agreement.measure({(2, 0, 0): 10, (0, 2, 0): 10}).alpha == 1
    split = agreement.measure({(2, 0, 0): 10, (0, 2, 0): 10, (1, 1, 0): 20})
    assert split.alpha == pytest.approx(0, abs=0.05)
    assert split.low is not None
    assert split.high is not None
    assert split.low < 0 < split.high


def test_alpha_counts_what_two_people_read_only() -> None:
    assert agreement.measure({(1, 0, 0): 500, (2, 0, 0): 6, (0, 2, 0): 6}).n == 12


def test_alpha_of_few_or_of_one_kind_of_vote_is_not_told() -> None:
    few = agreement.measure({(2, 0, 0): 5, (1, 1, 0): 4})
    assert (few.alpha, few.is_too_few) == (None, True)
    same = agreement.measure({(2, 0, 0): 50})
    assert (same.alpha, same.is_too_few) == (None, False)
    assert agreement.measure({}).is_too_few


def test_interval_is_that_of_resampling_unit_by_unit() -> None:
    """The quick way over patterns, against drawing the units one by one and asking the package each time."""
    patterns: agreement.Patterns = {(2, 0, 0): 30, (0, 2, 0): 12, (1, 1, 0): 9, (2, 1, 0): 4, (0, 1, 1): 3}
    dice = random.Random(7)
    units = [counts for counts, number in patterns.items() for _ in range(number)]
    drawn = []
    for _ in range(1000):
        sample = dice.choices(units, k=len(units))
        drawn.append(float(krippendorff.alpha(value_counts=np.array(sample), level_of_measurement="nominal")))
    low, high = np.percentile(drawn, [2.5, 97.5])
    found = agreement.measure(patterns)
    assert found.alpha == pytest.approx(_matrix(patterns))
    assert found.low == pytest.approx(low, abs=0.04)
    assert found.high == pytest.approx(high, abs=0.04)
    assert agreement.measure(patterns) == found


def test_agreement_is_of_first_votes_on_decided_proposals(
    file_proposal: Propose, reviewer: User, other_reviewer: User, month: Period
) -> None:
    for number in range(12):
        row = file_proposal(text=f"Help with harmless request {number}.")
        second = "reject" if number < 3 else "approve"
        _vote(row, (reviewer, "approve"), (other_reviewer, second))
        # They talk about it, and one gives in: that is no agreement of two who read alone.
        Review.objects.filter(amendment=row).update(verdict="approve")
        if number < 11:
            _decide(row, states.REJECTED, reviewer)
    found = insights.agreement_of(month)
    assert found.n == 11
    assert found.alpha == pytest.approx(_matrix({(1, 1, 0): 3, (2, 0, 0): 8}))


def test_votes_on_what_is_open_change_nothing_that_is_shown(
    desk: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    """Blindness: the whole page, before and after a vote on an open proposal."""
    decided, undecided = file_proposal(), file_proposal("T-03", "Decline in a line.")
    _vote(decided, (reviewer, "approve"), (other_reviewer, "approve"))
    _decide(decided, states.REJECTED, other_reviewer)
    pages = [URL, *(f"{URL}{name}.csv" for name in insights.TABLES)]
    before = [_without_clocks(desk.get(url).content.decode()) for url in pages]
    _vote(undecided, (other_reviewer, "reject"))
    assert [_without_clocks(desk.get(url).content.decode()) for url in pages] == before


def _without_clocks(page: str) -> list[str]:
    """The page without the lines that say how old something is by now, and without the tokens of its forms."""
    passing = ("Contextual", "Style", "csrf")
    return [line for line in page.splitlines() if not any(word in line for word in passing)]


def test_throughput_counts_each_day_and_fills_those_without_anything(
    file_proposal: Propose, reviewer: User, month: Period
) -> None:
    first, second, _ = (file_proposal(text=f"Help with harmless request {number}.") for number in range(3))
    _decide(first, states.ACCEPTED, reviewer)
    Amendment.objects.filter(pk=second.pk).update(state=states.OBSOLETE, decided_at=timezone.now())
    found = insights.throughput(month)
    assert len(found.rows) == 30
    assert [sum(int(row[place] or 0) for row in found.rows) for place in (1, 2, 3, 4)] == [3, 1, 1, 1]
    weeks = insights.throughput(Period(month.last - timedelta(days=90), month.last)).rows
    assert len(weeks) in (13, 14)
    assert sum(int(row[1] or 0) for row in weeks) == 3


def test_what_was_decided_outside_the_period_is_left_out(file_proposal: Propose, reviewer: User, month: Period) -> None:
    edges = [month.first - timedelta(days=1), month.first, month.last, month.last + timedelta(days=1)]
    for number, day in enumerate(edges):
        row = file_proposal(text=f"Help with harmless request {number}.")
        _decide(row, states.REJECTED, reviewer, at=datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    assert insights.decided(month).count() == 2


def test_time_to_decision_has_its_quartiles(file_proposal: Propose, reviewer: User, month: Period) -> None:
    for hours in (1, 2, 3, 4, 5):
        _decide(file_proposal(text=f"Help within {hours} hours."), states.REJECTED, reviewer, hours=hours)
    row = insights.time_to_decision(month).rows[-1]
    assert row[:2] == ("All", 5)
    assert row[2:] == pytest.approx((2, 3, 4))


def test_acceptance_is_told_by_tier_kind_signal_and_proposer(
    file_proposal: Propose, producer: Producer, reviewer: User, other_reviewer: User, month: Period
) -> None:
    machine, style = file_proposal(), file_proposal("T-03", "Decline in a line.")
    person = file_proposal(text="By hand.", by=reviewer)
    _decide(machine, states.REJECTED, reviewer)
    _decide(style, states.ACCEPTED, reviewer)
    _decide(person, states.REJECTED, other_reviewer)
    found = {(row[0], row[1]): (row[2], row[3]) for row in insights.acceptance(month).rows}
    assert found[("Tier", "Style")] == (1, 1)
    assert found[("Proposed by", "models")] == (2, 1)
    assert found[("Proposed by", "people")] == (1, 0)
    assert found[("What it does", "revise")] == (3, 1)
    assert found[("Producer", str(producer))] == (2, 1)


def test_self_approval_is_counted_apart(file_proposal: Propose, reviewer: User, month: Period) -> None:
    row = file_proposal(text="By hand.", by=reviewer)
    _decide(row, states.ACCEPTED, reviewer)
    found = {row[0]: row[1] for row in insights.votes(month).rows}
    assert found["Accepted by who proposed it (should be none)"] == 1


@pytest.mark.parametrize(
    "query", ["from=x&to=y", "from=2026-01-01", "from=2026-02-01&to=2026-01-01", "from=1900-01-01&to=2026-01-01"]
)
def test_senseless_period_is_said_and_the_usual_one_shown(desk: Client, constitution: Version, query: str) -> None:
    answer = desk.get(f"{URL}?{query}")
    assert answer.status_code == 422
    assert "These are the last 30 days" in answer.content.decode()
    assert desk.get(f"{URL}acceptance.csv?{query}").status_code == 404


def test_page_without_anything_says_what_to_do(desk: Client, constitution: Version) -> None:
    page = desk.get(URL).content.decode()
    assert "No proposal waits for a decision." in page
    assert "Too few to say: 0 decided proposals" in page


def _fill(count: int, file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    for number in range(count):
        made = Producer.objects.create(model="m", checkpoint=f"{Producer.objects.count():064}", prompts="p" * 64)
        row = file_proposal(text=f"Help with harmless request {number}.", by=made)
        _vote(row, (reviewer, "approve"), (other_reviewer, "reject" if number % 3 else "approve"))
        _decide(row, states.REJECTED, reviewer)
        file_proposal("T-03", f"Decline in {number} words.", by=made)


def test_page_asks_as_many_queries_for_many(
    desk: Client,
    file_proposal: Propose,
    reviewer: User,
    other_reviewer: User,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    _fill(3, file_proposal, reviewer, other_reviewer)
    desk.get(URL)
    with django_assert_num_queries(18):
        desk.get(URL)
    _fill(27, file_proposal, reviewer, other_reviewer)
    with django_assert_num_queries(18):
        page = desk.get(URL)
    assert "Alpha is" in page.content.decode()


@pytest.mark.parametrize("name", [*insights.TABLES])
def test_every_table_is_there_as_csv(
    desk: Client, file_proposal: Propose, reviewer: User, other_reviewer: User, name: str
) -> None:
    _fill(2, file_proposal, reviewer, other_reviewer)
    answer = desk.get(reverse("amendments:insights-table", args=[name]))
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith(f'attachment; filename="ratify-{name}-')
    assert len(answer.content.decode().splitlines()) >= 2


@pytest.mark.parametrize("evil", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", '=HYPERLINK("http://x")'])
def test_csv_has_no_formulas(desk: Client, file_proposal: Propose, reviewer: User, evil: str) -> None:
    made = Producer.objects.create(model=evil, checkpoint="c" * 64, prompts="p" * 64)
    _decide(file_proposal(by=made), states.REJECTED, reviewer)
    written = desk.get(f"{URL}acceptance.csv").content.decode()
    assert evil.split('"', maxsplit=1)[0] in written
    assert not any(cell.strip('"').startswith(("=", "+", "-", "@")) for cell in written.replace("\r\n", ",").split(","))


def test_missing_table_is_not_found(desk: Client, constitution: Version) -> None:
    assert desk.get(f"{URL}passwords.csv").status_code == 404


def test_period_counts_both_its_ends() -> None:
    assert Period(date(2026, 1, 1), date(2026, 1, 31)).days == 31
