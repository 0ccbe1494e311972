"""The one table that says what can become of an amendment."""

from constitution.state_table import Move, StateTable

OPEN = "open"
CONFLICTED = "conflicted"
NEEDS_REBASE = "needs-rebase"
CHANGES_REQUESTED = "changes-requested"
ACCEPTED = "accepted"
REJECTED = "rejected"
WITHDRAWN = "withdrawn"
DUPLICATE = "duplicate"
OBSOLETE = "obsolete"

AMENDMENT = StateTable(
    name="amendment",
    initial=OPEN,
    moves=(
        Move(OPEN, ACCEPTED, "reviewers", "amendment accepted"),
        Move(OPEN, REJECTED, "reviewers", "amendment rejected"),
        Move(OPEN, CONFLICTED, "reviewers", "amendment reviewed"),
        Move(OPEN, CHANGES_REQUESTED, "reviewers", "amendment reviewed"),
        Move(OPEN, DUPLICATE, "reviewers", "amendment duplicate"),
        Move(OPEN, OBSOLETE, "system", "amendment obsolete"),
        Move(OPEN, NEEDS_REBASE, "system", "amendment clashed"),
        Move(OPEN, WITHDRAWN, "proposer", "amendment withdrawn"),
        Move(CONFLICTED, OPEN, "reviewers", "amendment edited"),
        Move(CONFLICTED, ACCEPTED, "reviewers", "amendment accepted"),
        Move(CONFLICTED, REJECTED, "reviewers", "amendment rejected"),
        Move(CONFLICTED, CHANGES_REQUESTED, "reviewers", "amendment reviewed"),
        Move(CONFLICTED, DUPLICATE, "reviewers", "amendment duplicate"),
        Move(CONFLICTED, OBSOLETE, "system", "amendment obsolete"),
        Move(CONFLICTED, NEEDS_REBASE, "system", "amendment clashed"),
        Move(CONFLICTED, WITHDRAWN, "proposer", "amendment withdrawn"),
        Move(CHANGES_REQUESTED, OPEN, "reviewers", "amendment edited"),
        Move(CHANGES_REQUESTED, REJECTED, "reviewers", "amendment rejected"),
        Move(CHANGES_REQUESTED, DUPLICATE, "reviewers", "amendment duplicate"),
        Move(CHANGES_REQUESTED, OBSOLETE, "system", "amendment obsolete"),
        Move(CHANGES_REQUESTED, NEEDS_REBASE, "system", "amendment clashed"),
        Move(CHANGES_REQUESTED, WITHDRAWN, "proposer", "amendment withdrawn"),
        Move(NEEDS_REBASE, OPEN, "reviewers", "amendment edited"),
        Move(NEEDS_REBASE, DUPLICATE, "reviewers", "amendment duplicate"),
        Move(NEEDS_REBASE, REJECTED, "reviewers", "amendment rejected"),
        Move(NEEDS_REBASE, WITHDRAWN, "proposer", "amendment withdrawn"),
    ),
)
UNDECIDED = AMENDMENT.live

# What became of a proposal, in words.
OUTCOMES = {
    ACCEPTED: "accepted",
    REJECTED: "rejected",
    WITHDRAWN: "withdrawn",
    DUPLICATE: "closed as a duplicate",
    OBSOLETE: "closed, because its clause changed",
}
