"""A round that a person begins, with settings of its own."""

import html
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from amendments.models import Scenario
from constitution.actions import publish
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, Role, User, Version
from constitution.texts import ClauseText
from tests.factories import make_user
from tests.races import at_once
from tests.training.conftest import make_plan, make_scenarios, publish_second_version
from tests.training.finished import make_model
from training import actions, beginning, coordinator, pace
from training.errors import BadSettings, TooLittleData
from training.forms import NAMES
from training.models import Round
from training.plan_changes import STAGES, Difference, differences
from training.recipes import plan as recipe_plan
from training.recipes import settings as recipes
from training.recipes.plan import Plan
from training.scheduling_records import Pace
from training.states import QUEUED
from training.views import report

pytestmark = pytest.mark.django_db

ADDRESS = "/rounds/begin/"
NOTE = "Does a lower rate decline less?"
CHANGES: dict[str, Any] = {"seed": 7, "sizes.train": 2, "dpo.learning_rate": 1e-4, "dpo.even": False}


def begin(by: User, **changes: Any) -> Round:
    head = Version.objects.head()
    assert head is not None
    return beginning.begin(**{"version": head, "preset": "tiny", "changes": CHANGES, "note": NOTE, "by": by, **changes})


def fields(**changes: str) -> dict[str, str]:
    """What a browser sends: every field, most of them empty."""
    head = Version.objects.head()
    assert head is not None
    return {"version": str(head.number), "preset": "tiny", "note": NOTE, **dict.fromkeys(NAMES, ""), **changes}


def send(client: Client, *, status: int, **changes: str) -> str:
    answer = client.post(ADDRESS, fields(**{name.replace("__", "."): value for name, value in changes.items()}))
    assert answer.status_code == status
    return html.unescape(answer.content.decode())


@pytest.fixture
def client(client: Client, operator: User) -> Client:
    client.force_login(operator)
    return client


# What is frozen


def test_plan_is_the_preset_with_what_was_set(
    second_version: Version, scenarios: list[Scenario], operator: User
) -> None:
    usual = make_plan(second_version)
    round_ = begin(operator)
    plan = Plan.from_json(round_.plan)
    assert plan.stages == recipes.read("tiny", changes=CHANGES).stages
    assert (round_.state, round_.seed, plan.seed, plan.preset) == (QUEUED, 7, 7, "tiny")
    assert sum(row.label == "harmful" for row in plan.train) == 2
    assert {one.setting: (one.preset, one.chosen) for one in plan.overrides} == {
        "seed": (str(coordinator.seed_of(second_version)), "7"),
        "sizes.train": ("6", "2"),
        "dpo.learning_rate": ("0.0002", "0.0001"),
        "dpo.even": ("true", "false"),
    }
    assert (plan.version_digest, plan.clauses) == (usual.version_digest, usual.clauses)
    # Another seed trains on other requests, in another order, and is measured with the same.
    assert (plan.held_out, plan.looks) == (usual.held_out, usual.looks)
    assert plan.train != usual.train[: len(plan.train)]


def test_ledger_says_who_began_it_with_what_and_why(
    second_version: Version, scenarios: list[Scenario], operator: User
) -> None:
    round_ = begin(operator)
    entry = LedgerEntry.objects.get(subject=f"round:{round_.pk}")
    assert (entry.action, entry.actor) == ("round opened", operator)
    assert (entry.detail["preset"], entry.detail["note"], entry.detail["seed"]) == ("tiny", NOTE, 7)
    assert entry.detail["set"] == {one["setting"]: one["chosen"] for one in round_.plan["overrides"]}


def test_setting_that_says_what_the_preset_says_is_none(
    second_version: Version, scenarios: list[Scenario], operator: User
) -> None:
    plan = Plan.from_json(begin(operator, changes={"sft.epochs": 1, "dpo.beta": 0.1}).plan)
    assert (plan.overrides, plan.stages) == ((), make_plan(second_version).stages)


def test_round_that_begins_by_itself_goes_by_the_preset_of_the_installation(
    second_version: Version, settings: Settings
) -> None:
    make_scenarios(pairs=45)
    settings.ROUND_PRESET = "quick"
    coordinator.tick()
    plan = Round.objects.get().plan
    assert (plan["preset"], plan["overrides"]) == ("quick", [])
    assert Plan.from_json(plan).stages == recipes.preset("quick")


# Who, and when


def test_only_an_operator_begins_a_round(
    client: Client, second_version: Version, scenarios: list[Scenario], overseer: User, researcher: User
) -> None:
    for person in (overseer, researcher):
        with pytest.raises(NotAllowed, match="Only operators"):
            begin(person)
        client.force_login(person)
        assert "Only operators" in send(client, status=403)
        assert "Begin a round" not in client.get(reverse("training:rounds")).content.decode()
    assert not Round.objects.exists()


def test_founding_version_has_a_round_where_a_person_begins_it(
    constitution: Version, scenarios: list[Scenario], operator: User
) -> None:
    coordinator.tick()
    assert not Round.objects.exists()
    assert begin(operator).version == constitution


def test_round_by_hand_stands_for_the_one_that_would_have_begun(
    second_version: Version, scenarios: list[Scenario], reviewer: User, operator: User, settings: Settings
) -> None:
    settings.ROUND_DEBOUNCE = 3600
    texts = [ClauseText.model_validate(text.model_dump()) for text in second_version.texts()[:-1]]
    third = publish(base=second_version, clauses=texts, title=second_version.title, summary="Less.", by=reviewer)
    round_ = begin(operator)
    settings.ROUND_DEBOUNCE = 0
    coordinator.tick()
    assert list(Round.objects.all()) == [round_]
    assert LedgerEntry.objects.get(subject=f"round:{round_.pk}").detail["covers"] == [second_version.number]
    assert round_.version == third


def test_round_is_refused_while_another_one_waits_trains_or_needs_a_decision(
    client: Client, claimed_round: Round, operator: User, overseer: User
) -> None:
    with pytest.raises(Refused, match=f"Round {claimed_round.pk} is training"):
        begin(operator)
    text = client.get(ADDRESS).content.decode()
    assert f"Round {claimed_round.pk} is training" in text
    assert reverse("training:round-detail", args=[claimed_round.pk]) in text
    actions.pause(round_=claimed_round, pause={"stage": "sft", "step": 2, "reason": "It fell.", "evidence": []})
    text = send(client, status=409, dpo__beta="0.3")
    assert f"Round {claimed_round.pk} for this version is paused" in text
    assert 'value="0.3"' in text
    assert NOTE in text
    actions.abort(round_=claimed_round, by=overseer, note="Enough.")
    assert begin(operator).version == claimed_round.version
    with pytest.raises(Refused, match="is already waiting"):
        begin(operator)


def test_further_round_on_a_version_that_has_one(
    second_version: Version, scenarios: list[Scenario], operator: User
) -> None:
    make_model(second_version)
    assert begin(operator).version == second_version


def test_version_that_is_in_force_no_more_is_not_trained_on(
    client: Client, second_version: Version, scenarios: list[Scenario]
) -> None:
    text = send(client, status=409, version="1", sft__epochs="4")
    assert "Another version is in force by now" in text
    assert 'name="version" value="2"' in text
    assert 'value="4"' in text
    for nonsense in ("99", "", "x", "9" * 30):
        send(client, status=422, version=nonsense)
    assert not Round.objects.exists()


def test_too_little_to_train_on_is_said(second_version: Version, operator: User, client: Client) -> None:
    with pytest.raises(TooLittleData):
        begin(operator)
    assert "A round needs harmful and benign scenarios" in send(client, status=409)


@pytest.mark.django_db(transaction=True)
def test_two_people_who_begin_at_once_begin_one_round(constitution: Version, reviewer: User, operator: User) -> None:
    make_scenarios()
    publish_second_version(reviewer)
    other = make_user("ottilie", Role.OPERATOR)
    found = at_once(lambda: begin(operator), lambda: begin(other, changes={}))
    refused = [one for one in found if isinstance(one, Refused)]
    assert len(refused) == 1
    assert "is already waiting" in str(refused[0])
    assert Round.objects.count() == LedgerEntry.objects.filter(action="round opened").count() == 1


@pytest.mark.django_db(transaction=True)
def test_person_and_tick_at_once_begin_one_round(constitution: Version, reviewer: User, operator: User) -> None:
    make_scenarios()
    publish_second_version(reviewer)
    at_once(lambda: begin(operator), coordinator.tick)
    assert Round.objects.count() == 1


def test_time_left_goes_by_a_round_that_trained_on_about_as_much(
    second_version: Version, scenarios: list[Scenario], operator: User, settings: Settings
) -> None:
    settings.MODEL = "a small model"
    done = make_model(second_version).round
    assert done.finished_at
    times = {"first_step": 0, "first_at": done.finished_at, "step": 1, "at": done.finished_at}
    Pace.objects.bulk_create(Pace(round=done, stage=stage, attempt=1, **times) for stage in recipe_plan.STAGES)
    short = begin(operator, changes={"sizes.train": 2})
    assert pace._durations(short)[0] is None
    actions.abort(round_=short, by=operator, note="Too short.")
    assert pace._durations(begin(operator, changes={"seed": 7}))[0] == done.pk


# The page


def test_form_shows_the_presets_own_values(client: Client, second_version: Version, settings: Settings) -> None:
    settings.ROUND_PRESET = "cpu"
    text = client.get(ADDRESS).content.decode()
    for own in ("0.0007", "0.001", "200", str(coordinator.seed_of(second_version)), "As in the preset: yes"):
        assert own in text
    assert '<option value="cpu" selected>' in text
    assert reverse("training:round-begin") in client.get(reverse("training:rounds")).content.decode()


def test_other_preset_shows_its_values_and_keeps_what_was_typed(client: Client, second_version: Version) -> None:
    text = send(client, status=200, show="1", preset="quick", dpo__learning_rate="3e-4")
    assert 'value="3e-4"' in text
    assert ">40</span>" in text
    headers = {"hx-request": "true", "hx-target": "begin-settings"}
    part = client.post(ADDRESS, fields(show="1", preset="quick"), headers=headers).content.decode()
    assert part.strip().startswith('<div class="begin-settings" id="begin-settings">')
    assert not Round.objects.exists()


def test_bad_values_are_said_beside_their_fields_and_nothing_is_lost(
    client: Client, second_version: Version, scenarios: list[Scenario]
) -> None:
    typed = {
        "seed": "-3",
        "sizes.train": "none",
        "sft.epochs": "1.5",
        "sft.learning_rate": "7",
        "dpo.epochs": "0",
        "dpo.learning_rate": "nan",
        "dpo.beta": "-0.1",
        "dpo.sft_weight": "<b>much</b>",
        "dpo.even": "perhaps",
    }
    answer = client.post(ADDRESS, fields(**typed, note=" "))
    assert answer.status_code == 422
    raw, text = answer.content.decode(), html.unescape(answer.content.decode())
    for name, value in typed.items():
        place = text.index(f'id="{name}-notes"')
        assert 'class="field-error"' in text[place : place + 120], name
        if name != "dpo.even":
            assert f'name="{name}" value="{value}"' in text
    assert "<b>much" not in raw
    assert "Write a note that says why" in text
    assert "SFT learning rate: A learning rate of 7.0 cannot train." in text
    assert not Round.objects.exists()
    assert "The presets are" not in send(client, status=200, show="1", preset="huge")
    assert "There is no preset 'huge'" in send(client, status=422, preset="huge")


def test_begun_by_form_and_shown(client: Client, second_version: Version, scenarios: list[Scenario]) -> None:
    answer = client.post(
        ADDRESS, fields(**{"dpo.learning_rate": "1e-4", "dpo.even": "false", "seed": "7"}), follow=True
    )
    round_ = Round.objects.get()
    assert answer.redirect_chain == [(reverse("training:round-detail", args=[round_.pk]), 302)]
    text = html.unescape(answer.content.decode())
    assert f"Seed: 7 instead of {coordinator.seed_of(second_version)}" in text
    assert "Differs from preset tiny:" in text
    assert "DPO learning rate: 0.0001 instead of 0.0002" in text
    assert "DPO as many pairs of harmful as of benign requests: no instead of yes" in text
    assert f"by otto: {NOTE}" in text


def test_round_of_an_older_release_says_nothing_of_a_preset(
    client: Client, second_version: Version, scenarios: list[Scenario], overseer: User
) -> None:
    plan = make_plan(second_version).as_json()
    del plan["preset"], plan["overrides"]
    row = Round.objects.create(version=second_version, seed=plan["seed"], plan=plan, data_digest="d" * 64)
    assert Plan.from_json(row.plan).overrides == ()
    text = client.get(reverse("training:round-detail", args=[row.pk])).content.decode()
    assert "preset" not in text
    assert "by itself" in text
    assert "preset" not in client.get(reverse("training:rounds")).content.decode()
    assert report.context(row, overseer)["round"]["overridden"] == []


def test_two_rounds_beside_each_other_say_what_was_set(
    client: Client, second_version: Version, scenarios: list[Scenario], operator: User, overseer: User
) -> None:
    begun = [make_model(second_version).round, begin(operator, changes={"dpo.learning_rate": 1e-4})]
    old, new = (Round.objects.get(pk=row.pk) for row in begun)
    found = [one for one in differences(old.plan, new.plan) if one.area in STAGES.values()]
    assert found == [Difference("DPO", "learning rate", "0.0002", "0.0001")]
    assert "preset tiny, 1 setting otherwise" in client.get(reverse("training:rounds")).content.decode()
    assert "preset tiny</td>" in client.get(reverse("training:round-trends")).content.decode()
    text = client.get(reverse("training:round-changes", args=[old.pk, new.pk])).content.decode()
    assert "0.0001" in text
    assert "0.0002" in text


def test_settings_that_no_round_can_have_are_refused_by_the_verb_as_well(
    second_version: Version, scenarios: list[Scenario], operator: User
) -> None:
    with pytest.raises(BadSettings) as refused:
        begin(operator, changes={"sft.opening_tokens": 6, "dpo.beta": 0.2}, note="")
    assert list(refused.value.problems) == ["sft.opening_tokens", "note"]
    assert not Round.objects.exists()
