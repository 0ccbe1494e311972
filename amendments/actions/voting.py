"""The verbs of reviewers: accept, reject, request changes, take a vote back; and what their votes come to.

A vote counts from its `settles_at` on. Until then the reviewer can take it back, and nothing is decided: not by the
other votes either, so that nobody's vote is passed over while it is in the air.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from amendments import notices, policies, previews, states
from amendments.actions.calibrating import follow
from amendments.actions.proposing import edit
from amendments.actions.publishing import clash, publish
from amendments.actions.records import close, lock, lock_siblings, move, present, record, still_undecided
from amendments.errors import ContentMoved
from amendments.models import Amendment, Phase, Review, Verdict
from amendments.operations import apply
from amendments.scores import was_shown
from amendments.visibility import phase
from config.health import has_broker
from config.live import publish as announce
from constitution import actions as law
from constitution.errors import Refused
from constitution.models import User, Version
from constitution.proofs import check_provable

# The most proposals that one sweep settles; the next one goes on.
SWEEP = 200


@transaction.atomic
def accept(*, amendment: Amendment, by: User, seen_digest: str) -> Amendment:
    """Approve the content that `by` has seen; where that satisfies the policy, the next version is published.

    Raises AlreadyDecided, ContentMoved, RoleMissing, OwnProposal or OutOfDate; then nothing was written.
    """
    _prove_ahead(amendment)
    head = law.lock_head()
    siblings = lock_siblings(amendment)
    row = still_undecided(siblings, amendment)
    policies.check_can_accept(row, by)
    review = _cast(row, by=by, seen_digest=seen_digest, verdict=Verdict.APPROVE, reason="")
    if head and not policies.has_settled(review):
        _check_publishable(row, head)
    _after(row, review, head=head, siblings=siblings)
    return row


@transaction.atomic
def edit_and_accept(*, amendment: Amendment, by: User, seen_digest: str, text: str, note: str = "") -> Amendment:
    """Reword and approve in one step: both happen, or neither."""
    _prove_ahead(amendment)
    law.lock_head()
    lock_siblings(amendment)  # before the edit writes to the ledger, in the order in which everybody locks
    edited = edit(amendment=amendment, by=by, seen_digest=seen_digest, text=text, note=note)
    return accept(amendment=edited, by=by, seen_digest=edited.digest)


@transaction.atomic
def reject(*, amendment: Amendment, by: User, seen_digest: str, reason: str) -> Amendment:
    """Turn the content that `by` has seen down, with a reason for its proposer. Publishes nothing."""
    policies.check_says_why(reason)
    row = lock(amendment)
    policies.check_can_review(row, by)
    _after(row, _cast(row, by=by, seen_digest=seen_digest, verdict=Verdict.REJECT, reason=reason))
    return row


@transaction.atomic
def request_changes(*, amendment: Amendment, by: User, seen_digest: str, reason: str) -> Amendment:
    """Ask for another wording, with what to change: it is the proposer's turn until the text is edited."""
    policies.check_says_why(reason)
    row = lock(amendment)
    policies.check_can_request_changes(row, by)
    _after(row, _cast(row, by=by, seen_digest=seen_digest, verdict=Verdict.CHANGES, reason=reason))
    return row


@transaction.atomic
def take_back(*, amendment: Amendment, by: User) -> Amendment:
    """Undo: delete the vote that `by` cast a moment ago. Raises TooLate once it counts."""
    head = law.lock_head()
    siblings = lock_siblings(amendment)
    row = _among(siblings, amendment) or Amendment.objects.get(pk=amendment.pk)
    votes = policies.in_the_air(row.reviews.filter(reviewer=by))
    policies.check_can_take_back(row, votes)
    row.reviews.filter(pk__in=[vote.pk for vote in votes]).delete()
    _tell_readers(row)
    record("review taken back", row, by=by)
    _take_effect(row, head=head, siblings=siblings)  # what others said may have waited for this one
    return row


def settle(amendment: Amendment) -> Amendment:
    """Let the votes that nobody can take back any more take effect. Whoever calls it, and however often."""
    row = Amendment.objects.get(pk=amendment.pk)
    if row.is_known:
        return follow(row)
    if (state := _due(row)) != row.state:
        if state == states.ACCEPTED:
            _prove_ahead(row)
        with transaction.atomic():
            head = law.lock_head()
            siblings = lock_siblings(row)
            if found := _among(siblings, row):
                _take_effect(found, head=head, siblings=siblings)
        row = found or Amendment.objects.get(pk=row.pk)
    with transaction.atomic():
        if Amendment.objects.filter(pk=row.pk, votes_due_at__lte=timezone.now()).update(votes_due_at=None):
            row = Amendment.objects.get(pk=row.pk)
            notices.unveil(row)  # all reviews may be in, whatever they come to
            _tell_readers(row)
    return row


def settle_due() -> int:
    """Settle the proposals whose votes can no longer be taken back, up to SWEEP of them; how many those were."""
    due = Amendment.objects.undecided().filter(votes_due_at__lte=timezone.now()).order_by("votes_due_at", "pk")
    found = list(due[:SWEEP])
    for amendment in found:
        settle(amendment)
    return len(found)


def _among(rows: Sequence[Amendment], amendment: Amendment) -> Amendment | None:
    return next((row for row in rows if row.pk == amendment.pk), None)


def _cast(row: Amendment, *, by: User, seen_digest: str, verdict: Verdict, reason: str) -> Review:
    """The vote of `by` on the content they saw. The same again is the vote that they cast before."""
    if row.digest != seen_digest:
        raise ContentMoved
    said = {"verdict": verdict, "reason": reason}
    if same := row.reviews.filter(reviewer=by, digest=row.digest, **said).first():
        return same
    settles_at = timezone.now() + timedelta(seconds=settings.UNDO_SECONDS)
    review, _ = Review.objects.update_or_create(
        amendment=row,
        reviewer=by,
        digest=row.digest,
        defaults={**said, "settles_at": settles_at},
        create_defaults={**said, "settles_at": settles_at, "score_shown": was_shown(row, by)},
    )
    if settings.UNDO_SECONDS:
        row.votes_due_at = settles_at
        row.save(update_fields=["votes_due_at"])
    return review


def _after(row: Amendment, review: Review, *, head: Version | None = None, siblings: Sequence[Amendment] = ()) -> None:
    """What follows a vote: its effect, where it counts at once; else the entry, and a worker that is woken in time."""
    if policies.has_settled(review) and _due(row) != row.state:
        _move_on(row, _due(row), head=head, siblings=siblings)
        return
    _tell_readers(row)
    record("amendment reviewed", row, by=review.reviewer)
    if row.is_known and policies.has_settled(review):
        follow(row)
    if not policies.has_settled(review):
        transaction.on_commit(partial(_wake, row.pk), robust=True)


def _tell_readers(row: Amendment) -> None:
    """Have open pages fetch themselves again. Before all reviews are in, even that would tell of a vote."""
    if phase(row) == Phase.CONSOLIDATION:
        announce(f"amendment:{row.pk}")


def _due(row: Amendment) -> str:
    rule = policies.rule_for(row.tier)
    is_measured = rule.needs_preview and previews.is_measured(row)
    return policies.due(row, row.reviews.filter(digest=row.digest), rule, is_measured=is_measured)


def _take_effect(row: Amendment, *, head: Version | None, siblings: Sequence[Amendment]) -> None:
    """Move `row` to where its votes lead. What can no longer be published waits for somebody to settle its text."""
    if (state := _due(row)) == row.state:
        return
    try:
        with transaction.atomic():
            _move_on(row, state, head=head, siblings=siblings)
    except Refused as refused:
        row.refresh_from_db()
        assert head is not None  # noqa: S101  an amendment has a base, so there is a head
        clash(row, head, why=str(refused))


def _move_on(row: Amendment, state: str, *, head: Version | None, siblings: Sequence[Amendment]) -> None:
    """Decide, or say that people disagree, ask for changes, or no longer do. The last voter did it."""
    last = max(policies.counted(row.reviews.select_related("reviewer"), row.digest), key=_cast_at, default=None)
    if row.state == states.CHANGES_REQUESTED and state != states.REJECTED:
        _stand(row, states.OPEN)
    if state == states.ACCEPTED and last:
        assert head is not None  # noqa: S101  an amendment has a base, so there is a head
        publish(row, head=head, siblings=siblings, by=last.reviewer)
    elif state == states.REJECTED and last:
        close(row, state, by=last.reviewer, reason=last.reason)
        announce("queue")
        record("amendment rejected", row, by=last.reviewer, detail={"reason": last.reason})
    else:
        if row.state != state:
            _stand(row, state)
        record("amendment reviewed", row, by=last.reviewer if last else "system", detail={"state": state})


def _stand(row: Amendment, state: str) -> None:
    move(row, state)
    row.save(update_fields=["state"])
    announce(f"amendment:{row.pk}")


def _cast_at(review: Review) -> tuple[float, int]:
    return review.at.timestamp(), review.pk


def _check_publishable(row: Amendment, head: Version) -> None:
    """Whoever approves hears at once what would be in the way of a version, not when the vote takes effect."""
    texts = head.texts()
    check_provable(apply(present(row), texts), proved=texts)


def _prove_ahead(row: Amendment) -> None:
    """Prove before the lock for which all decisions queue: what was proved once is not proved again under it."""
    if head := Version.objects.head():
        with suppress(Refused):  # which is said in its turn, after all that is checked before
            _check_publishable(row, head)


def _wake(pk: int) -> None:
    """Have a worker settle it in time. Without a broker the next sweep does, or the page of whoever voted."""
    if has_broker(settings.BROKER_URL):
        from config.celery import app

        app.send_task("amendments.tasks.settle", args=[pk], countdown=settings.UNDO_SECONDS + 0.1, retry=False)
