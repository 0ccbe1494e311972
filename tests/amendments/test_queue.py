"""The queue narrowed: every filter, the words, what the page counts, and the views that people keep."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from amendments import actions, claims, saved, states
from amendments.models import Amendment, Cluster, Review, SavedView, Verdict
from constitution import people
from constitution.errors import Refused
from constitution.models import User, Version
from tests.amendments.conftest import Propose

QUEUE = reverse("amendments:queue")
Ask = Callable[..., list[int]]


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


@pytest.fixture
def ask(desk: Client) -> Ask:
    """The proposals that the queue shows for these filters."""

    def asked(**filters: str | int) -> list[int]:
        return shown(desk.get(QUEUE, filters))

    return asked


def shown(page: Any) -> list[int]:
    assert page.status_code == 200
    return [row["pk"] for row in page.context["proposals"]]


def set_row(amendment: Amendment, **values: object) -> Amendment:
    Amendment.objects.filter(pk=amendment.pk).update(**values)
    return amendment


def test_tier_and_kind_and_principle(ask: Ask, file_proposal: Propose) -> None:
    contextual, style = file_proposal(), file_proposal("T-03", "Decline in a line.")
    assert ask(tier=3) == [style.pk]
    assert ask(tier=2, kind="revise") == [contextual.pk]
    assert ask(kind="split") == []
    assert ask(q="t-03") == [style.pk]
    assert ask(q=f"#{contextual.pk}") == [contextual.pk]


def test_states_apart_and_together(ask: Ask, file_proposal: Propose, other_reviewer: User) -> None:
    still = file_proposal(by=other_reviewer)
    conflicted = set_row(file_proposal(text="One way."), state=states.CONFLICTED)
    gone = file_proposal(text="Another way.", by=other_reviewer)
    actions.withdraw(amendment=gone, by=other_reviewer)
    assert set(ask()) == {still.pk, conflicted.pk}
    assert ask(state="open") == [still.pk]
    assert ask(state="conflicted") == [conflicted.pk]
    assert ask(state="decided") == ask(state="withdrawn") == [gone.pk]
    assert ask(state="rejected") == []


def test_signal_is_that_of_the_cluster(ask: Ask, file_proposal: Propose, cluster: Cluster) -> None:
    found = file_proposal(cluster=cluster)
    file_proposal("T-03", "Decline in a line.")
    assert ask(signal="over-refusal") == [found.pk]
    assert ask(signal="conflict") == []


def test_people_machines_and_one_of_each(ask: Ask, file_proposal: Propose, other_reviewer: User) -> None:
    made, written = file_proposal(), file_proposal(text="A person's wording.", by=other_reviewer)
    assert ask(by="people") == ask(by="@grace") == [written.pk]
    assert ask(by="machines") == ask(by=f"machine-{made.producer_id}") == [made.pk]
    assert ask(by="@nobody-of-that-name") == []


def test_scope_with_and_without_its_dimension(ask: Ask, file_proposal: Propose) -> None:
    scoped = file_proposal("H-02", "Give facts about medication and no doses.")
    file_proposal()
    assert ask(scope="industry:healthcare") == ask(scope="healthcare") == [scoped.pk]


def test_assigned_to_me_to_somebody_to_nobody(
    ask: Ask, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    mine, theirs = file_proposal(text="One way."), file_proposal(text="Another way.")
    free = file_proposal("T-03", "Decline in a line.")
    actions.assign(amendment=mine, by=reviewer, to=reviewer)
    actions.assign(amendment=theirs, by=reviewer, to=other_reviewer)
    assert ask(assignee="me") == ask(assignee="@ada") == [mine.pk]
    assert ask(assignee="@grace") == [theirs.pk]
    assert ask(assignee="nobody") == [free.pk]


def test_who_left_holds_nothing_up(
    client: Client, ask: Ask, file_proposal: Propose, reviewer: User, other_reviewer: User, operator: User
) -> None:
    row = file_proposal()
    actions.assign(amendment=row, by=reviewer, to=other_reviewer)
    people.close(person=other_reviewer, by=operator)
    assert ask(assignee="nobody") == [row.pk]
    client.force_login(reviewer)
    for address in ("/", f"/proposals/{row.pk}/"):
        assert "grace, whose account is closed" in client.get(address).content.decode()


def test_older_than_some_days(ask: Ask, file_proposal: Propose) -> None:
    old = set_row(file_proposal(), created_at=timezone.now() - timedelta(days=9))
    file_proposal("T-03", "Decline in a line.")
    assert ask(older=7) == [old.pk]


def test_deferred_ones_are_apart_until_their_day(ask: Ask, file_proposal: Propose, reviewer: User) -> None:
    put_off, back = file_proposal(), file_proposal("T-03", "Decline in a line.")
    actions.defer(amendment=put_off, by=reviewer, until=timezone.localdate() + timedelta(days=3), reason="Wait.")
    set_row(back, deferred_until=timezone.now() - timedelta(minutes=1))
    assert ask() == [back.pk]
    assert ask(deferred="only") == [put_off.pk]
    assert set(ask(deferred="too")) == {put_off.pk, back.pk}


def test_my_turn_leaves_out_what_waits_for_others(ask: Ask, file_proposal: Propose, reviewer: User) -> None:
    turn = file_proposal(text="Mine to decide.")
    file_proposal(text="I wrote it.", by=reviewer)
    set_row(file_proposal(text="To be changed."), state=states.CHANGES_REQUESTED)
    set_row(file_proposal(text="Put off."), deferred_until=timezone.now() + timedelta(days=1))
    said = file_proposal(text="I have said what I think.")
    Review.objects.create(amendment=said, reviewer=reviewer, verdict=Verdict.APPROVE, digest=said.digest)
    edited = file_proposal(text="It was edited since.")
    Review.objects.create(amendment=edited, reviewer=reviewer, verdict=Verdict.APPROVE, digest="0" * 64)
    assert set(ask(turn="mine")) == {turn.pk, edited.pk}


@pytest.mark.parametrize(
    ("words", "is_found"),
    [
        ("harmless", True),
        ("declining", True),  # another form of a word of the rationale
        ('"every harmless request"', True),
        ("harmless -request", False),
        ("zebra or harmless", True),
        ("zebra", False),
        ("'; DROP TABLE x; --", False),
        ("& | ! ( :*", False),
        ("\x00harmless", True),
    ],
)
def test_search_takes_the_syntax_of_web_searches(ask: Ask, file_proposal: Propose, words: str, is_found: bool) -> None:
    proposal = file_proposal()
    assert ask(q=words) == ([proposal.pk] if is_found else [])


def test_value_that_is_none_is_left_out_and_named(desk: Client, file_proposal: Propose) -> None:
    proposal = file_proposal()
    page = desk.get(QUEUE, {"tier": "9", "older": "-1", "state": "open"})
    assert shown(page) == [proposal.pk]
    assert page.context["filters"].ignored == ["Tier", "Older than, days"]
    assert page.context["query"] == "state=open"


def test_chip_takes_one_filter_off(desk: Client, file_proposal: Propose) -> None:
    file_proposal()
    page = desk.get(QUEUE, {"tier": "2", "by": "machines"})
    chips = {chip.label: chip.without for chip in page.context["filters"].chips()}
    assert chips == {"Tier: Contextual": "by=machines", "From: Machines": "tier=2"}


def test_empty_list_says_which_filter_to_drop(desk: Client, file_proposal: Propose) -> None:
    file_proposal()
    page = desk.get(QUEUE, {"tier": "3", "by": "machines"})
    assert page.context["drops"] == [{"label": "Tier: Style", "url": "?by=machines", "count": "1"}]
    assert "without “Tier: Style”" in page.content.decode()


def test_pages_keep_the_filters(desk: Client, file_proposal: Propose) -> None:
    filed = {file_proposal(text=f"Help with harmless request {n}.", priority=n % 3).pk for n in range(60)}
    file_proposal("T-03", "Decline in a line.", priority=1)
    seen, url = [], f"{QUEUE}?tier=2"
    while url:
        page = desk.get(url)
        seen += shown(page)
        url = page.context["older_url"]
    assert len(seen) == 60
    assert set(seen) == filed


def test_decided_pages_by_key(desk: Client, file_proposal: Propose, other_reviewer: User) -> None:
    filed = [file_proposal(text=f"Wording {n}.", by=other_reviewer) for n in range(30)]
    for proposal in filed:
        actions.withdraw(amendment=proposal, by=other_reviewer)
    first = desk.get(QUEUE, {"state": "decided"})
    second = desk.get(first.context["older_url"])
    assert shown(first) + shown(second) == [proposal.pk for proposal in reversed(filed)]


def test_count_is_exact_to_its_limit_and_says_more_above(
    desk: Client, file_proposal: Propose, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        file_proposal(text=f"Wording {number}.")
    assert desk.get(QUEUE).context["matching_words"] == "4"
    monkeypatch.setattr("amendments.views.queue.MOST_COUNTED", 3)
    monkeypatch.setattr("amendments.views.queue.MOST_ON_A_TAB", 3)
    page = desk.get(QUEUE)
    assert page.context["matching_words"] == "more than 3"
    assert page.context["tabs"][0]["count"] == "3+"


def test_arrivals_count_what_matches(desk: Client, file_proposal: Propose) -> None:
    newest = file_proposal().pk
    file_proposal(text="New, and contextual.")
    file_proposal("T-03", "New, and style.")
    page = desk.get(
        QUEUE, {"tier": "3", "since": str(newest)}, headers={"HX-Request": "true", "HX-Target": "arrivals"}
    ).content.decode()
    assert "1 new" in page
    assert f"tier=3&amp;since={newest}" in page
    assert "docket" not in page


def test_number_of_queries_is_the_same_for_many(
    desk: Client,
    file_proposal: Propose,
    reviewer: User,
    other_reviewer: User,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    def file(number: int) -> None:
        proposal = file_proposal(text=f"Wording {number}.", by=other_reviewer if number % 2 else None)
        actions.assign(amendment=proposal, by=reviewer, to=reviewer)
        claims.renew(amendment=proposal, by=reviewer)

    for number in range(3):
        file(number)
    saved.keep(name="first", query="tier=2", by=reviewer)
    desk.get(QUEUE)
    with django_assert_num_queries(17):
        desk.get(QUEUE, {"q": "harmless", "tier": "2", "by": "@grace"})
    for number in range(3, 30):
        file(number)
    for number in range(8):
        saved.keep(name=f"view {number}", query=f"tier=2&by=@grace&older={number + 1}", by=reviewer)
    with django_assert_num_queries(17):
        desk.get(QUEUE, {"q": "harmless", "tier": "2", "by": "@grace"})


def test_view_is_saved_shown_with_its_count_renamed_and_removed(
    desk: Client, file_proposal: Propose, reviewer: User
) -> None:
    file_proposal("T-03", "Decline in a line.")
    save = {"name": " Only  style ", "filters": "tier=3&nothing=x"}
    page = desk.post(reverse("amendments:view-save"), save, follow=True)
    view = SavedView.objects.get()
    assert (view.owner, view.name, view.query) == (reviewer, "Only style", "tier=3")
    assert {"label": "Only style", "url": "?tier=3", "is_here": True, "count": "1"} in page.context["tabs"]
    change = reverse("amendments:view-change", args=[view.pk])
    desk.post(change, {"name": "Style"})
    assert SavedView.objects.get().name == "Style"
    desk.post(change, {"do": "remove"})
    assert not SavedView.objects.exists()


def test_view_of_somebody_else_is_not_there(desk: Client, other_reviewer: User) -> None:
    view = saved.keep(name="Theirs", query="tier=3", by=other_reviewer)
    answer = desk.post(reverse("amendments:view-change", args=[view.pk]), {"do": "remove"})
    assert answer.status_code == 404
    assert SavedView.objects.exists()


def test_view_without_a_name_without_filters_or_one_too_many_is_refused(reviewer: User) -> None:
    with pytest.raises(Refused, match="name"):
        saved.keep(name=" ", query="tier=3", by=reviewer)
    with pytest.raises(Refused, match="nothing to save"):
        saved.keep(name="All", query="", by=reviewer)
    for number in range(saved.MOST):
        saved.keep(name=f"view {number}", query="tier=3", by=reviewer)
    saved.keep(name="view 0", query="tier=2", by=reviewer)
    with pytest.raises(Refused, match="12 saved views"):
        saved.keep(name="one more", query="tier=3", by=reviewer)


def test_names_of_people_and_views_are_shown_as_text(desk: Client, reviewer: User, file_proposal: Propose) -> None:
    file_proposal()
    saved.keep(name="<script>alert(1)</script>", query="tier=2", by=reviewer)
    page = desk.get(QUEUE, {"q": "<img src=x onerror=alert(1)>", "by": "<b>x"}).content.decode()
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "<b>x" not in page


def test_researcher_reads_the_queue_and_is_offered_no_decisions(
    client: Client, researcher: User, file_proposal: Propose, constitution: Version
) -> None:
    file_proposal()
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    content = client.get(QUEUE).content.decode()
    assert "Take the next one" not in content.split('<dl class="keys">')[0]
    assert 'type="checkbox"' not in content


def test_every_place_in_the_queue_has_a_neighbour(file_proposal: Propose, constitution: Version) -> None:
    for number in range(6):
        file_proposal(text=f"Wording {number}.", priority=number % 2)
    order = list(Amendment.objects.undecided().in_queue_order())
    for here, behind in itertools.pairwise(order):
        assert Amendment.objects.undecided().after(here).first() == behind
        assert Amendment.objects.undecided().ahead_of(behind).first() == here
