"""The votes that a person can still take back, on whatever page they are by then."""

from math import ceil
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from amendments import policies
from amendments.models import Amendment, Review, Verdict
from amendments.views.words import known_words, outcome_sentence
from constitution.models import User

VERBS = {
    Verdict.APPROVE: "You accepted",
    Verdict.REJECT: "You rejected",
    Verdict.CHANGES: "You asked for changes to",
}
VOID = "The text of proposal {} was edited since, so your vote no longer counts. Read what it says now."


def context(request: HttpRequest) -> dict[str, Any]:
    """Template context processor: `undoable`, looked up only where a page shows it."""
    return {"undoable": SimpleLazyObject(lambda: undoable(request.user))} if hasattr(request, "user") else {}


def undoable(person: Any) -> list[dict[str, Any]]:
    """The person's votes that do not count yet, the newest first."""
    if not settings.UNDO_SECONDS or not isinstance(person, User):
        return []
    votes = Review.objects.filter(
        reviewer=person, settles_at__gt=timezone.now(), amendment__in=Amendment.objects.undecided()
    )
    return [in_the_air(vote) for vote in votes.select_related("amendment").order_by("-at", "-pk")]


def in_the_air(vote: Review) -> dict[str, Any]:
    amendment = vote.amendment
    left = (vote.settles_at - timezone.now()).total_seconds()
    return {
        "pk": amendment.pk,
        "url": amendment.get_absolute_url(),
        "sentence": f"{VERBS[Verdict(vote.verdict)]} proposal {amendment.pk} on {amendment.principle_id}.",
        "is_void": vote.digest != amendment.digest,
        "seconds": max(1, ceil(left)),
        "result": "",
    }


def settled(amendment: Amendment, person: User) -> dict[str, Any]:
    """What became of a vote; or the vote again, where it still does not count."""
    votes = list(amendment.reviews.filter(reviewer=person).select_related("amendment").order_by("at", "pk"))
    if amendment.is_undecided and (fresh := policies.in_the_air(votes)):
        return in_the_air(fresh[-1])
    url = amendment.get_absolute_url()
    if votes and policies.is_told(amendment, person):
        told = known_words(amendment, person)
        result = f"Proposal {amendment.pk} was a known item, planted to measure the desk. {told['sentence']}"
        return {"pk": amendment.pk, "url": url, "result": f"{result} {told['why']}"}
    is_void = amendment.is_undecided and votes and all(vote.digest != amendment.digest for vote in votes)
    result = VOID.format(amendment.pk) if is_void else outcome_sentence(amendment)
    return {"pk": amendment.pk, "url": url, "result": result}
