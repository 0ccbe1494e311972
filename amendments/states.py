"""The one table that says what can become of an amendment."""

from constitution.state_table import Move, StateTable

OPEN = "open"
CONFLICTED = "conflicted"
ACCEPTED = "accepted"
REJECTED = "rejected"
OBSOLETE = "obsolete"

AMENDMENT = StateTable(
    name="amendment",
    initial=OPEN,
    moves=(
        Move(OPEN, ACCEPTED, "reviewers", "amendment accepted"),
        Move(OPEN, REJECTED, "reviewers", "amendment rejected"),
        Move(OPEN, CONFLICTED, "reviewers", "amendment reviewed"),
        Move(OPEN, OBSOLETE, "system", "amendment obsolete"),
        Move(CONFLICTED, OPEN, "reviewers", "amendment edited"),
        Move(CONFLICTED, ACCEPTED, "reviewers", "amendment accepted"),
        Move(CONFLICTED, REJECTED, "reviewers", "amendment rejected"),
        Move(CONFLICTED, OBSOLETE, "system", "amendment obsolete"),
    ),
)
UNDECIDED = AMENDMENT.live
