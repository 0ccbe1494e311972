"""What can go wrong here. The text of each refusal is a sentence for the person who was refused."""

from constitution.errors import Refused


class LeaseLost(Exception):
    """The job was taken from this process (lease lapsed, or a person aborted it): stop, and write nothing more."""


class StageFailed(Exception):
    """A stage of a round ended with an error; the text is its last words."""


class TooLittleData(Refused):
    """There is too little to train on or to measure with; the sentence says what is missing."""
