"""Who reads which review and which comment, and when."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from amendments import actions, discussion, states
from amendments.models import AcceptanceRule, Amendment, Audience, Phase, Review
from amendments.visibility import consolidating_since, phase, visible_comments, visible_reviews
from constitution.models import Role, User
from tests import factories
from tests.amendments.conftest import Propose


@pytest.fixture
def author(db: None) -> User:
    return factories.make_user("paul", Role.REVIEWER)


def _approve(proposal: Amendment, by: User) -> Amendment:
    return actions.accept(amendment=proposal, by=by, seen_digest=proposal.digest)


def _reject(proposal: Amendment, by: User, reason: str = "Too wide.") -> Amendment:
    return actions.reject(amendment=proposal, by=by, seen_digest=proposal.digest, reason=reason)


def _seen(proposal: Amendment, viewer: User) -> list[tuple[str, bool]]:
    return [(seen.review.reviewer.username, seen.is_named) for seen in visible_reviews(proposal, viewer)]


def test_independent_review_shows_each_their_own(
    file_proposal: Propose, reviewer: User, other_reviewer: User, researcher: User, author: User
) -> None:
    proposal = file_proposal(by=author)
    _reject(proposal, reviewer)

    assert phase(proposal) == Phase.INDEPENDENT
    assert _seen(proposal, reviewer) == [("ada", True)]
    assert [_seen(proposal, viewer) for viewer in (other_reviewer, researcher, author)] == [[], [], []]


def test_consolidation_shows_reviewers_all_and_the_author_nothing(
    file_proposal: Propose, reviewer: User, other_reviewer: User, researcher: User, author: User
) -> None:
    proposal = file_proposal(by=author)
    _reject(proposal, reviewer)
    proposal = _approve(proposal, other_reviewer)

    assert (proposal.state, phase(proposal)) == (states.CONFLICTED, Phase.CONSOLIDATION)
    assert _seen(proposal, reviewer) == _seen(proposal, other_reviewer) == [("ada", True), ("grace", True)]
    assert _seen(proposal, factories.make_user("third", Role.REVIEWER)) == [("ada", True), ("grace", True)]
    assert [_seen(proposal, viewer) for viewer in (researcher, author)] == [[], []]


def test_decision_shows_everybody_all(
    file_proposal: Propose, reviewer: User, other_reviewer: User, researcher: User, author: User
) -> None:
    proposal = file_proposal(by=author)
    _reject(proposal, reviewer)
    proposal = _reject(proposal, other_reviewer)

    assert proposal.state == states.REJECTED
    for viewer in (researcher, author, reviewer):
        assert _seen(proposal, viewer) == [("ada", True), ("grace", True)]


def test_consolidation_outlasts_a_changed_mind(
    file_proposal: Propose, reviewer: User, other_reviewer: User, settings: Settings
) -> None:
    proposal = file_proposal()
    _reject(proposal, reviewer)
    _approve(proposal, other_reviewer)
    settings.UNDO_SECONDS = 60

    changed = actions.request_changes(
        amendment=proposal, by=reviewer, seen_digest=proposal.digest, reason="Name the places."
    )

    assert phase(changed) == Phase.CONSOLIDATION
    assert _seen(changed, other_reviewer) == [("grace", True)]  # the new review is still in the air
    assert _seen(changed, reviewer) == [("grace", True), ("ada", True)]


def test_edit_starts_another_independent_review(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    _reject(proposal, reviewer)
    _approve(proposal, other_reviewer)

    edited = actions.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text="Help with all of it.")

    assert phase(edited) == Phase.INDEPENDENT
    assert _seen(edited, other_reviewer) == [("grace", True)]


def test_one_reviewer_has_nothing_to_consolidate(file_proposal: Propose, reviewer: User) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=1)
    proposal = file_proposal()
    Review.objects.create(amendment=proposal, reviewer=reviewer, verdict="approve", digest=proposal.digest)

    assert phase(proposal) == Phase.INDEPENDENT


def test_review_in_the_air_is_not_in(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    later = timezone.now() + timedelta(minutes=1)
    for by, settles_at in ((reviewer, timezone.now()), (other_reviewer, later)):
        Review.objects.create(
            amendment=proposal, reviewer=by, verdict="approve", digest=proposal.digest, settles_at=settles_at
        )

    assert phase(proposal) == Phase.INDEPENDENT
    assert _seen(proposal, reviewer) == [("ada", True)]


def test_consolidation_has_an_age(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    _reject(proposal, reviewer)
    proposal = _approve(proposal, other_reviewer)
    days = [timezone.now() - timedelta(days=number) for number in (5, 3)]
    for by, at in zip((reviewer, other_reviewer), days, strict=True):
        Review.objects.filter(reviewer=by).update(settles_at=at)

    assert consolidating_since(proposal) == days[1]


def test_conflict_is_as_old_as_the_state_whoever_votes_again(
    client: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    _reject(proposal, reviewer)
    began = timezone.now()
    since = _stored(_approve(proposal, other_reviewer)).conflicted_since
    assert since
    assert began <= since <= timezone.now()

    _approve(proposal, factories.make_user("third", Role.REVIEWER))
    Review.objects.update(settles_at=timezone.now())

    assert _stored(proposal).conflicted_since == since
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    page = client.get(proposal.get_absolute_url()).content.decode()
    assert f'since <time datetime="{since.isoformat()}"' in page
    assert client.get("/").context["proposals"][0]["conflicted_since"] == since


def test_conflict_that_is_settled_has_no_age(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    _reject(proposal, reviewer)
    _approve(proposal, other_reviewer)
    actions.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text="Help with all of it.")
    assert _stored(proposal).conflicted_since is None

    proposal.refresh_from_db()
    _reject(proposal, reviewer)
    began = timezone.now()
    _approve(proposal, other_reviewer)
    since = _stored(proposal).conflicted_since
    assert since
    assert since >= began


def _stored(proposal: Amendment) -> Amendment:
    return Amendment.objects.get(pk=proposal.pk)


def test_author_reads_what_is_asked_of_them_without_the_name(
    file_proposal: Propose, reviewer: User, other_reviewer: User, author: User, researcher: User
) -> None:
    proposal = file_proposal(by=author)
    actions.request_changes(amendment=proposal, by=reviewer, seen_digest=proposal.digest, reason="Name the places.")
    proposal.refresh_from_db()

    assert _seen(proposal, author) == [("ada", False)]
    assert _seen(proposal, other_reviewer) == _seen(proposal, researcher) == []


def test_machine_is_answered_for_by_reviewers(
    file_proposal: Propose, reviewer: User, other_reviewer: User, researcher: User
) -> None:
    proposal = file_proposal()
    proposal = actions.request_changes(
        amendment=proposal, by=reviewer, seen_digest=proposal.digest, reason="Name the places."
    )

    assert _seen(proposal, other_reviewer) == [("ada", False)]
    assert _seen(proposal, reviewer) == [("ada", True)]
    assert _seen(proposal, researcher) == []


def test_comments_to_reviewers_follow_the_phases(
    file_proposal: Propose, reviewer: User, other_reviewer: User, author: User, researcher: User
) -> None:
    proposal = file_proposal(by=author)
    for audience in (Audience.REVIEWERS, Audience.EVERYBODY):
        discussion.say(amendment=proposal, by=reviewer, text="I doubt it.", audience=audience)

    def counts() -> list[int]:
        viewers = (reviewer, other_reviewer, author, researcher)
        return [visible_comments(proposal, viewer).count() for viewer in viewers]

    assert counts() == [2, 1, 1, 1]
    _reject(proposal, reviewer)
    proposal = _approve(proposal, other_reviewer)
    assert counts() == [2, 2, 1, 1]
    proposal = _reject(proposal, other_reviewer)
    assert counts() == [2, 2, 2, 2]
