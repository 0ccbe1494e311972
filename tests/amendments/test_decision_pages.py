"""The pages with which people decide: forms that work by themselves, and Undo on whatever page follows."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from amendments import actions
from amendments.models import AcceptanceRule, Review
from constitution.models import Role, User, Version
from tests import factories
from tests.amendments.conftest import Propose
from tests.amendments.deciding import UNDO, accept, let_pass, url


@pytest.fixture(autouse=True)
def ten_seconds(settings: Settings) -> None:
    settings.UNDO_SECONDS = UNDO


@pytest.fixture
def one_reviewer_decides(db: None) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


@pytest.mark.usefixtures("one_reviewer_decides")
def test_page_after_a_vote_offers_to_undo_it(desk: Client, file_proposal: Propose) -> None:
    proposal, other = file_proposal(priority=2), file_proposal("T-03", "Decline in a line.")

    page = desk.post(url("accept", proposal), {"digest": proposal.digest}, follow=True)

    content = page.content.decode()
    assert page.redirect_chain[-1][0] == other.get_absolute_url()
    assert f"You accepted proposal {proposal.pk} on G-01." in content
    assert url("undo", proposal) in content
    assert "is in force" not in content
    assert url("undo", proposal) in desk.get(other.get_absolute_url()).content.decode(), "the next page has it too"

    back = desk.post(url("undo", proposal), follow=True)
    assert back.redirect_chain[-1][0] == proposal.get_absolute_url()
    assert "Taken back" in back.content.decode()
    assert url("undo", proposal) not in back.content.decode()
    assert not Review.objects.exists()


@pytest.mark.usefixtures("one_reviewer_decides")
def test_page_settles_by_itself_and_says_what_came_of_it(desk: Client, file_proposal: Propose) -> None:
    proposal = file_proposal()
    desk.post(url("accept", proposal), {"digest": proposal.digest})
    fragment = {"HX-Request": "true"}

    early = desk.post(url("settle", proposal), headers=fragment).content.decode()
    assert "It takes effect in" in early
    let_pass()
    late = desk.post(url("settle", proposal), headers=fragment).content.decode()

    assert "Version 2 is in force" in late
    assert url("undo", proposal) not in late
    assert desk.post(url("settle", proposal), headers=fragment).content.decode() == late
    assert Version.objects.count() == 2


@pytest.mark.usefixtures("one_reviewer_decides")
def test_undo_that_comes_too_late_says_what_to_do_instead(desk: Client, file_proposal: Propose) -> None:
    proposal = file_proposal()
    desk.post(url("accept", proposal), {"digest": proposal.digest})
    let_pass()
    desk.post(url("settle", proposal))

    answer = desk.post(url("undo", proposal))

    assert answer.status_code == 409
    assert "propose an amendment" in answer.content.decode()


def test_vote_of_one_is_shown_to_nobody_else(
    client: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = accept(file_proposal(), reviewer)
    client.force_login(other_reviewer, backend="sesame.backends.ModelBackend")

    assert url("undo", proposal) not in client.get(proposal.get_absolute_url()).content.decode()
    told = client.post(url("settle", proposal), headers={"HX-Request": "true"}).content.decode()
    assert "You accepted" not in told


@pytest.mark.usefixtures("one_reviewer_decides")
def test_vote_on_words_that_were_edited_since_says_so(
    desk: Client, file_proposal: Propose, other_reviewer: User
) -> None:
    proposal = file_proposal()
    desk.post(url("accept", proposal), {"digest": proposal.digest})
    actions.edit(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, text="Help where it is safe.")
    assert "your vote no longer counts" in desk.get(proposal.get_absolute_url()).content.decode()
    let_pass()
    told = desk.post(url("settle", proposal), headers={"HX-Request": "true"}).content.decode()
    assert f"The text of proposal {proposal.pk} was edited since" in told
    assert "Undo" not in told


@pytest.mark.usefixtures("one_reviewer_decides")
def test_vote_on_what_was_withdrawn_meanwhile_says_so(
    desk: Client, file_proposal: Propose, other_reviewer: User
) -> None:
    proposal = file_proposal(by=other_reviewer)
    desk.post(url("accept", proposal), {"digest": proposal.digest})
    actions.withdraw(amendment=proposal, by=other_reviewer)
    told = desk.post(url("settle", proposal), headers={"HX-Request": "true"}).content.decode()
    assert "was closed meanwhile (withdrawn)" in told


def test_author_saves_another_wording_and_cannot_accept_it(client: Client, file_proposal: Propose) -> None:
    author = factories.make_user("rosa", Role.RESEARCHER)
    proposal = file_proposal(by=author)
    client.force_login(author, backend="sesame.backends.ModelBackend")
    written = {"digest": proposal.digest, "text": "Help where it is safe.", "note": "Shorter."}

    assert client.post(url("edit", proposal), written).status_code == 403
    saved = client.post(url("edit", proposal), {**written, "then": "save"}, follow=True)

    assert "Saved." in saved.content.decode()
    assert proposal.revisions.count() == 2
    assert not Review.objects.exists()


@pytest.mark.parametrize(
    ("verb", "sent", "sentence"),
    [
        ("changes", {"note": ""}, "Say why"),
        ("defer", {"until": "soon", "reason": "people"}, "year-month-day"),
        ("defer", {"until": "2020-01-01", "reason": "people", "note": "My note."}, "from tomorrow on"),
        ("duplicate", {"of": "999999"}, "no proposal of that number"),
        ("duplicate", {"of": "9" * 40, "note": "My note."}, "no proposal of that number"),
        ("assign", {"to": "999"}, "no such person"),
        ("assign", {"to": "x"}, "no such person"),
    ],
)
def test_form_that_is_refused_says_why_and_keeps_what_was_written(
    desk: Client, file_proposal: Propose, verb: str, sent: dict[str, str], sentence: str
) -> None:
    proposal = file_proposal()
    answer = desk.post(url(verb, proposal), {"digest": proposal.digest, **sent})
    content = answer.content.decode()
    assert answer.status_code == 409
    assert sentence in content
    assert sent.get("note", "") in content


def test_next_proposal_is_none_that_was_put_off(desk: Client, file_proposal: Propose, reviewer: User) -> None:
    first, second, third = (file_proposal(text=f"Help {n}.", priority=9 - n) for n in range(3))
    tomorrow = timezone.localdate() + timedelta(days=1)
    actions.defer(amendment=second, by=reviewer, until=tomorrow, reason="Later.")

    page = desk.get(first.get_absolute_url())
    assert page.context["next_url"] == f"{third.get_absolute_url()}?from={first.pk}"


def test_who_decides_in_a_list_stays_in_it(desk: Client, file_proposal: Propose) -> None:
    first, other, last = (
        file_proposal(principle=principle, text=f"Help {n}.", priority=9 - n)
        for n, principle in enumerate(("G-01", "T-03", "G-01"))
    )
    row = desk.get("/?q=G-01").content.decode()
    here = f"{first.get_absolute_url()}?in=q%3DG-01"
    assert f'href="{here}"' in row

    page = desk.get(here)
    assert [each["principle"] for each in page.context["below"]] == ["G-01"]
    assert page.context["trail_query"] == "q=G-01"
    assert [each["principle"] for each in desk.get(first.get_absolute_url()).context["below"]] == ["T-03", "G-01"]

    answer = desk.post(f"{url('reject', first)}?in=q%3DG-01", {"digest": first.digest, "reason": "unclear"})
    assert answer.headers["Location"] == f"{last.get_absolute_url()}?in=q%3DG-01"
    answer = desk.post(f"{url('reject', other)}?in=tier%3D3", {"digest": other.digest, "reason": "unclear"})
    assert answer.headers["Location"] == "/"  # nothing else is in that list


def test_list_of_what_is_decided_or_of_nonsense_is_the_whole_queue(desk: Client, file_proposal: Propose) -> None:
    first, last = (file_proposal(text=f"Help {n}.", priority=9 - n) for n in range(2))
    for asked in ("state%3Ddecided", "tier%3Dmany", "%00", "in%3Din"):
        page = desk.get(f"{first.get_absolute_url()}?in={asked}")
        assert page.context["next_url"] == f"{last.get_absolute_url()}?from={first.pk}"


def test_forms_put_off_close_and_hand_over(desk: Client, file_proposal: Propose, reviewer: User) -> None:
    proposal, other = file_proposal(), file_proposal(text="Help.")
    until = (timezone.localdate() + timedelta(days=3)).isoformat()

    desk.post(url("defer", proposal), {"until": until, "reason": "people"})
    put_off = desk.get(proposal.get_absolute_url()).content.decode()
    desk.post(url("bring-back", proposal))
    desk.post(url("assign", proposal), {"to": reviewer.pk})
    desk.post(url("duplicate", proposal), {"of": other.pk, "note": "The same."})

    assert "Somebody who is away should see it" in put_off
    proposal.refresh_from_db()
    assert (proposal.assignee, proposal.deferred_until) == (reviewer, None)
    assert (proposal.duplicate_of, proposal.reason) == (other, "The same.")
    assert other.get_absolute_url() in desk.get(proposal.get_absolute_url()).content.decode()


def test_undo_asks_the_same_number_of_queries_for_many(
    desk: Client, file_proposal: Propose, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    shown = file_proposal()
    accept(file_proposal(text="Help one."), reviewer)
    desk.get(shown.get_absolute_url())
    with CaptureQueriesContext(connection) as few:
        desk.get(shown.get_absolute_url())
    for number in range(9):
        accept(file_proposal("T-03", f"Decline in line {number}."), reviewer)
    with django_assert_num_queries(len(few)):
        desk.get(shown.get_absolute_url())
