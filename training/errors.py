"""What can go wrong here. The text of each refusal is a sentence for the person who was refused."""

from collections.abc import Mapping

from constitution.errors import Refused


class LeaseLost(Exception):
    """The job was taken from this process (lease lapsed, or a person aborted it): stop, and write nothing more."""


class StageFailed(Exception):
    """A stage of a round ended with an error; the text is its last words."""


class TooLittleData(Refused):
    """There is too little to train on or to measure with; the sentence says what is missing."""


class BadSettings(Refused):
    """Settings that no round can have; `problems` says what is wrong by the name of the setting, "" for all of them."""

    status = 422

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


class RoundInTheWay(Refused):
    """No round can begin while `round_pk` is what it is."""

    def __init__(self, sentence: str, round_pk: int) -> None:
        super().__init__(sentence)
        self.round_pk = round_pk
