"""States, signals and proposers as people read them."""

from collections.abc import Sequence

from amendments import states
from amendments.models import Amendment, EdgeCase, Signal, Verdict
from amendments.previews import CASES, HELD_OUT, NEAR, OVER_REFUSAL, PRECEDENTS, RANDOM
from constitution.models import User

STATE_LABELS = {
    states.OPEN: "Open",
    states.CONFLICTED: "Reviewers disagree",
    states.NEEDS_REBASE: "Clashes with the head",
    states.CHANGES_REQUESTED: "Changes requested",
    states.ACCEPTED: "Accepted",
    states.REJECTED: "Rejected",
    states.WITHDRAWN: "Withdrawn",
    states.DUPLICATE: "Duplicate",
    states.OBSOLETE: "Closed: its clause changed",
}
KNOWN_CLOSED = "Closed: a known item"
REASONS = (
    ("wrong", "The change would be wrong"),
    ("unclear", "The wording is unclear or broken"),
    ("evidence", "The evidence does not show what it claims"),
    ("duplicate", "Another proposal or clause covers it"),
    ("scope", "It reaches further than the cases it comes from"),
)
# The parts of a preview, and what each is for.
PARTS = {
    CASES: ("The cases it was written for", "Whoever wrote it had these in view."),
    HELD_OUT: ("Further cases of the kind", "Kept back: whoever wrote it never saw them."),
    NEAR: ("Near misses", "They look alike and should be treated otherwise, so nothing should change."),
    PRECEDENTS: ("Decided examples and precedents", "What people settled before."),
    OVER_REFUSAL: ("Harmless requests", "None of them should be declined."),
    RANDOM: ("Drawn at random", "From all requests that nothing keeps back."),
}
CHANGE_REASONS = (
    ("wording", "The idea is right, the wording is not clear yet"),
    ("narrower", "It should reach only the cases it comes from"),
    ("example", "It needs a decided example"),
    ("evidence", "It needs more evidence, or better"),
)
BOARD_REASONS = (
    ("values", "It weighs values against each other that reviewers should not settle alone"),
    ("reach", "It reaches further than its tier says"),
    ("divided", "Reviewers keep disagreeing"),
)
DEFER_REASONS = (
    ("preview", "A measurement should come first"),
    ("other-proposal", "Another proposal has to be decided first"),
    ("people", "Somebody who is away should see it"),
)


SAID = {
    Verdict.APPROVE: "accepted it",
    Verdict.REJECT: "rejected it",
    Verdict.CHANGES: "asked for changes",
}
KINDS = {
    "add": "adds a clause",
    "revise": "rewords the clause",
    "repeal": "repeals the clause",
    "retier": "moves it to another tier",
    "rescope": "changes where it holds",
    "merge": "joins clauses into one",
    "split": "splits the clause",
    "add_example": "adds to the decided examples",
}


def kind_label(amendment: Amendment) -> str:
    """What the amendment does: "Rewords the clause and adds to the decided examples"."""
    *first, last = [KINDS[kind] for kind in amendment.kinds]
    sentence = f"{', '.join(first)} and {last}" if first else last
    return sentence[0].upper() + sentence[1:]


def proposer_label(amendment: Amendment) -> str:
    """The person's name, or the model and the start of its checkpoint's digest."""
    return str(amendment.proposer)


def assignee_label(amendment: Amendment) -> str:
    """Who has it, and that they cannot act on it where their account is closed; empty where nobody has it."""
    person = amendment.assignee
    if person is None:
        return ""
    return str(person) if person.is_active else f"{person}, whose account is closed"


def score_words(case: EdgeCase) -> str:
    """The signal's strength as a sentence."""
    if case.author_id:
        return "A person saw it and says why."
    share = f"{case.score:.0%}"
    if case.signal == Signal.OVER_REFUSAL:
        return f"A harmless request that was declined; the judge is {share} sure that it was."
    if case.signal == Signal.CONFLICT:
        return f"Two clauses lead to different answers; both sides are at least {share} decided."
    above = case.detail.get("above")
    if above is not None:
        return f"The signal is {share} strong, {above:.1f} spreads above plainly settled requests."
    return f"The signal is {share} strong."


def known_words(amendment: Amendment, person: User) -> dict[str, str]:
    """What a person is told of a known item once their vote on it counts: what is right, what they said, and why."""
    right = Verdict(amendment.known_verdict)
    vote = amendment.reviews.filter(reviewer=person, digest=amendment.known.digest).first()
    if vote is None:
        said = "You cast no vote on it as it was planted, so it does not count for you."
    elif vote.verdict == right:
        said = "So did you."
    else:
        said = f"You {SAID[Verdict(vote.verdict)]}."
    return {"sentence": f"Right is to {right.value} it. {said}", "why": amendment.known.reason}


def in_words(reasons: Sequence[tuple[str, str]], reason: str, note: str) -> str:
    """The reason that was chosen and what was written beside it, as one text; empty where there is neither."""
    return ". ".join(part for part in (dict(reasons).get(reason, ""), note) if part)


def outcome_sentence(amendment: Amendment) -> str:
    """What came of a vote that counts."""
    if amendment.version:
        return f"Accepted. Version {amendment.version.number} is in force, and a training round opens for it."
    sentences = {
        states.OPEN: "Your review is in. It takes effect when enough reviewers agree.",
        states.REJECTED: f"Rejected the proposal on {amendment.principle_id}. Nothing was published.",
        states.CONFLICTED: "Your review is in. The reviewers disagree: it stays open until one of them changes their"
        " review.",
        states.CHANGES_REQUESTED: f"Changes to the proposal on {amendment.principle_id} are requested. It waits for"
        " another wording.",
        states.NEEDS_REBASE: f"The constitution changed in the same place as proposal {amendment.pk}. It waits for"
        " another wording, on which you can vote again.",
    }
    closed = f"Proposal {amendment.pk} was closed meanwhile ({STATE_LABELS[amendment.state].lower()}): nothing came of"
    return sentences.get(amendment.state, f"{closed} the votes.")
