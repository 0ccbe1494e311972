"""Who may decide what: one set of functions, asked by pages, commands and workers alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amendments import states
from amendments.errors import AlreadyDecided, OwnProposal, RoleMissing
from amendments.models import AcceptanceRule, Amendment, Review, Verdict
from constitution.errors import NotAllowed, Refused
from constitution.models import Role, Tier, User

# In force for a tier whose rule nobody has stored.
DEFAULTS = {
    Tier.UNIVERSAL: AcceptanceRule(tier=Tier.UNIVERSAL, reviewers=2, needs_preview=True, needs_board=True),
    Tier.CONTEXTUAL: AcceptanceRule(tier=Tier.CONTEXTUAL, reviewers=2),
    Tier.STYLE: AcceptanceRule(tier=Tier.STYLE, reviewers=1),
}
NUMBERS = {1: "One reviewer", 2: "Two independent reviewers", 3: "Three independent reviewers"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that acceptance needs, as a sentence, and whether it is there."""

    sentence: str
    satisfied: bool


def rule_for(tier: int) -> AcceptanceRule:
    """The stored rule for a tier, or the default."""
    return AcceptanceRule.objects.filter(tier=tier).first() or DEFAULTS[Tier(tier)]


def check_can_review(amendment: Amendment, by: User) -> None:
    """Raise the typed refusal where `by` may not decide on `amendment` now."""
    if not by.has_role(Role.REVIEWER):
        raise RoleMissing("Only reviewers decide on proposals. An operator can give you the role.")
    if not amendment.is_undecided:
        raise AlreadyDecided(amendment)
    if amendment.author_id == by.pk:
        raise OwnProposal("You proposed this, so somebody else has to decide on it.")


def check_can_accept(amendment: Amendment, by: User) -> None:
    """As `check_can_review`; and a clash with the head is settled before anybody approves."""
    check_can_review(amendment, by)
    if amendment.state == states.NEEDS_REBASE:
        raise Refused(
            "The constitution changed in the same place. Edit the text to settle that, then it can be accepted."
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


def check_may_propose(by: User) -> None:
    """Reviewers, the board and researchers propose; who only operates or oversees does not write the law."""
    if not by.has_role(Role.REVIEWER, Role.BOARD, Role.RESEARCHER):
        raise RoleMissing("Reviewers, board members and researchers propose. An operator can give you such a role.")


def check_may_propose_on(tier: int, *, is_machine: bool) -> None:
    """Machines never propose on a universal clause; a person may."""
    if is_machine and tier == Tier.UNIVERSAL:
        raise NotAllowed("A machine does not propose changes to universal clauses; a person can take the finding up.")


def counted(reviews: Iterable[Review], digest: str) -> list[Review]:
    """The reviews that count: those of exactly the present content."""
    return [review for review in reviews if review.digest == digest]


def missing(rule: AcceptanceRule) -> list[str]:
    """What the rule asks for beside reviewers and this installation cannot give yet."""
    wanted = {"a finished impact preview": rule.needs_preview, "a vote of the advisory board": rule.needs_board}
    return [name for name, needed in wanted.items() if needed]


def outcome(rule: AcceptanceRule, verdicts: Sequence[str]) -> str:
    """The state that the counted `verdicts` lead to. Silence is never consent: too few leave it open."""
    if len(verdicts) < rule.reviewers:
        return states.OPEN
    if len(set(verdicts)) > 1:
        return states.CONFLICTED
    if verdicts[0] == Verdict.REJECT:
        return states.REJECTED
    return states.OPEN if missing(rule) else states.ACCEPTED


def requirements(amendment: Amendment, rule: AcceptanceRule, reviews: Iterable[Review]) -> list[Requirement]:
    """What is needed for acceptance, in words. It counts nobody's vote aloud before the decision."""
    who = NUMBERS.get(rule.reviewers, f"{rule.reviewers} independent reviewers")
    verb = "approves" if rule.reviewers == 1 else "approve"
    approvals = [review for review in counted(reviews, amendment.digest) if review.verdict == Verdict.APPROVE]
    done = not amendment.is_undecided and len(approvals) >= rule.reviewers
    found = [Requirement(f"{who} {verb} this exact text.", done)]
    found += [Requirement(f"It needs {name}, which is not part of this release.", False) for name in missing(rule)]
    return found
