"""What can be refused when the law is changed. The text of each error is a sentence for the person."""

from amendments.models import Amendment
from amendments.states import OUTCOMES
from constitution.errors import NotAllowed, Refused


class RoleMissing(NotAllowed):
    """Only reviewers decide."""


class OwnProposal(NotAllowed):
    """Nobody decides on what they proposed."""


class AlreadyDecided(Refused):
    """Somebody was faster. Says who, when and what came of it."""

    def __init__(self, amendment: Amendment) -> None:
        by = f" by {amendment.decided_by}" if amendment.decided_by else ","
        when = f"{amendment.decided_at:%H:%M} UTC on {amendment.decided_at:%-d %B}"
        result = f"it is {amendment.version} now" if amendment.version_id else "nothing was published"
        super().__init__(f"This proposal was {OUTCOMES[amendment.state]}{by} at {when}; {result}.")


class WasKnown(Refused):
    """Who knows what is right about a known item decides on it no more."""


class CoversNothing(WasKnown):
    """A known item is named as what covers another proposal."""


class ContentMoved(Refused):
    """The text was edited after the person loaded it: a vote would have gone to words they have not seen."""

    def __init__(self) -> None:
        super().__init__(
            "This proposal was edited after you opened it, so nothing was decided. Read what it says now, then decide."
        )


class TooLate(Refused):
    """A vote that counts is not taken back."""


class NothingToChange(Refused):
    """The edited text is the one that the constitution already has."""


class HeldBack(Refused):
    """Nothing new of this producer is filed just now."""


class InQuarantine(HeldBack):
    """People have put the producer in quarantine: nothing new of it is filed."""


class QuotaReached(HeldBack):
    """The producer has as many proposals open as it may: people have to decide on some first."""
