"""The votes that a person can still take back, on whatever page they are by then."""

from math import ceil
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from amendments import policies, states
from amendments.models import Amendment, BoardVerdict, BoardVote, Review, Verdict
from amendments.views.words import known_words, outcome_sentence
from constitution.models import Role, User

VERBS: dict[str, str] = {
    Verdict.APPROVE: "You accepted",
    Verdict.REJECT: "You rejected",
    Verdict.CHANGES: "You asked for changes to",
    BoardVerdict.FOR: "You voted for",
    BoardVerdict.AGAINST: "You voted against",
    BoardVerdict.ABSTAIN: "You abstained on",
    BoardVerdict.VETO: "You vetoed",
    BoardVerdict.RECUSED: "You recused yourself from",
}
BOARD_VOTED = "Your vote is in. It takes effect when the board has carried or lost it, and with the reviewers’ votes."
VOID = "The text of proposal {} was edited since, so your vote no longer counts. Read what it says now."


def context(request: HttpRequest) -> dict[str, Any]:
    """Template context processor: `undoable`, looked up only where a page shows it."""
    return {"undoable": SimpleLazyObject(lambda: undoable(request.user))} if hasattr(request, "user") else {}


def undoable(person: Any) -> list[dict[str, Any]]:
    """The person's votes that do not count yet, the newest first."""
    if not settings.UNDO_SECONDS or not isinstance(person, User):
        return []
    fresh = Q(settles_at__gt=timezone.now(), amendment__in=Amendment.objects.undecided())
    votes: list[Review | BoardVote] = list(Review.objects.filter(fresh, reviewer=person).select_related("amendment"))
    if person.has_role(Role.BOARD):
        votes += BoardVote.objects.filter(fresh, member=person).select_related("amendment")
    return [in_the_air(vote) for vote in sorted(votes, key=_newest_first)]


def _newest_first(vote: Review | BoardVote) -> tuple[float, int]:
    return -vote.at.timestamp(), -vote.pk


def in_the_air(vote: Review | BoardVote) -> dict[str, Any]:
    amendment = vote.amendment
    left = (vote.settles_at - timezone.now()).total_seconds()
    return {
        "pk": amendment.pk,
        "url": amendment.get_absolute_url(),
        "sentence": f"{VERBS[vote.verdict]} proposal {amendment.pk} on {amendment.principle_id}.",
        "is_void": vote.digest != amendment.digest,
        "seconds": max(1, ceil(left)),
        "result": "",
    }


def settled(amendment: Amendment, person: User) -> dict[str, Any]:
    """What became of a vote; or the vote again, where it still does not count."""
    votes: list[Review | BoardVote] = list(amendment.reviews.filter(reviewer=person).select_related("amendment"))
    votes += amendment.board_votes.filter(member=person).select_related("amendment")
    votes.sort(key=_newest_first, reverse=True)
    if amendment.is_undecided and (fresh := policies.in_the_air(votes)):
        return in_the_air(fresh[-1])
    url = amendment.get_absolute_url()
    if votes and policies.is_told(amendment, person):
        told = known_words(amendment, person)
        result = f"Proposal {amendment.pk} was a known item, planted to measure the desk. {told['sentence']}"
        return {"pk": amendment.pk, "url": url, "result": f"{result} {told['why']}"}
    if votes and isinstance(votes[-1], BoardVote) and amendment.state == states.OPEN:
        return {"pk": amendment.pk, "url": url, "result": BOARD_VOTED}
    is_void = amendment.is_undecided and votes and all(vote.digest != amendment.digest for vote in votes)
    result = VOID.format(amendment.pk) if is_void else outcome_sentence(amendment)
    return {"pk": amendment.pk, "url": url, "result": result}
