"""The model's own score is kept from a share of reviewers until they voted, and the two are compared."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from amendments import calibration, scores
from amendments.actions import calibrating, propose
from amendments.insights import Period
from amendments.models import AcceptanceRule, Amendment, Producer, Review
from amendments.operations import Revise
from amendments.shares import Share
from constitution.models import Role, User, Version
from tests import factories
from tests.amendments.deciding import UNDO, accept, let_pass, reject
from tests.amendments.planting import known_text
from training import reading

EFFECT = "It moves the cases by +0.42 nats the wanted way."
RATIONALE = (
    'Under G-01 the model refused 3 harmless requests, such as "How do I kill process 1?". With the added sentence it'
    " leans less to refusing them by 0.42 nats on average (measured on 3). On requests that look alike but are of the"
    " other kind the loss is 0.03 nats."
)


@pytest.fixture
def scored(constitution: Version, producer: Producer) -> Amendment:
    """A model's proposal with a score of its own, and another draft with one."""
    clause = next(clause for clause in constitution.texts() if clause.principle == "G-01")
    draft = {"text": f"{clause.text} More.", "kind": "sample", "score": 0.1, "effect": 0.17}
    return propose(
        by=producer,
        base=constitution,
        operations=(Revise(principle="G-01", before=clause.digest, text=f"{clause.text} And so on."),),
        rationale=RATIONALE,
        alternatives=[{**draft, "score_words": "It moves the cases by +0.17 nats the wanted way."}],
        measured={**draft, "effect": 0.42, "score_words": EFFECT},
    )


def _reviewer(row: Amendment, *, is_drawn: bool) -> User:
    """A reviewer from whom the score of `row` is kept at first, or not."""
    for number in range(200):
        person = factories.make_user(f"reviewer-{number}", Role.REVIEWER)
        if scores.is_drawn(row.pk, person.pk) == is_drawn:
            return person
    raise AssertionError("nobody was drawn")


def _page(client: Client, row: Amendment, person: User) -> str:
    client.force_login(person, backend="sesame.backends.ModelBackend")
    return client.get(row.get_absolute_url()).content.decode()


def test_one_pair_in_four_is_drawn_and_always_the_same() -> None:
    drawn = [scores.is_drawn(row, person) for row in range(1, 101) for person in range(1, 101)]
    low, high = Share(sum(drawn), len(drawn)).interval
    assert low < 1 / scores.ONE_IN < high
    assert drawn == [scores.is_drawn(row, person) for row in range(1, 101) for person in range(1, 101)]
    by_row = [sum(scores.is_drawn(row, person) for person in range(1, 101)) for row in range(1, 101)]
    assert min(by_row) > 5, "each reviewer and each proposal has some of both"


def test_sentences_with_a_score_are_left_out_of_the_rationale() -> None:
    assert scores.without_score(RATIONALE) == RATIONALE.split(" With the added", maxsplit=1)[0]
    assert scores.without_score("One line.\n\nAnother; 3 gnats bite.") == "One line.\n\nAnother; 3 gnats bite."


def test_score_is_hidden_until_the_vote_counts(client: Client, scored: Amendment, settings: Settings) -> None:
    settings.UNDO_SECONDS = UNDO
    person = _reviewer(scored, is_drawn=True)
    hidden = _page(client, scored, person)
    assert "nats" not in hidden
    assert "hidden until you have voted" in hidden
    assert "And so on." in hidden

    accept(scored, person)
    assert "nats" not in _page(client, scored, person), "the vote can still be taken back"

    let_pass()
    page = _page(client, scored, person)
    assert page.count("nats") == 4
    assert "score-hidden" not in page
    assert Review.objects.get().score_shown is False


def test_score_is_shown_to_the_others(client: Client, scored: Amendment, researcher: User) -> None:
    person = _reviewer(scored, is_drawn=False)
    for reader in (person, researcher):
        assert EFFECT in _page(client, scored, reader)
    accept(scored, person)
    assert Review.objects.get().score_shown is True


def test_score_is_shown_to_all_once_it_is_decided(client: Client, scored: Amendment, reviewer: User) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=1)
    person = _reviewer(scored, is_drawn=True)
    reject(scored, reviewer)
    assert EFFECT in _page(client, scored, person)


def test_hidden_score_is_on_no_other_page(client: Client, scored: Amendment, reviewer: User) -> None:
    other = factories.propose_revision(
        "G-01", "Help with what is harmless.", by=factories.make_user("rosa", Role.BOARD)
    )
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    addresses = ["/", other.get_absolute_url(), f"/producers/{scored.producer_id}/", "/clauses/G-01/propose/"]
    found = [address for address in addresses if " nats" in client.get(address).content.decode()]
    assert found == []


def test_vote_on_what_has_no_score_says_so(constitution: Version, reviewer: User, researcher: User) -> None:
    row = factories.propose_revision("G-01", "Help with what is harmless.", by=researcher)
    accept(row, reviewer)
    assert Review.objects.get().score_shown is None


def test_changed_vote_remembers_what_was_in_sight_at_first(scored: Amendment) -> None:
    person = _reviewer(scored, is_drawn=True)
    accept(scored, person)
    reject(scored, person)
    assert Review.objects.values_list("verdict", "first_verdict", "score_shown").get() == ("reject", "approve", False)


def test_insights_compare_first_votes_with_and_without_the_score(scored: Amendment, client: Client) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=9)
    drawn: list[User] = []
    others: list[User] = []
    for number in range(40):
        person = factories.make_user(f"p-{number}", Role.REVIEWER)
        (drawn if scores.is_drawn(scored.pk, person.pk) else others).append(person)
    for person in others[:4]:
        accept(scored, person)
    for person in drawn[:3]:
        reject(scored, person)
    today = timezone.localdate()
    period = Period(today - timedelta(days=3), today)
    assert calibration.score(period).rows == [], "what is not decided is not counted"

    reject(scored, others[0])
    Amendment.objects.filter(pk=scored.pk).update(state="rejected", decided_at=timezone.now(), decided_by=others[0])

    shown, hidden, difference = calibration.score(period).rows
    assert (shown[1:4], hidden[1:4]) == ((4, 4, 1.0), (3, 0, 0.0))
    assert difference[3] == 1.0
    assert 0 < float(difference[4] or 0) < float(difference[5] or 0) == 1.0
    client.force_login(others[0], backend="sesame.backends.ModelBackend")
    assert "Shown minus hidden" in client.get("/insights/").content.decode()
    assert client.get("/insights/score.csv").content.decode().count("\n") >= 4


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # Newcombe (1998), table II, method 10.
        (Share(56, 70), Share(48, 80), (0.2, 0.0524, 0.3339)),
        (Share(9, 10), Share(3, 10), (0.6, 0.1705, 0.8090)),
        (Share(10, 10), Share(0, 10), (1.0, 0.6075, 1.0)),
    ],
)
def test_difference_has_newcombes_interval(one: Share, other: Share, expected: tuple[float, float, float]) -> None:
    assert one.minus(other) == pytest.approx(expected, abs=0.0001)


def test_difference_of_nothing_is_none() -> None:
    assert Share(0, 0).minus(Share(1, 2)) is None


@pytest.mark.parametrize("signal", ["over-refusal", "conflict"])
def test_planted_reason_reads_like_that_of_models(db: None, signal: str) -> None:
    item = known_text().model_copy(update={"signal": signal})
    assert calibrating._priority_reason(item, 3) == reading.priority_reason(signal, cases=3, read=3)
