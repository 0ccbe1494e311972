"""The verbs of reviewers: accept, reject, request changes, and take a vote back."""

from django.db import transaction

from amendments import policies
from amendments.actions.proposing import edit
from amendments.actions.records import lock, lock_siblings, record, still_undecided
from amendments.actions.settling import (
    after,
    among,
    check_publishable,
    counts_from,
    prove_ahead,
    take_effect,
    tell_readers,
)
from amendments.errors import ContentMoved
from amendments.models import Amendment, BoardVote, Review, Verdict
from amendments.scores import was_shown
from constitution import actions as law
from constitution.models import User


@transaction.atomic
def accept(*, amendment: Amendment, by: User, seen_digest: str) -> Amendment:
    """Approve the content that `by` has seen; where that satisfies the policy, the next version is published.

    Raises AlreadyDecided, ContentMoved, RoleMissing, OwnProposal or OutOfDate; then nothing was written.
    """
    prove_ahead(amendment)
    head = law.lock_head()
    siblings = lock_siblings(amendment)
    row = still_undecided(siblings, amendment)
    policies.check_can_accept(row, by)
    review = _cast(row, by=by, seen_digest=seen_digest, verdict=Verdict.APPROVE, reason="")
    if head and not policies.has_settled(review):
        check_publishable(row, head)
    after(row, review, head=head, siblings=siblings)
    return row


@transaction.atomic
def edit_and_accept(*, amendment: Amendment, by: User, seen_digest: str, text: str, note: str = "") -> Amendment:
    """Reword and approve in one step: both happen, or neither."""
    prove_ahead(amendment)
    law.lock_head()
    lock_siblings(amendment)  # before the edit writes to the ledger, in the order in which everybody locks
    edited = edit(amendment=amendment, by=by, seen_digest=seen_digest, text=text, note=note)
    return accept(amendment=edited, by=by, seen_digest=edited.digest)


@transaction.atomic
def reject(*, amendment: Amendment, by: User, seen_digest: str, reason: str) -> Amendment:
    """Turn the content that `by` has seen down, with a reason for its proposer. Publishes nothing."""
    reason = policies.check_says_why(reason)
    row = lock(amendment)
    policies.check_can_review(row, by)
    after(row, _cast(row, by=by, seen_digest=seen_digest, verdict=Verdict.REJECT, reason=reason))
    return row


@transaction.atomic
def request_changes(*, amendment: Amendment, by: User, seen_digest: str, reason: str) -> Amendment:
    """Ask for another wording, with what to change: it is the proposer's turn until the text is edited."""
    reason = policies.check_says_why(reason)
    row = lock(amendment)
    policies.check_can_request_changes(row, by)
    after(row, _cast(row, by=by, seen_digest=seen_digest, verdict=Verdict.CHANGES, reason=reason))
    return row


@transaction.atomic
def take_back(*, amendment: Amendment, by: User) -> Amendment:
    """Undo: delete the vote that `by` cast a moment ago. Raises TooLate once it counts."""
    head = law.lock_head()
    siblings = lock_siblings(amendment)
    row = among(siblings, amendment) or Amendment.objects.get(pk=amendment.pk)
    reviews = policies.in_the_air(row.reviews.filter(reviewer=by))
    votes = policies.in_the_air(row.board_votes.filter(member=by))
    policies.check_can_take_back(row, [*reviews, *votes])
    Review.objects.filter(pk__in=[review.pk for review in reviews]).delete()
    BoardVote.objects.filter(pk__in=[vote.pk for vote in votes]).delete()
    tell_readers(row)
    record("review taken back" if reviews else "board vote taken back", row, by=by)
    take_effect(row, head=head, siblings=siblings)  # what others said may have waited for this one
    return row


def _cast(row: Amendment, *, by: User, seen_digest: str, verdict: Verdict, reason: str) -> Review:
    """The vote of `by` on the content they saw. The same again is the vote that they cast before."""
    if row.digest != seen_digest:
        raise ContentMoved
    said = {"verdict": verdict, "reason": reason}
    if same := row.reviews.filter(reviewer=by, digest=row.digest, **said).first():
        return same
    settles_at = counts_from(row)
    review, _ = Review.objects.update_or_create(
        amendment=row,
        reviewer=by,
        digest=row.digest,
        defaults={**said, "settles_at": settles_at},
        create_defaults={**said, "settles_at": settles_at, "score_shown": was_shown(row, by)},
    )
    return review
