"""Known items on the pages: who is told what, where they are planted, and what a page costs."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings
from pytest_django.fixtures import DjangoAssertNumQueries
from zeal import zeal_ignore

from amendments import actions, states
from amendments.models import AcceptanceRule, Amendment, KnownItem
from constitution.models import Role, User, Version
from tests import factories
from tests.amendments.deciding import UNDO, accept, let_pass, reject, url
from tests.amendments.planting import WHY, plant

PLANT = "/insights/known-items/"


def _as(client: Client, person: User) -> Client:
    client.force_login(person, backend="sesame.backends.ModelBackend")
    return client


@pytest.fixture
def desk(client: Client, constitution: Version, reviewer: User, other_reviewer: User) -> Client:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)
    factories.make_user("mary", Role.REVIEWER)
    return _as(client, reviewer)


@pytest.mark.parametrize(("verb", "said"), [("accept", "You accepted it."), ("reject", "So did you.")])
def test_reviewer_is_told_when_the_vote_counts(desk: Client, settings: Settings, verb: str, said: str) -> None:
    settings.UNDO_SECONDS = UNDO
    row = plant()
    desk.post(url(verb, row), {"digest": row.digest, "note": "Too broad."})
    assert "known item" not in desk.get(row.get_absolute_url()).content.decode()
    let_pass()

    answer = desk.post(url("settle", row), headers={"HX-Request": "true"}).content.decode()
    assert f"Proposal {row.pk} was a known item" in answer
    page = desk.get(row.get_absolute_url()).content.decode()

    assert f"Right is to reject it. {said}" in page
    assert WHY in page
    assert 'data-key="a"' not in page, "nothing is left to decide"
    assert desk.post(url("accept", row), {"digest": row.digest}).status_code == 409


def test_vote_that_counts_at_once_says_so_on_the_next_page(desk: Client) -> None:
    row = plant()
    page = desk.post(url("accept", row), {"digest": row.digest}, follow=True)
    assert "was a known item" in page.content.decode()


def test_closed_item_says_what_it_was_and_not_what_was_right(
    desk: Client, reviewer: User, other_reviewer: User
) -> None:
    row = plant()
    actions.edit(amendment=row, by=other_reviewer, seen_digest=row.digest, text="Help with what is harmless.")
    actions.close_known()
    page = desk.get(row.get_absolute_url()).content.decode()
    assert "This was a known item." in page
    assert "Closed: a known item" in page
    assert WHY not in page
    assert "Right is to" not in page


def test_next_proposal_is_none_that_one_was_told_of(desk: Client, reviewer: User) -> None:
    told, row = plant("one"), plant("two", "T-03")
    reject(told, reviewer)
    page = desk.get(row.get_absolute_url())
    assert (page.context["previous_url"], page.context["next_url"]) == ("", "")


def test_overseer_plants_and_lists_and_reads_every_measure(desk: Client, overseer: User, reviewer: User) -> None:
    reject(plant(), reviewer)
    own = desk.get("/insights/").content.decode()
    assert "Plant known items" not in own
    assert '<th scope="row">ada</th>' in own

    page = _as(desk, overseer).get("/insights/").content.decode()

    assert "Plant known items" in page
    assert "known-list" in page
    assert '<th scope="row">ada</th>' in page


@pytest.mark.parametrize("most", ["", "0", "x", "1000"])
def test_number_that_makes_no_sense_plants_nothing(desk: Client, overseer: User, most: str) -> None:
    page = _as(desk, overseer).post(PLANT, {"most": most}, follow=True)
    assert "Say how many to plant" in page.content.decode()
    assert not KnownItem.objects.exists()


def test_button_plants_what_fits_and_says_what_does_not(desk: Client, overseer: User) -> None:
    with zeal_ignore():  # one item after the other, each proposed by itself
        page = _as(desk, overseer).post(PLANT, {"most": "100", "bare": "on"}, follow=True).content.decode()
    # The small constitution has two of the principles that our own items are about.
    assert KnownItem.objects.count() == 4
    assert "Planted 4 known items" in page
    assert "is not part of the constitution" in page


def test_who_also_decides_plants_without_seeing_which(desk: Client) -> None:
    both = factories.make_user("vera", Role.REVIEWER, Role.OVERSEER)
    page = _as(desk, both).post(PLANT, {"most": "2", "bare": "on"}, follow=True).content.decode()
    assert "Planted 2 known items" in page
    assert "known-list" not in page
    assert "ours-" not in page


def test_reviewers_cannot_plant(desk: Client) -> None:
    assert desk.post(PLANT, {"most": "1"}).status_code == 403
    assert not KnownItem.objects.exists()


def test_command_plants_and_says_what_it_left_out(constitution: Version) -> None:
    out = StringIO()
    call_command("plant_known_items", "--most", "3", stdout=out)
    assert Amendment.objects.filter(known_verdict__in=["approve", "reject"]).count() == 3
    assert "3 planted" in out.getvalue()
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("plant_known_items", "no-such-file.yaml", stdout=out)


def test_insights_cost_the_same_however_many_items_there_are(
    desk: Client, reviewer: User, overseer: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    _as(desk, overseer)
    for name in ("a", "b"):
        accept(plant(name, adds=name), reviewer)
    with django_assert_max_num_queries(100) as few:
        desk.get("/insights/")
    for number in range(12):
        row = plant(f"n{number}", adds=f"{number}")
        accept(row, factories.make_user(f"r{number}", Role.REVIEWER))
    with django_assert_max_num_queries(len(few.captured_queries)):
        desk.get("/insights/")


def test_queue_counts_leave_out_what_one_was_told_of(desk: Client, reviewer: User) -> None:
    row = plant()
    assert desk.get("/").context["matching"] == 1
    reject(row, reviewer)
    page = desk.get("/")
    assert (page.context["matching"], [tab["count"] for tab in page.context["tabs"][:2]]) == (0, ["0", "0"])
    row.refresh_from_db()
    assert row.state == states.OPEN
