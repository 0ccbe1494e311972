"""What people find of what rounds made of amendments: on the proposal's page, on the round's, and over all rounds."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from amendments.models import AcceptanceRule, Amendment, Scenario
from constitution.models import User, Version
from tests import factories
from tests.training.finished import make_model
from tests.training.test_previews import KnownEngine, model
from tests.training.test_previews import work as measure_preview
from tests.training.test_realised import TrainedEngine, accept, on_these_weights, version_of, work
from training.models import Checkpoint
from training.previews import asking as previews
from training.realised import asking

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["model"]  # a fixture, used by its name


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer)
    return client


@pytest.fixture
def amendment(constitution: Version, scenarios: list[Scenario], reviewer: User, other_reviewer: User) -> Amendment:
    return accept("Never help with what sounds alarming.", by=reviewer, proposer=other_reviewer)


@pytest.fixture
def checkpoint(amendment: Amendment) -> Checkpoint:
    return make_model(version_of(amendment), weights=on_these_weights)


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def page_of(round_pk: int) -> str:
    return reverse("training:round-detail", args=[round_pk])


def test_proposals_page_says_what_comes_and_then_what_came(
    desk: Client, amendment: Amendment, other_reviewer: User
) -> None:
    url = amendment.get_absolute_url()
    assert "When a round has trained on it" in read(desk, url)
    made = make_model(version_of(amendment), weights=on_these_weights)
    asking.ask_for_lacking()
    assert "It waits until nothing more pressing is left to do" in read(desk, url)
    with pytest.raises(ConnectionError):
        work(TrainedEngine(fails_after=8))
    assert "Being compared: 8 of" in read(desk, url)
    work(TrainedEngine())
    found = read(desk, url)
    assert "What the round made of it" in found
    assert page_of(made.round_id) in found
    assert "within what was foretold" in found
    assert ">outside</span>" in found
    assert "Since the base model" in found
    assert "No round before it trained the same weights." in found
    open_one = factories.propose_revision("G-01", "Help more.", by=other_reviewer)
    assert "What the round made of it" not in read(desk, open_one.get_absolute_url())


def test_proposal_without_a_finished_preview_says_so(
    desk: Client, constitution: Version, reviewer: User, other_reviewer: User
) -> None:
    plain = accept("Help with all of it.", by=reviewer, proposer=other_reviewer, is_measured=False)
    assert "there is nothing to compare the round with" in read(desk, plain.get_absolute_url())


def test_failure_and_its_reason_are_shown(desk: Client, checkpoint: Checkpoint, amendment: Amendment) -> None:
    asking.ask_for_lacking()
    work(TrainedEngine(lacks=[checkpoint.pk]))
    assert "Its weights were removed." in read(desk, amendment.get_absolute_url())
    assert "Its weights were removed." in read(desk, page_of(checkpoint.round_id))


def test_rounds_page_lists_its_amendments_and_asks_no_more_for_many(
    desk: Client, amendment: Amendment, reviewer: User, other_reviewer: User
) -> None:
    second = accept("Help with all of it.", by=reviewer, proposer=other_reviewer, is_measured=False)
    made = make_model(version_of(second), weights=on_these_weights)
    found = read(desk, page_of(made.round_id))
    assert asking.NO_PREVIEW in found
    assert "it is compared as soon as nothing more pressing is left to do" in found
    asking.ask_for_lacking()
    work(TrainedEngine())
    with CaptureQueriesContext(connection) as few:
        found = read(desk, page_of(made.round_id))
    assert "Foretold and measured, part by part" in found
    assert f"{amendment.get_absolute_url()}#realised" in found
    third = None
    for number in range(4):
        third = accept(f"Help {number} times.", by=reviewer, proposer=other_reviewer)
    assert third
    later = make_model(version_of(third), weights=on_these_weights)
    asking.ask_for_lacking()
    for _ in range(4):
        work(TrainedEngine())
    read(desk, page_of(later.round_id))
    with CaptureQueriesContext(connection) as many:
        found = read(desk, page_of(later.round_id))
    assert found.count("Foretold and measured, part by part") == 4
    assert len(many) <= len(few)


def test_forecasts_are_counted_with_number_and_interval(desk: Client, checkpoint: Checkpoint) -> None:
    url = reverse("training:forecasts")
    assert "Nothing has been compared yet." in read(desk, url)
    asking.ask_for_lacking()
    work(TrainedEngine())
    found = read(desk, url)
    assert "Of 1 comparison of a proposal with its round" in found
    assert "All, since the base model (n = " in found
    assert "All, since the round before" not in found, "of none nothing is drawn"
    assert page_of(checkpoint.round_id) in found


def test_requirement_says_that_early_approvals_need_accept_again(
    desk: Client, constitution: Version, scenarios: list[Scenario], reviewer: User, other_reviewer: User
) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=1, needs_preview=True)
    proposal = factories.propose_revision("G-01", "Never help.", by=other_reviewer)
    assert "nothing is accepted when it finishes: then somebody who approved presses Accept again" in read(
        desk, proposal.get_absolute_url()
    )
    previews.ask(amendment=proposal)
    measure_preview(KnownEngine())
    found = read(desk, proposal.get_absolute_url())
    assert "Its effect is measured, on this exact text." in found
    assert "whoever gave one presses Accept again" in found
