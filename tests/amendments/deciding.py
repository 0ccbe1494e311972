"""A desk with ten seconds to undo, and what reviewers do at it."""

from datetime import timedelta

from django.db.models import F
from django.urls import reverse

from amendments import actions
from amendments.models import AcceptanceRule, Amendment, BoardVote, Review
from constitution.models import LedgerEntry, User

UNDO = 10
ONE, TWO = AcceptanceRule(tier=2, reviewers=1), AcceptanceRule(tier=2, reviewers=2)


def let_pass(seconds: float = UNDO) -> None:
    """As if so much time had gone by: all votes are so much older."""
    by = timedelta(seconds=seconds)
    Review.objects.update(settles_at=F("settles_at") - by)
    BoardVote.objects.update(settles_at=F("settles_at") - by)
    Amendment.objects.update(votes_due_at=F("votes_due_at") - by)


def accept(proposal: Amendment, by: User) -> Amendment:
    return actions.accept(amendment=proposal, by=by, seen_digest=proposal.digest)


def reject(proposal: Amendment, by: User) -> Amendment:
    return actions.reject(amendment=proposal, by=by, seen_digest=proposal.digest, reason="Too broad.")


def ask(proposal: Amendment, by: User) -> Amendment:
    return actions.request_changes(amendment=proposal, by=by, seen_digest=proposal.digest, reason="Say it plainly.")


def count(action: str) -> int:
    return LedgerEntry.objects.filter(action=action).count()


def url(verb: str, proposal: Amendment) -> str:
    return reverse(f"amendments:amendment-{verb}", args=[proposal.pk])
