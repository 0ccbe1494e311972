"""The advisory board: reviewers send a proposal to it, and its members vote."""

from django.db import transaction
from django.utils import timezone

from amendments import board, policies
from amendments.actions.records import lock, lock_siblings, record, still_undecided
from amendments.actions.settling import after, check_publishable, counts_from, prove_ahead
from amendments.errors import ContentMoved
from amendments.models import Amendment, BoardVerdict, BoardVote
from config.live import publish as announce
from constitution import actions as law
from constitution.errors import Refused
from constitution.models import User
from constitution.texts import written

OBJECTIONS = {BoardVerdict.AGAINST, BoardVerdict.VETO}


@transaction.atomic
def refer(*, amendment: Amendment, by: User, reason: str) -> Amendment:
    """Send `amendment` to the advisory board: from now on it takes its vote, beside the reviewers', to accept it."""
    reason = policies.check_says_why(reason)
    row = lock(amendment)
    policies.check_can_refer(row, by, board=board.appointed(row).count())
    row.referred_at, row.referred_by = timezone.now(), by
    _save(row)
    record("amendment sent to the board", row, by=by, detail={"reason": reason})
    return row


@transaction.atomic
def recall(*, amendment: Amendment, by: User) -> Amendment:
    """Take back from the board what `by` sent there some minutes ago."""
    row = lock(amendment)
    policies.check_can_recall(row, by)
    row.referred_at = row.referred_by = None
    _save(row)
    record("amendment taken back from the board", row, by=by)
    return row


@transaction.atomic
def vote(*, amendment: Amendment, by: User, seen_digest: str, verdict: str, reason: str = "") -> Amendment:
    """Vote, as a member of the board, on the content that `by` has seen; where that is what was missing, the next
    version is published. The same again is the vote that was cast before.

    Raises AlreadyDecided, ContentMoved, RoleMissing or OwnProposal; then nothing was written.
    """
    if verdict not in BoardVerdict.values:
        raise Refused("Choose how you vote.")
    reason = policies.check_says_why(reason) if verdict in OBJECTIONS else written(reason)
    prove_ahead(amendment)
    head = law.lock_head()
    siblings = lock_siblings(amendment)
    row = still_undecided(siblings, amendment)
    policies.check_can_vote_on_board(row, by, verdict=verdict)
    cast = _cast(row, by=by, seen_digest=seen_digest, verdict=verdict, reason=reason)
    if head and verdict == BoardVerdict.FOR and not policies.has_settled(cast):
        check_publishable(row, head)
    after(row, cast, head=head, siblings=siblings)
    return row


def _cast(row: Amendment, *, by: User, seen_digest: str, verdict: str, reason: str) -> BoardVote:
    if row.digest != seen_digest:
        raise ContentMoved
    said = {"verdict": verdict, "reason": reason}
    if same := row.board_votes.filter(member=by, digest=row.digest, **said).first():
        return same
    cast, _ = BoardVote.objects.update_or_create(
        amendment=row, member=by, digest=row.digest, defaults={**said, "settles_at": counts_from(row)}
    )
    return cast


def _save(row: Amendment) -> None:
    row.save(update_fields=["referred_at", "referred_by"])
    announce("queue")
    announce(f"amendment:{row.pk}")
