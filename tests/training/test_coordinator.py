from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from amendments.models import Scenario
from constitution.actions import publish
from constitution.models import LedgerEntry, User, Version
from constitution.texts import ClauseText
from tests.training.conftest import make_scenarios, publish_second_version
from training import actions, coordinator, leases
from training.models import Round, SurfacingRun
from training.states import DONE, QUEUED

pytestmark = pytest.mark.django_db


def finish_surfacing() -> None:
    run = leases.claim(SurfacingRun)
    assert run is not None
    actions.finish_surfacing(run=run, message="Done.")


def test_tick_without_a_version_does_nothing(scenarios: list[Scenario]) -> None:
    coordinator.tick()
    assert not coordinator.is_work_waiting()
    assert not LedgerEntry.objects.exists()


def test_tick_reads_the_scenarios_under_the_founding_version_and_opens_no_round(
    constitution: Version, scenarios: list[Scenario]
) -> None:
    coordinator.tick()
    assert SurfacingRun.objects.get().version == constitution
    assert not Round.objects.exists()
    assert coordinator.is_work_waiting()


def test_tick_waits_for_scenarios(constitution: Version) -> None:
    coordinator.tick()
    assert not SurfacingRun.objects.exists()


def test_tick_again_opens_nothing_more(second_version: Version, scenarios: list[Scenario]) -> None:
    for _ in range(3):
        coordinator.tick()
    assert Round.objects.count() == 1
    assert not SurfacingRun.objects.exists()


def test_tick_opens_one_round_with_a_frozen_plan(second_version: Version, scenarios: list[Scenario]) -> None:
    coordinator.tick()
    round_ = Round.objects.get()
    assert (round_.version, round_.state) == (second_version, QUEUED)
    assert round_.plan["version_digest"] == second_version.digest
    held_out = {row["prompt"] for row in round_.plan["held_out"]}
    assert held_out <= {scenario.prompt for scenario in scenarios if scenario.held_out}
    assert held_out
    entry = LedgerEntry.objects.get(action="round opened")
    assert entry.detail["data"] == round_.data_digest


def test_tick_shares_one_round_among_versions_in_a_row(
    second_version: Version, scenarios: list[Scenario], reviewer: User, settings: Settings
) -> None:
    settings.ROUND_DEBOUNCE = 60
    coordinator.tick()
    assert not Round.objects.exists()
    assert not SurfacingRun.objects.exists()
    head = second_version
    third = [
        ClauseText.model_validate({**text.model_dump(), "text": f"{text.text} Be brief."}) for text in head.texts()
    ]
    newest = publish(base=head, clauses=third, title=head.title, summary="Briefer.", by=reviewer)
    settings.ROUND_DEBOUNCE = 0
    coordinator.tick()
    assert Round.objects.get().version == newest


def test_tick_reads_the_scenarios_again_after_the_round(
    queued_round: Round, operator: User, second_version: Version
) -> None:
    actions.abort(round_=queued_round, by=operator, note="Not now.")
    coordinator.tick()
    assert Round.objects.count() == 1
    assert SurfacingRun.objects.get().version == second_version


def test_tick_without_data_for_a_round_reads_what_there_is(second_version: Version) -> None:
    make_scenarios(pairs=2)
    Scenario.objects.update(held_out=False)
    coordinator.tick()
    assert not Round.objects.exists()
    assert SurfacingRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_tick_at_once_on_four_connections_opens_one_round(
    reviewer: User, constitution: Version, at_once: Callable[..., list[Any]]
) -> None:
    make_scenarios()
    publish_second_version(reviewer)
    at_once(coordinator.tick, 4)
    assert Round.objects.count() == 1
    assert LedgerEntry.objects.filter(action="round opened").count() == 1


def test_surfacing_that_is_done_is_not_opened_again(constitution: Version, scenarios: list[Scenario]) -> None:
    coordinator.tick()
    finish_surfacing()
    coordinator.tick()
    assert SurfacingRun.objects.get().state == DONE
