import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from amendments import actions, states
from amendments.models import AcceptanceRule, Amendment, Cluster, EdgeCase, Label, Producer, Scenario, Signal
from constitution.models import User, Version
from tests.amendments.conftest import Propose

HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)> {{ 7|add:7 }} {% debug %}"


@pytest.fixture(autouse=True)
def one_reviewer_decides(db: None) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


def _url(verb: str, proposal: Amendment) -> str:
    return reverse(f"amendments:amendment-{verb}", args=[proposal.pk])


def test_queue_orders_by_priority_and_says_why(desk: Client, file_proposal: Propose) -> None:
    minor, major = file_proposal("T-03", "Decline in a line.", priority=1), file_proposal(priority=9)

    page = desk.get(reverse("amendments:queue"))

    assert [row["pk"] for row in page.context["proposals"]] == [major.pk, minor.pk]
    assert "Declines 3 of 3 harmless requests." in page.content.decode()


def test_queue_pages_by_key_and_every_proposal_comes_once(desk: Client, file_proposal: Propose) -> None:
    filed = {file_proposal(text=f"Help with harmless request {n}.", priority=n % 3).pk for n in range(60)}

    seen, url = [], reverse("amendments:queue")
    while url:
        page = desk.get(url)
        seen += [row["pk"] for row in page.context["proposals"]]
        url = page.context["older_url"]

    assert len(seen) == len(set(seen)) == 60
    assert set(seen) == filed


@pytest.mark.parametrize("cursor", ["x", "1~", "~1", "nan~x", "1e999~1", "'; DROP TABLE~1", "2020-13-45~1"])
@pytest.mark.parametrize("state", ["open", "decided"])
def test_queue_with_a_made_up_cursor_answers(desk: Client, constitution: Version, cursor: str, state: str) -> None:
    assert desk.get(reverse("amendments:queue"), {"after": cursor, "state": state}).status_code == 200


def test_queue_asks_the_same_number_of_queries_for_many(
    desk: Client, file_proposal: Propose, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    file_proposal()
    desk.get(reverse("amendments:queue"))
    with django_assert_num_queries(17):
        desk.get(reverse("amendments:queue"))
    for number in range(20):
        file_proposal(text=f"Help with harmless request {number}.")
    with django_assert_num_queries(17):
        desk.get(reverse("amendments:queue"))


def test_proposal_shows_hostile_text_as_text(
    desk: Client, constitution: Version, producer: Producer, file_proposal: Propose
) -> None:
    cluster = Cluster.objects.create(version=constitution, principle_id="G-01", signal=Signal.OVER_REFUSAL)
    scenario = Scenario.objects.create(digest="h" * 64, prompt=HOSTILE, label=Label.HARMFUL, source="test")
    EdgeCase.objects.create(
        scenario=scenario,
        version=constitution,
        principle_id="G-01",
        cluster=cluster,
        producer=producer,
        signal=Signal.OVER_REFUSAL,
        score=0.9,
        response=HOSTILE,
    )
    proposal = file_proposal(text=f"Help. {HOSTILE}", cluster=cluster)
    Amendment.objects.filter(pk=proposal.pk).update(rationale=HOSTILE, alternatives=[{"text": HOSTILE}])

    content = desk.get(proposal.get_absolute_url()).content.decode()

    assert "<script>alert(1)" not in content
    assert "<img src=x" not in content
    assert content.count("&lt;script&gt;alert(1)") >= 5
    assert "{{ 7|add:7 }}" in content


def test_accept_by_form_publishes_and_goes_on_to_the_next(desk: Client, file_proposal: Propose) -> None:
    proposal, other = file_proposal(priority=2), file_proposal("T-03", "Decline in a line.")

    answer = desk.post(_url("accept", proposal), {"digest": proposal.digest}, follow=True)

    assert answer.redirect_chain[-1][0] == other.get_absolute_url()
    assert "Version 2 is in force" in answer.content.decode()


def test_accept_with_htmx_tells_the_browser_where_to_go(desk: Client, file_proposal: Propose) -> None:
    proposal = file_proposal()

    answer = desk.post(_url("accept", proposal), {"digest": proposal.digest}, headers={"HX-Request": "true"})

    assert answer.headers["HX-Redirect"] == reverse("amendments:queue")


def test_accept_after_somebody_else_says_who_and_what(
    desk: Client, file_proposal: Propose, other_reviewer: User
) -> None:
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest)

    answer = desk.post(_url("accept", proposal), {"digest": proposal.digest})

    assert answer.status_code == 409
    assert "This proposal was accepted by grace" in answer.content.decode()


def test_edit_that_clashes_keeps_the_text_and_shows_what_changed(
    desk: Client, file_proposal: Propose, other_reviewer: User
) -> None:
    proposal = file_proposal()
    actions.edit(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, text="Help with all of it.")
    mine = {"digest": proposal.digest, "text": "My own careful wording.", "note": "Clearer."}

    answer = desk.post(_url("edit", proposal), mine)

    content = answer.content.decode()
    assert answer.status_code == 409
    assert "My own careful wording." in content
    assert "Clearer." in content
    assert "edited after you opened it" in content
    assert Version.objects.count() == 1


def test_edit_refused_for_its_text_keeps_it_in_the_form(desk: Client, file_proposal: Propose) -> None:
    proposal = file_proposal()

    answer = desk.post(_url("edit", proposal), {"digest": proposal.digest, "text": "Reads \u202e backwards"})

    assert answer.status_code == 409
    assert "hidden character U+202E" in answer.content.decode()
    assert answer.context["edit_text"].endswith("backwards")


def test_reject_without_a_reason_is_refused_and_with_one_publishes_nothing(
    desk: Client, file_proposal: Propose
) -> None:
    proposal = file_proposal()
    answer = desk.post(_url("reject", proposal), {"digest": proposal.digest})
    assert "Say why" in answer.content.decode()

    desk.post(_url("reject", proposal), {"digest": proposal.digest, "reason": "unclear", "note": "Half a sentence."})

    proposal.refresh_from_db()
    assert (proposal.state, Version.objects.count()) == (states.REJECTED, 1)
    assert proposal.reason == "The wording is unclear or broken. Half a sentence."


def test_outdated_proposal_says_so(desk: Client, file_proposal: Propose, other_reviewer: User) -> None:
    first, same, moved = (
        file_proposal(),
        file_proposal("T-03", "In a line."),
        file_proposal(text="Help.", by=other_reviewer),
    )
    desk.post(_url("accept", first), {"digest": first.digest})

    unchanged = desk.get(same.get_absolute_url()).content.decode()
    changed = desk.get(moved.get_absolute_url()).content.decode()

    assert "version 2 is in force now. T-03 still says the same there" in unchanged
    assert "version 2 is in force now. G-01 says something else there" in changed


def test_page_as_swapped_is_the_page_as_loaded(desk: Client, file_proposal: Propose) -> None:
    proposal = file_proposal()
    whole = desk.get(proposal.get_absolute_url()).content.decode()

    part = desk.get(proposal.get_absolute_url(), headers={"HX-Request": "true", "HX-Target": "standing"})

    assert part.content.decode().strip() in whole


def test_board_member_reads_and_cannot_decide(client: Client, board_member: User, file_proposal: Propose) -> None:
    client.force_login(board_member, backend="sesame.backends.ModelBackend")
    proposal = file_proposal()

    assert "Only reviewers decide" in client.get(proposal.get_absolute_url()).content.decode()
    assert client.post(_url("accept", proposal), {"digest": proposal.digest}).status_code == 403
    assert Version.objects.count() == 1
