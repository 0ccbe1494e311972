"""What can be refused here. The text of each error is a sentence for the person who was refused."""


class Refused(Exception):
    """Something that may not happen, with the sentence that says why and what to do."""

    status = 409


class NotAllowed(Refused):
    """The person's role does not permit it."""

    status = 403


class IllegalMove(Refused):
    """A state machine has no such move."""


class BaseMoved(Refused):
    """The head is no longer the version that the change was written against."""


class BadFile(Refused):
    """A file that cannot be loaded; the sentence names the place."""

    status = 400


class LedgerBroken(Refused):
    """The ledger's chain does not hold; the sentence names the first entry that fails."""
