"""What votes come to, of reviewers and of the advisory board: nothing while one can be taken back, then their effect.

A vote counts from its `settles_at` on. Until then whoever cast it can take it back, and nothing is decided: not by the
other votes either, so that nobody's vote is passed over while it is in the air.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from amendments import board, notices, policies, previews, states
from amendments.actions.calibrating import follow
from amendments.actions.publishing import clash, publish
from amendments.actions.records import close, lock_siblings, move, present, record
from amendments.models import Amendment, BoardVerdict, BoardVote, Phase, Review
from amendments.operations import apply
from amendments.visibility import phase
from config.health import has_broker
from config.live import publish as announce
from constitution import actions as law
from constitution.errors import Refused
from constitution.models import User, Version
from constitution.proofs import check_provable

log = structlog.get_logger(__name__)

# The most proposals that one sweep settles; the next one goes on.
SWEEP = 200


def settle(amendment: Amendment) -> Amendment:
    """Let the votes that nobody can take back any more take effect. Whoever calls it, and however often."""
    row = Amendment.objects.get(pk=amendment.pk)
    if row.is_known:
        return follow(row)
    if (state := due(row)) != row.state:
        if state == states.ACCEPTED:
            prove_ahead(row)
        with transaction.atomic():
            head = law.lock_head()
            siblings = lock_siblings(row)
            if found := among(siblings, row):
                take_effect(found, head=head, siblings=siblings)
        row = found or Amendment.objects.get(pk=row.pk)
    with transaction.atomic():
        if Amendment.objects.filter(pk=row.pk, votes_due_at__lte=timezone.now()).update(votes_due_at=None):
            row = Amendment.objects.get(pk=row.pk)
            notices.unveil(row)  # all reviews may be in, whatever they come to
            tell_readers(row)
    return row


def settle_due() -> int:
    """Settle the proposals whose votes can no longer be taken back, up to SWEEP of them; how many those were."""
    waiting = Amendment.objects.undecided().filter(votes_due_at__lte=timezone.now()).order_by("votes_due_at", "pk")
    found = list(waiting[:SWEEP])
    for amendment in found:
        try:
            settle(amendment)
        except Exception:
            # It comes first the next time as well, and the others wait for nobody's fault.
            log.exception("votes could not be settled", amendment=amendment.pk)
    return len(found)


def counts_from(row: Amendment) -> datetime:
    """From when on a vote that is cast now counts. `row` is kept in mind until then."""
    settles_at = timezone.now() + timedelta(seconds=settings.UNDO_SECONDS)
    if settings.UNDO_SECONDS:
        row.votes_due_at = settles_at
        row.save(update_fields=["votes_due_at"])
    return settles_at


def among(rows: Sequence[Amendment], amendment: Amendment) -> Amendment | None:
    return next((row for row in rows if row.pk == amendment.pk), None)


def after(
    row: Amendment, vote: Review | BoardVote, *, head: Version | None = None, siblings: Sequence[Amendment] = ()
) -> None:
    """What follows a vote: its effect, where it counts at once; else the entry, and a worker that is woken in time."""
    if policies.has_settled(vote) and due(row) != row.state:
        _move_on(row, due(row), head=head, siblings=siblings)
        return
    tell_readers(row)
    record("amendment reviewed" if isinstance(vote, Review) else "board voted", row, by=_voter(vote))
    if row.is_known and policies.has_settled(vote):
        follow(row)
    if not policies.has_settled(vote):
        transaction.on_commit(partial(_wake, row.pk), robust=True)


def tell_readers(row: Amendment) -> None:
    """Have open pages fetch themselves again. Before all reviews are in, even that would tell of a vote; a veto is
    everybody's to read.
    """
    vetoes = row.board_votes.filter(digest=row.digest, verdict=BoardVerdict.VETO)
    if phase(row) == Phase.CONSOLIDATION or vetoes.exists():
        announce(f"amendment:{row.pk}")


def due(row: Amendment) -> str:
    rule = policies.rule_for(row.tier)
    is_measured = rule.needs_preview and previews.is_measured(row)
    reviews = row.reviews.filter(digest=row.digest)
    return policies.due(row, reviews, rule, is_measured=is_measured, board=board.standing(row, rule))


def take_effect(row: Amendment, *, head: Version | None, siblings: Sequence[Amendment]) -> None:
    """Move `row` to where its votes lead. What can no longer be published waits for somebody to settle its text."""
    if (state := due(row)) == row.state:
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
    reviews = sorted(policies.counted(row.reviews.select_related("reviewer"), row.digest), key=_cast_at)
    vote = board.standing(row, policies.rule_for(row.tier))
    votes: list[Review | BoardVote] = [*reviews, *(vote.votes if vote else ())]
    last = max(votes, key=_cast_at, default=None)
    by = _voter(last) if last else None
    if row.state == states.CHANGES_REQUESTED and state != states.REJECTED:
        _stand(row, states.OPEN)
    if state == states.ACCEPTED and by:
        assert head is not None  # noqa: S101  an amendment has a base, so there is a head
        publish(row, head=head, siblings=siblings, by=by)
    elif state == states.REJECTED and vote and vote.outcome == board.Outcome.LOST:
        _reject(row, by=vote.votes[-1].member, reason=_why_lost(vote))
    elif state == states.REJECTED and reviews:
        _reject(row, by=reviews[-1].reviewer, reason=reviews[-1].reason)
    else:
        if row.state != state:
            _stand(row, state)
        record("amendment reviewed", row, by=by or "system", detail={"state": state})


def _reject(row: Amendment, *, by: User, reason: str) -> None:
    close(row, states.REJECTED, by=by, reason=reason)
    announce("queue")
    record("amendment rejected", row, by=by, detail={"reason": reason})


def _why_lost(vote: board.Board) -> str:
    """What the board says to whoever proposed it."""
    objections = (BoardVerdict.AGAINST, BoardVerdict.VETO)
    return " ".join(["The advisory board voted it down.", *(v.reason for v in vote.votes if v.verdict in objections)])


def _voter(vote: Review | BoardVote) -> User:
    return vote.reviewer if isinstance(vote, Review) else vote.member


def _cast_at(vote: Review | BoardVote) -> tuple[float, int]:
    return vote.at.timestamp(), vote.pk


def _stand(row: Amendment, state: str) -> None:
    move(row, state)
    row.save(update_fields=["state"])
    announce(f"amendment:{row.pk}")


def check_publishable(row: Amendment, head: Version) -> None:
    """Whoever approves hears at once what would be in the way of a version, not when the vote takes effect."""
    texts = head.texts()
    check_provable(apply(present(row), texts), proved=texts)


def prove_ahead(row: Amendment) -> None:
    """Prove before the lock for which all decisions queue: what was proved once is not proved again under it."""
    if head := Version.objects.head():
        with suppress(Refused):  # which is said in its turn, after all that is checked before
            check_publishable(row, head)


def _wake(pk: int) -> None:
    """Have a worker settle it in time. Without a broker the next sweep does, or the page of whoever voted."""
    if has_broker(settings.BROKER_URL):
        from config.celery import app

        app.send_task("amendments.tasks.settle", args=[pk], countdown=settings.UNDO_SECONDS + 0.1, retry=False)
