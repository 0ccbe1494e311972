"""Who may decide what: one set of functions, asked by pages, commands and workers alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from django.utils import timezone

from amendments import states
from amendments.board import Board, Outcome, is_asked
from amendments.errors import AlreadyDecided, CoversNothing, OwnProposal, RoleMissing, TooLate, WasKnown
from amendments.models import (
    AcceptanceRule,
    Amendment,
    BoardVerdict,
    BoardVote,
    Notice,
    NoticeKind,
    Review,
    Verdict,
)
from constitution.errors import NotAllowed, Refused
from constitution.models import Role, Tier, User
from constitution.texts import written

# In force for a tier whose rule nobody has stored.
DEFAULTS = {
    Tier.UNIVERSAL: AcceptanceRule(tier=Tier.UNIVERSAL, reviewers=2, needs_preview=True, needs_board=True),
    Tier.CONTEXTUAL: AcceptanceRule(tier=Tier.CONTEXTUAL, reviewers=2),
    Tier.STYLE: AcceptanceRule(tier=Tier.STYLE, reviewers=1),
}
LONGEST_DEFERRAL = 365  # days
RECALL = timedelta(minutes=10)  # within which whoever sent a proposal to the board can take that back
Vote = TypeVar("Vote", bound=Review | BoardVote)
NUMBERS = {1: "One reviewer", 2: "Two independent reviewers", 3: "Three independent reviewers"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that acceptance needs, as a sentence, whether it is there, and what to know about it."""

    sentence: str
    satisfied: bool
    detail: str = ""


def rule_for(tier: int) -> AcceptanceRule:
    """The stored rule for a tier, or the default."""
    return AcceptanceRule.objects.filter(tier=tier).first() or DEFAULTS[Tier(tier)]


def tiers_before_board() -> list[int]:
    """The tiers whose changes the board always votes on."""
    stored = dict(AcceptanceRule.objects.order_by("tier").values_list("tier", "needs_board"))
    return [tier for tier, rule in DEFAULTS.items() if stored.get(tier, rule.needs_board)]


def check_is_reviewer(by: User) -> None:
    if not by.has_role(Role.REVIEWER):
        raise RoleMissing("Only reviewers decide on proposals. An operator can give you the role.")


def check_says_why(reason: str) -> str:
    """The reason as it is kept; none is refused, and so is one with hidden characters."""
    if found := written(reason):
        return found
    raise Refused("Say why: whoever proposed it learns from the reason.")


def check_can_review(amendment: Amendment, by: User) -> None:
    """Raise the typed refusal where `by` may not decide on `amendment` now."""
    check_is_reviewer(by)
    if not amendment.is_undecided:
        raise AlreadyDecided(amendment)
    if amendment.author_id == by.pk:
        raise OwnProposal("You proposed this, so somebody else has to decide on it.")
    if by.has_role(Role.BOARD) and amendment.board_votes.filter(member=by, digest=amendment.digest).exists():
        raise NotAllowed("You voted on this as a member of the advisory board, so others review it.")
    check_is_not_told(amendment, by)


def check_is_not_told(amendment: Amendment, by: User) -> None:
    """Who was told that it is a known item does nothing to it that others would see."""
    if is_told(amendment, by):
        raise WasKnown("This was a known item, and you have been told so. Others decide on it without knowing.")


def is_told(amendment: Amendment, person: User) -> bool:
    """Whether `amendment` is a known item and `person` has been told: from the moment on that their vote counts."""
    if not amendment.is_known:
        return False
    voted = amendment.reviews.filter(reviewer=person, settles_at__lte=timezone.now())
    told = Notice.objects.filter(amendment=amendment, recipient=person, kind=NoticeKind.DECIDED)
    return voted.exists() or told.exists()


def check_can_accept(amendment: Amendment, by: User) -> None:
    """As `check_can_review`; and a clash with the head is settled before anybody approves."""
    check_can_review(amendment, by)
    if amendment.state == states.NEEDS_REBASE:
        raise Refused(
            "The constitution changed in the same place. Edit the text to settle that, then it can be accepted."
        )


def check_can_request_changes(amendment: Amendment, by: User) -> None:
    """As `check_can_review`; where the text clashes with the head, its turn to be edited has come already."""
    check_can_review(amendment, by)
    if amendment.state == states.NEEDS_REBASE:
        raise Refused("The constitution changed in the same place, so this waits for another wording already.")


def check_can_defer(amendment: Amendment, by: User) -> None:
    """Whoever may decide may also put off deciding."""
    check_can_review(amendment, by)


def check_can_defer_until(until: date) -> None:
    days = (until - timezone.localdate()).days
    if not 1 <= days <= LONGEST_DEFERRAL:
        raise Refused(f"Choose a day from tomorrow on, at most {LONGEST_DEFERRAL} days ahead.")


def check_can_refer(amendment: Amendment, by: User, *, board: int) -> None:
    """Whoever may decide may have the advisory board vote. `board`: how many of it could."""
    check_can_review(amendment, by)
    rule = rule_for(amendment.tier)
    if is_asked(amendment, rule):
        raise Refused("It is before the advisory board already.")
    if board < rule.quorum:
        raise Refused(f"{_too_few(board, rule)} Nothing was sent.")


def check_can_recall(amendment: Amendment, by: User) -> None:
    """What was sent to the board by mistake can be taken back for some minutes; later its vote decides."""
    check_is_reviewer(by)
    if not amendment.is_undecided:
        raise AlreadyDecided(amendment)
    if amendment.referred_at is None:
        raise Refused("No reviewer sent it to the advisory board.")
    if amendment.referred_by_id != by.pk:
        raise NotAllowed(f"{amendment.referred_by} sent it to the advisory board; now the board's vote decides.")
    if timezone.now() > amendment.referred_at + RECALL:
        raise TooLate("You sent it to the advisory board more than ten minutes ago; now the board's vote decides.")


def check_is_voter(by: User) -> None:
    if not by.has_role(Role.REVIEWER, Role.BOARD):
        raise RoleMissing("Only reviewers and the advisory board vote. An operator can give you such a role.")


def check_is_on_board(by: User) -> None:
    if not by.has_role(Role.BOARD):
        raise RoleMissing("Only members of the advisory board vote here. An operator can give you the role.")


def check_can_vote_on_board(amendment: Amendment, by: User, *, verdict: str = "") -> None:
    """Members vote on what is before the board, unless they proposed or reviewed it."""
    check_is_on_board(by)
    if not amendment.is_undecided:
        raise AlreadyDecided(amendment)
    if not is_asked(amendment, rule_for(amendment.tier)):
        raise Refused("This is not before the advisory board. A reviewer can send it there.")
    if amendment.author_id == by.pk:
        raise OwnProposal("You proposed this, so the other members vote on it.")
    if amendment.reviews.filter(reviewer=by, digest=amendment.digest).exists():
        raise NotAllowed("You reviewed this, so the other members vote on it.")
    check_is_not_told(amendment, by)
    if verdict == BoardVerdict.FOR and amendment.state == states.NEEDS_REBASE:
        raise Refused("The constitution changed in the same place. Once the text settles that, you can vote for it.")


def check_can_mark_duplicate(amendment: Amendment, by: User, *, of: Amendment) -> None:
    """The other one must be able to stand for both: so nothing is a duplicate of itself, nor of a duplicate."""
    check_can_review(amendment, by)
    if of.pk == amendment.pk:
        raise Refused("A proposal is no duplicate of itself. Give the number of the other one.")
    if of.state == states.DUPLICATE:
        raise Refused(f"Proposal {of.pk} is itself a duplicate, of proposal {of.duplicate_of_id}. Name that one.")
    if not of.is_undecided and of.state != states.ACCEPTED:
        raise Refused(f"Proposal {of.pk} was closed without being accepted, so it covers nothing.")
    if of.is_known:
        raise CoversNothing(
            f"Proposal {of.pk} was a known item, planted to measure the desk, so it covers nothing. Nothing was closed;"
            " and as you know it now, you do not vote on it."
        )


def check_can_assign(amendment: Amendment, by: User, *, to: User | None) -> None:
    """Reviewers hand an open proposal to somebody who may decide on it."""
    check_is_reviewer(by)
    if not amendment.is_undecided:
        raise AlreadyDecided(amendment)
    if to and not to.has_role(Role.REVIEWER):
        raise Refused(f"{to} is no reviewer, so they could not decide on it.")
    if to and amendment.author_id == to.pk:
        raise Refused(f"{to} proposed this, so somebody else has to decide on it.")
    check_is_not_told(amendment, by)


def check_can_take_back(amendment: Amendment, votes: Sequence[Review | BoardVote]) -> None:
    """`votes` are those of the person that can still be taken back. Raises TooLate where there are none."""
    if not amendment.is_undecided:
        raise TooLate("This is decided, and it stays in the history. To change the text again, propose an amendment.")
    if not votes:
        raise TooLate(
            "That vote counts by now. While the proposal is open you can vote otherwise; once it is decided, propose an"
            " amendment."
        )


def check_can_edit(amendment: Amendment, by: User) -> None:
    """Reviewers may reword a proposal, and so may whoever proposed it."""
    if amendment.author_id != by.pk:
        check_can_review(amendment, by)
    elif not amendment.is_undecided:
        raise AlreadyDecided(amendment)


def check_can_withdraw(amendment: Amendment, by: User) -> None:
    """A person takes back what they proposed, until it is decided."""
    if amendment.author_id != by.pk:
        raise NotAllowed("Only who proposed this can withdraw it. You can reject it, with a reason.")
    if not amendment.is_undecided:
        raise AlreadyDecided(amendment)


def check_can_plant(by: User) -> None:
    """Those plant known items who watch over the desk, read each reviewer's measure, and decide on nothing by it."""
    if not by.has_role(Role.OVERSEER):
        raise RoleMissing("Only overseers plant known items. An operator can give you the role.")


def may_read_measures(by: User) -> bool:
    """Whether `by` reads how far every reviewer agrees with known items; everybody reads their own."""
    return by.has_role(Role.OVERSEER)


def may_list_known(by: User) -> bool:
    """Whether `by` may see which proposals are known items: who also decides on them may not."""
    return by.has_role(Role.OVERSEER) and not by.has_role(Role.REVIEWER)


def check_may_propose(by: User) -> None:
    """Reviewers, the board and researchers propose; who only operates or oversees does not write the law."""
    if not by.has_role(Role.REVIEWER, Role.BOARD, Role.RESEARCHER):
        raise RoleMissing("Reviewers, board members and researchers propose. An operator can give you such a role.")


def check_may_propose_on(tier: int, *, is_machine: bool) -> None:
    """Machines never propose on a universal clause; a person may."""
    if is_machine and tier == Tier.UNIVERSAL:
        raise NotAllowed("A machine does not propose changes to universal clauses; a person can take the finding up.")


def has_settled(vote: Review | BoardVote) -> bool:
    """Whether a vote counts: before that, whoever cast it can take it back."""
    return vote.settles_at <= timezone.now()


def counted(reviews: Iterable[Review], digest: str) -> list[Review]:
    """The reviews that count: those of exactly the present content that nobody can take back any more."""
    return [review for review in reviews if review.digest == digest and has_settled(review)]


def in_the_air(votes: Iterable[Vote]) -> list[Vote]:
    """The votes that can still be taken back."""
    return [vote for vote in votes if not has_settled(vote)]


def is_deferred(amendment: Amendment) -> bool:
    """Whether it was put off, and the day has not come."""
    return amendment.deferred_until is not None and amendment.deferred_until > timezone.now()


def missing(rule: AcceptanceRule, *, is_measured: bool = False, board: Board | None = None) -> list[str]:
    """What acceptance takes beside reviewers and is not there. `is_measured`: whether there is a finished impact
    preview of exactly the content that it is about. `board`: the vote on it, where the board is asked.
    """
    has_carried = board is not None and board.outcome == Outcome.CARRIED
    wanted = {
        "a finished impact preview": rule.needs_preview and not is_measured,
        "a vote of the advisory board": (rule.needs_board or board is not None) and not has_carried,
    }
    return [name for name, needed in wanted.items() if needed]


def outcome(
    rule: AcceptanceRule, verdicts: Sequence[str], *, is_measured: bool = False, board: Board | None = None
) -> str:
    """The state that the counted `verdicts` lead to. Silence is never consent: too few leave it open.

    No number of approvals overrides one request for changes; enough rejections end what nobody approves. Where the
    board is asked, what it votes down is rejected, and its vote settles what reviewers disagree on.
    """
    voted = board.outcome if board else Outcome.UNDER_WAY
    if voted == Outcome.LOST or (Verdict.APPROVE not in verdicts and verdicts.count(Verdict.REJECT) >= rule.reviewers):
        return states.REJECTED
    if Verdict.CHANGES in verdicts:
        return states.CHANGES_REQUESTED
    if len(verdicts) < rule.reviewers:
        return states.OPEN
    if len(set(verdicts)) > 1 and voted != Outcome.CARRIED:
        return states.CONFLICTED
    return states.OPEN if missing(rule, is_measured=is_measured, board=board) else states.ACCEPTED


def due(
    amendment: Amendment,
    reviews: Iterable[Review],
    rule: AcceptanceRule,
    *,
    is_measured: bool = False,
    board: Board | None = None,
) -> str:
    """The state that `amendment` should be in by its votes; the one it is in where nothing changes.

    While one of them can be taken back nothing changes: no vote is passed over because another was earlier. What people
    say of a known item never leads anywhere.
    """
    present = [review for review in reviews if review.digest == amendment.digest]
    if not amendment.is_undecided or amendment.is_known or in_the_air(present):
        return amendment.state
    if board and in_the_air(board.votes):
        return amendment.state
    result = outcome(rule, [review.verdict for review in present], is_measured=is_measured, board=board)
    if amendment.state == states.NEEDS_REBASE and result != states.REJECTED:
        return amendment.state
    return result


def requirements(
    amendment: Amendment,
    rule: AcceptanceRule,
    reviews: Iterable[Review],
    *,
    preview: Requirement | None,
    board: Requirement | None,
) -> list[Requirement]:
    """What is needed for acceptance, in words. It counts nobody's vote aloud before the decision.

    `preview` is what is to be said of the measured effect, None where the rule does not ask for it, and `board` of the
    advisory board, None where it is not asked.
    """
    who = NUMBERS.get(rule.reviewers, f"{rule.reviewers} independent reviewers")
    verb = "approves" if rule.reviewers == 1 else "approve"
    approvals = [review for review in counted(reviews, amendment.digest) if review.verdict == Verdict.APPROVE]
    done = not (amendment.is_undecided or amendment.is_known) and len(approvals) >= rule.reviewers
    return [
        Requirement(f"{who} {verb} this exact text.", done),
        *([preview] if preview else []),
        *([board] if board else []),
    ]


def board_requirement(
    amendment: Amendment, rule: AcceptanceRule, vetoes: Iterable[BoardVote], *, appointed: int
) -> Requirement:
    """What the board has to do, and what stands in the way as far as everybody may know: a veto, or too few members.

    `appointed`: how many of it could vote, as `board.appointed` has it, so that no review shows in the number.
    """
    who = "member of the advisory board is" if rule.quorum == 1 else "members of the advisory board are"
    sentence = f"{rule.quorum} {who} present, two thirds of those for or against are for it, and no veto stands."
    if not amendment.is_undecided:
        return Requirement(sentence, amendment.state == states.ACCEPTED)
    found = [f"{vote.member} vetoes it: {vote.reason}" for vote in vetoes]
    found += [_too_few(appointed, rule)] if appointed < rule.quorum else []
    return Requirement(sentence, False, " ".join(found))


def _too_few(appointed: int, rule: AcceptanceRule) -> str:
    there = "Nobody is" if not appointed else f"Only {appointed} {'is' if appointed == 1 else 'are'}"
    return (
        f"{there} on the advisory board and could vote; it takes {rule.quorum}. An operator can give people the role."
    )
