from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from pytest_django import Settings

from amendments import notices
from amendments.models import Scenario
from constitution import people
from constitution.actions import publish
from constitution.models import LedgerEntry, User, Version
from constitution.texts import ClauseText
from tests.training.conftest import make_scenarios, publish_second_version
from training import actions, coordinator, leases
from training.alert_records import Alert, AlertKind
from training.models import Round, SurfacingRun
from training.recipes.plan import Plan
from training.scheduling_records import Unplanned
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


def test_round_that_cannot_be_planned_is_told_once_and_not_planned_all_the_time(
    client: Client, second_version: Version, operator: User, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Version] = []

    def plan(version: Version) -> Plan:
        tried.append(version)
        return plan_for(version)

    plan_for = coordinator.plan_for
    monkeypatch.setattr(coordinator, "plan_for", plan)
    for _ in range(4):
        coordinator.tick()
    assert len(tried) == 1
    (alert,) = Alert.objects.all()
    assert (alert.kind, alert.round) == (AlertKind.UNPLANNED, None)
    assert alert.sentence.startswith("Version 2 has no round. A round needs harmful and benign scenarios")
    (notice,) = notices.waiting(operator)
    assert (notice.get_absolute_url(), notices.waiting(reviewer).count()) == (reverse("training:rounds"), 0)
    client.force_login(operator)
    for page in ("rounds", "alerts"):
        assert escape(alert.sentence) in client.get(reverse(f"training:{page}")).content.decode()

    Unplanned.objects.update(tried_at=timezone.now() - coordinator.TRIED_AGAIN)
    coordinator.tick()
    assert (len(tried), Alert.objects.count()) == (2, 1), "the same is not told again"
    make_scenarios()
    people.set_single_key_shortcuts(enabled=False, by=operator)  # something was written, whatever it is
    coordinator.tick()
    assert (len(tried), Round.objects.count()) == (3, 1)
    assert coordinator.unplanned() == ""
    assert alert.sentence not in client.get(reverse("training:rounds")).content.decode()


def test_preset_that_does_not_exist_is_told_until_it_is_another(
    second_version: Version, scenarios: list[Scenario], settings: Settings
) -> None:
    settings.ROUND_PRESET = "huge"
    coordinator.tick()
    assert "There is no preset 'huge'" in coordinator.unplanned()
    settings.ROUND_PRESET = "tiny"
    coordinator.tick()
    assert (Round.objects.count(), Unplanned.objects.count()) == (1, 0)


def test_schema_wants_a_round_of_each_alert_but_one_kind(queued_round: Round) -> None:
    for kind, round_ in ((AlertKind.FAILED, None), (AlertKind.UNPLANNED, queued_round)):
        with pytest.raises(IntegrityError, match="alert_of_a_round_or_of_none"), transaction.atomic():
            Alert.objects.create(kind=kind, round=round_, key="k", sentence="It failed.")


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
