"""The forms with which people decide: which are open, what was written in them, and what keeps a person from each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from amendments import board, policies, states
from amendments.models import Amendment, BoardVerdict, BoardVote
from amendments.scores import without_score
from amendments.views.words import BOARD_REASONS, CHANGE_REASONS, DEFER_REASONS, REASONS, assignee_label
from amendments.visibility import visible_board_votes
from config.http import number_in
from constitution.diffs import Segment, redline
from constitution.errors import Refused
from constitution.models import LedgerEntry, Role, User
from constitution.people import PersonRequest
from constitution.texts import CLAUSE_LIMIT

if TYPE_CHECKING:
    from amendments.views.proposal import Standing

NEIGHBOURS_OFFERED = 8
DAYS_OFFERED = 7


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a person tried and was refused, so that nothing they wrote is lost."""

    action: str = ""
    error: str = ""
    clash: str = ""
    seen_digest: str = ""
    text: str = ""
    reason: str = ""
    note: str = ""
    until: str = ""
    of: str = ""
    status: int = 200
    rights: list[str] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)


def decision(request: PersonRequest, amendment: Amendment, view: "Standing", attempt: Attempt) -> dict[str, Any]:
    """The context of `amendments/decision.html`."""
    draft = _draft(request, amendment)
    refusals = _refusals(amendment, request.user)
    return {
        "refusals": refusals,
        "error": attempt.error,
        "clash": _clash(view, attempt),
        "edit_open": attempt.action == "edit" or draft is not None,
        "edit_text": attempt.text or draft or view.after,
        "edit_note": attempt.note if attempt.action == "edit" else "",
        "text_limit": CLAUSE_LIMIT,
        "panels": [
            _panel("changes", "c", amendment, attempt, refusals, CHANGE_REASONS),
            _panel("reject", "r", amendment, attempt, refusals, REASONS),
            _panel("defer", "d", amendment, attempt, refusals, DEFER_REASONS),
            _panel("duplicate", "m", amendment, attempt, refusals),
            *_referring(amendment, attempt, refusals),
        ],
        "deferral": _deferral(amendment),
        "others": _others(amendment),
        "board": _board(amendment, request.user, attempt),
        "assigning": _assigning(amendment, request.user, refusals),
        **_days(attempt),
    }


def refusal(check: Callable[[], None]) -> str:
    """The sentence on a disabled button: the same function that guards the action says it."""
    try:
        check()
    except Refused as refused:
        return str(refused)
    return ""


def _refusals(amendment: Amendment, by: User) -> dict[str, str]:
    review = refusal(lambda: policies.check_can_review(amendment, by))
    return {
        "accept": refusal(lambda: policies.check_can_accept(amendment, by)),
        "edit": review,
        "save": refusal(lambda: policies.check_can_edit(amendment, by)),
        "reject": review,
        "changes": refusal(lambda: policies.check_can_request_changes(amendment, by)),
        "defer": refusal(lambda: policies.check_can_defer(amendment, by)),
        "duplicate": review,
        "refer": refusal(lambda: policies.check_can_review(amendment, by)),
        "assign": refusal(lambda: policies.check_can_assign(amendment, by, to=None)),
    }


def _panel(
    verb: str,
    key: str,
    amendment: Amendment,
    attempt: Attempt,
    refusals: dict[str, str],
    reasons: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    is_tried = attempt.action == verb
    return {
        "verb": verb,
        "key": key,
        "url": reverse(f"amendments:amendment-{verb}", args=[amendment.pk]),
        "refusal": refusals[verb],
        "reasons": reasons,
        "is_open": is_tried,
        "reason": attempt.reason if is_tried else "",
        "note": attempt.note if is_tried else "",
    }


def _deferral(amendment: Amendment) -> dict[str, Any] | None:
    """Until when it is put off, by whom and why; None where it is not."""
    if not amendment.is_undecided or not policies.is_deferred(amendment):
        return None
    said = LedgerEntry.objects.filter(subject=f"amendment:{amendment.pk}", action="amendment deferred")
    entry = said.order_by("-number").first()
    return {
        "until": amendment.deferred_until,
        "by": entry.actor_name if entry else "",
        "reason": entry.detail.get("reason", "") if entry else "",
    }


def _referring(amendment: Amendment, attempt: Attempt, refusals: dict[str, str]) -> list[dict[str, Any]]:
    """The form that sends it to the board; none where it is there."""
    if board.is_asked(amendment, policies.rule_for(amendment.tier)):
        return []
    return [_panel("refer", "b", amendment, attempt, refusals, BOARD_REASONS)]


def _board(amendment: Amendment, viewer: User, attempt: Attempt) -> dict[str, Any] | None:
    """Who sent it to the advisory board and why, what of its votes the viewer may read, and their own form to vote;
    None where the board is not asked.
    """
    if not board.is_asked(amendment, policies.rule_for(amendment.tier)):
        return None
    entry = None
    if amendment.referred_at:
        said = LedgerEntry.objects.filter(subject=f"amendment:{amendment.pk}", action="amendment sent to the board")
        entry = said.order_by("-number").first()
    votes = visible_board_votes(amendment, viewer)
    own = next((vote for vote in votes if vote.member == viewer and vote.digest == amendment.digest), None)
    is_tried = attempt.action == "board-vote"
    return {
        "sent_by": entry.actor_name if entry else "",
        "sent_at": amendment.referred_at,
        "reason": entry.detail.get("reason", "") if entry else "",
        "may_recall": not refusal(lambda: policies.check_can_recall(amendment, viewer)),
        "is_member": viewer.has_role(Role.BOARD),
        "refusal": refusal(lambda: policies.check_can_vote_on_board(amendment, viewer)),
        "verdicts": BoardVerdict.choices,
        "verdict": attempt.reason if is_tried else own.verdict if own else "",
        "note": attempt.note if is_tried else own.reason if own else "",
        "is_open": is_tried,
        "has_voted": own is not None,
        "votes": [_board_vote(amendment, vote) for vote in votes],
    }


def _board_vote(amendment: Amendment, vote: BoardVote) -> dict[str, Any]:
    return {
        "by": str(vote.member),
        "verdict_label": vote.get_verdict_display(),
        "at": vote.at,
        "note": vote.reason,
        "is_of_earlier": vote.digest != amendment.digest,
    }


def _others(amendment: Amendment) -> list[dict[str, Any]]:
    """What this one may be a duplicate of: the newest on the same clauses."""
    if not amendment.is_undecided:
        return []
    standing = Amendment.objects.filter(Q(decided_at=None) | Q(state=states.ACCEPTED))
    rows = standing.filter(touches__overlap=amendment.touches).exclude(pk=amendment.pk).order_by("-pk")
    return [{"pk": row.pk, "rationale": without_score(row.rationale)} for row in rows[:NEIGHBOURS_OFFERED]]


def _assigning(amendment: Amendment, viewer: User, refusals: dict[str, str]) -> dict[str, Any]:
    """Who has it, and to whom it can be given: the viewer first."""
    may = not refusals["assign"]
    reviewers = User.objects.filter(is_active=True, roles__contains=[Role.REVIEWER]).exclude(
        pk=amendment.author_id or 0
    )
    people = sorted(reviewers, key=lambda person: (person.pk != viewer.pk, str(person).casefold())) if may else []
    return {
        "to": {"pk": amendment.assignee_id, "name": assignee_label(amendment)},
        "may": may,
        "people": [{"pk": person.pk, "name": str(person), "is_you": person.pk == viewer.pk} for person in people],
    }


def _days(attempt: Attempt) -> dict[str, str]:
    today = timezone.localdate()
    return {
        "until": attempt.until or (today + timedelta(days=DAYS_OFFERED)).isoformat(),
        "until_first": (today + timedelta(days=1)).isoformat(),
        "until_last": (today + timedelta(days=policies.LONGEST_DEFERRAL)).isoformat(),
        "duplicate_number": attempt.of,
    }


def _draft(request: PersonRequest, amendment: Amendment) -> str | None:
    """The alternative that the person asked to start from, if there is one of that number."""
    index = number_in(request.GET.get("draft", ""))
    if index is None or index >= len(amendment.alternatives):
        return None
    text: str = amendment.alternatives[index]["text"]
    return text


def _clash(view: "Standing", attempt: Attempt) -> dict[str, Any] | None:
    if not attempt.clash:
        return None
    moved: list[Segment] = redline(view.text_with_digest(attempt.seen_digest), view.after)
    return {
        "sentence": attempt.clash,
        "action": attempt.action,
        "text": attempt.text,
        "note": attempt.note,
        "redline": moved,
    }
