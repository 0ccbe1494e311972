"""Which scenarios are read, and when: by themselves, and when an operator asks."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from amendments.models import Label, Scenario
from constitution.errors import NotAllowed, Refused
from constitution.models import User, Version
from tests.training.conftest import make_scenarios
from tests.training.finished import make_model
from training import actions, beginning, coordinator, leases, readings
from training.models import Reading, SurfacingRun
from training.states import DONE, FAILED

pytestmark = pytest.mark.django_db
ADDRESS = "/readings/"
CONTEXTUAL = ("H-02", "G-01")  # what the requests of tier 2 are settled by


def read(version: Version, scenarios: list[Scenario]) -> SurfacingRun:
    """A finished reading of these."""
    actions.open_surfacing(version=version, seed=1)
    run = leases.claim(SurfacingRun)
    assert run is not None
    for one in scenarios:
        Reading.objects.create(run=run, scenario=one, detail={"verdicts": [], "signals": {}})
    return actions.finish_surfacing(run=run, message="Done.")


def open_ones() -> list[Scenario]:
    return list(Scenario.objects.filter(held_out=False).order_by("pk"))


def unlabelled(count: int) -> list[Scenario]:
    return Scenario.objects.bulk_create(
        Scenario(digest=f"{n:064}", prompt=f"What of {n}?", label=Label.UNKNOWN, source="test") for n in range(count)
    )


def test_choice_is_the_same_for_a_seed_and_harmless_requests_come_first(
    constitution: Version, scenarios: list[Scenario]
) -> None:
    pool = readings.unread(constitution)
    chosen = readings.choose(pool, contextual=CONTEXTUAL, seed=3, most=8)
    assert chosen == readings.choose(pool.order_by("-pk"), contextual=CONTEXTUAL, seed=3, most=8)
    assert chosen != readings.choose(pool, contextual=CONTEXTUAL, seed=4, most=8)
    assert len({row.pk for row in chosen}) == 8
    assert all(row.label == Label.BENIGN and not row.held_out for row in chosen[1:])


def test_choice_leaves_requests_that_a_clause_of_style_settles_to_the_last(scenarios: list[Scenario]) -> None:
    Scenario.objects.bulk_create(
        Scenario(digest=f"{n:064}", prompt=f"{n}", label=Label.BENIGN, settled_by="T-03", source="test")
        for n in range(50)
    )
    twins = Scenario.objects.filter(held_out=False, settled_by__in=["H-02", "G-01"], label=Label.BENIGN)
    chosen = readings.choose(Scenario.objects.filter(held_out=False), contextual=CONTEXTUAL, seed=3, most=8)
    assert set(twins) <= set(chosen)


def test_a_fifth_are_unlabelled_and_they_fill_up_where_labelled_ones_are_few(scenarios: list[Scenario]) -> None:
    unlabelled(60)
    pool = Scenario.objects.filter(held_out=False)
    # One of ten is drawn from all; of the other nine a fifth.
    assert (
        sum(row.label == Label.UNKNOWN for row in readings.choose(pool, contextual=CONTEXTUAL, seed=3, most=10)[1:])
        == 2
    )
    most = pool.count()
    assert len(readings.choose(pool, contextual=CONTEXTUAL, seed=3, most=most)) == most
    assert len(readings.choose(pool, contextual=CONTEXTUAL, seed=3, most=most + 5)) == most


def test_choosing_takes_as_many_queries_however_many_there_are(
    scenarios: list[Scenario], django_assert_num_queries: Callable[[int], Any]
) -> None:
    unlabelled(500)
    with django_assert_num_queries(3):
        readings.choose(Scenario.objects.filter(held_out=False), contextual=CONTEXTUAL, seed=3, most=40)


def test_next_reading_reads_what_none_has_read(constitution: Version, scenarios: list[Scenario]) -> None:
    first, *rest = open_ones()
    done = read(constitution, [first])
    assert set(readings.unread(constitution)) == set(rest)
    assert set(readings.unread(constitution, but_for=done)) == {first, *rest}


def test_reading_is_due_when_it_is_time_and_something_is_left(
    constitution: Version, scenarios: list[Scenario], settings: Settings
) -> None:
    settings.READING_EVERY = 24
    first, *rest = open_ones()
    run = read(constitution, [first])
    assert not readings.is_due(constitution)
    SurfacingRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(hours=25))
    assert readings.is_due(constitution)
    settings.READING_EVERY = 0
    assert not readings.is_due(constitution)
    settings.READING_EVERY = 24
    coordinator.tick()
    assert SurfacingRun.objects.count() == 2
    coordinator.tick()
    assert SurfacingRun.objects.count() == 2
    newest = leases.claim(SurfacingRun)
    assert newest is not None
    assert newest.seed == coordinator.seed_of(constitution) + 1
    for one in rest:
        Reading.objects.create(run=newest, scenario=one, detail={})
    actions.finish_surfacing(run=newest, message="Done.")
    SurfacingRun.objects.update(finished_at=timezone.now() - timedelta(hours=25))
    assert not readings.is_due(constitution)


def test_reading_is_due_after_a_round_of_the_version(second_version: Version, scenarios: list[Scenario]) -> None:
    run = read(second_version, [])
    assert not readings.is_due(second_version)
    make_model(second_version)
    SurfacingRun.objects.filter(pk=run.pk).update(finished_at=timezone.now() - timedelta(hours=1))
    assert readings.is_due(second_version)


def test_failed_reading_waits_for_an_operator(constitution: Version, scenarios: list[Scenario]) -> None:
    coordinator.tick()
    run = leases.claim(SurfacingRun)
    assert run is not None
    actions.fail(job=run, error="No model.")
    assert not readings.is_due(constitution)
    assert FAILED in readings.hindrance(constitution)


def test_operator_has_further_scenarios_read(
    client: Client, constitution: Version, scenarios: list[Scenario], operator: User
) -> None:
    read(constitution, open_ones()[:2])
    client.force_login(operator)
    assert f"{len(open_ones()) - 2} scenarios are not read" in client.get(ADDRESS).content.decode()
    answer = client.post(ADDRESS)
    run = SurfacingRun.objects.latest("pk")
    assert answer.headers["Location"] == reverse("training:reading-detail", args=[run.pk])
    again = client.post(ADDRESS)
    assert again.status_code == 409
    assert f"Reading {run.pk} of this version is queued" in again.content.decode()
    assert SurfacingRun.objects.count() == 2


def test_nothing_left_is_refused_with_what_to_do(
    client: Client, constitution: Version, scenarios: list[Scenario], operator: User
) -> None:
    read(constitution, open_ones())
    client.force_login(operator)
    answer = client.post(ADDRESS)
    assert answer.status_code == 409
    assert "Import or generate more" in answer.content.decode()


def test_others_may_look_and_not_begin(
    client: Client, constitution: Version, scenarios: list[Scenario], reviewer: User
) -> None:
    with pytest.raises(NotAllowed):
        beginning.begin_reading(by=reviewer)
    client.force_login(reviewer)
    assert "Read further scenarios" not in client.get(ADDRESS).content.decode()
    assert client.post(ADDRESS).status_code == 403
    assert not SurfacingRun.objects.exists()


def test_page_without_a_constitution_says_what_comes(client: Client, operator: User) -> None:
    client.force_login(operator)
    assert "Nothing was read yet." in client.get(ADDRESS).content.decode()
    with pytest.raises(Refused, match="load a constitution first"):
        beginning.begin_reading(by=operator)


def test_page_takes_as_many_queries_however_many_readings_there_are(
    client: Client, constitution: Version, second_version: Version, scenarios: list[Scenario], operator: User
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client.force_login(operator)
    counts = []
    for _ in range(2):
        read(second_version, [])
        with CaptureQueriesContext(
            connection,
        ) as seen:
            client.get(ADDRESS)
        counts.append(len(seen))
    assert counts[0] == counts[1]


@pytest.mark.django_db(transaction=True)
def test_two_operators_at_once_begin_one_reading(
    constitution: Version, operator: User, at_once: Callable[..., list[Any]]
) -> None:
    make_scenarios()

    def begin() -> str:
        try:
            return f"began {beginning.begin_reading(by=operator).pk}"
        except Refused as refused:
            return str(refused)

    said = sorted(at_once(begin))
    assert SurfacingRun.objects.exclude(state=DONE).count() == 1
    assert "is queued" in said[0]
    assert said[1].startswith("began")
