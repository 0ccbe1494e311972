"""States, signals and proposers as people read them."""

from amendments import states
from amendments.models import Amendment, EdgeCase, Signal

STATE_LABELS = {
    states.OPEN: "Open",
    states.CONFLICTED: "Reviewers disagree",
    states.NEEDS_REBASE: "Clashes with the head",
    states.ACCEPTED: "Accepted",
    states.REJECTED: "Rejected",
    states.WITHDRAWN: "Withdrawn",
    states.OBSOLETE: "Closed: its clause changed",
}
REASONS = (
    ("wrong", "The change would be wrong"),
    ("unclear", "The wording is unclear or broken"),
    ("evidence", "The evidence does not show what it claims"),
    ("duplicate", "Another proposal or clause covers it"),
    ("scope", "It reaches further than the cases it comes from"),
)


KINDS = {
    "add": "adds a clause",
    "revise": "rewords the clause",
    "repeal": "repeals the clause",
    "retier": "moves it to another tier",
    "rescope": "changes where it holds",
    "merge": "joins clauses into one",
    "split": "splits the clause",
    "add_example": "adds a decided example",
}


def kind_label(amendment: Amendment) -> str:
    """What the amendment does: "Rewords the clause and adds a decided example"."""
    *first, last = [KINDS[kind] for kind in amendment.kinds]
    sentence = f"{', '.join(first)} and {last}" if first else last
    return sentence[0].upper() + sentence[1:]


def proposer_label(amendment: Amendment) -> str:
    """The person's name, or the model and the start of its checkpoint's digest."""
    return str(amendment.proposer)


def score_words(case: EdgeCase) -> str:
    """The signal's strength as a sentence."""
    share = f"{case.score:.0%}"
    if case.signal == Signal.OVER_REFUSAL:
        return f"A harmless request that was declined; the judge is {share} sure that it was."
    return f"Two clauses lead to different answers; both sides are at least {share} decided."
