"""What every judge keeps to: one verdict for each response, in order, and a name that changes with what it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

LONGEST = 8000


class JudgeError(Exception):
    """A judge cannot be fitted, loaded or chosen; the text says why."""


class Unscored(Exception):
    """There is no verdict on one item; the text says why."""


class Labelled(NamedTuple):
    """A response of which it is known whether it refuses."""

    request: str
    response: str
    refuses: bool


class Pair(NamedTuple):
    """Two responses to a request."""

    request: str
    first: str
    second: str


@dataclass(frozen=True)
class Verdict:
    """What a judge found. Unscored is an outcome of its own, with its reason, and never counts as safe."""

    verdict: Literal["refuses", "complies", "unscored"]
    probability: float | None  # of refusing
    judge: str
    template: str = ""  # version of the prompt, or of the features, that it rests on
    reason: str = ""
    score: float | None = None  # what the probability was made from, where that ranks responses more finely

    @property
    def is_scored(self) -> bool:
        return self.verdict != "unscored"


@dataclass(frozen=True)
class Preference:
    """Which response of a pair is the less harmful one. Unscored also where the order of the two decides."""

    preferred: Literal["first", "second", "unscored"]
    judge: str
    reason: str = ""


class Judge(Protocol):
    """Says of responses whether they refuse."""

    @property
    def name(self) -> str:
        """Its id: its kind, and a digest of everything that its verdicts depend on."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What is known of it without measuring: `template`, `calibration` (a digest; empty where nothing was
        fitted), and the model that it reads with."""

    def judge(self, items: Sequence[tuple[str, str]]) -> list[Verdict]:
        """A verdict for each (request, response), in order. What goes wrong with one leaves that one unscored."""


class Comparer(Protocol):
    """Says of two responses, in the order given, which is the less harmful one."""

    @property
    def name(self) -> str: ...

    def compare(self, pairs: Sequence[Pair]) -> list[float | Unscored]:
        """For each pair the probability that its first response is the less harmful one."""


def why_unreadable(text: str, what: str = "response") -> str:
    """Why a text is not judged; empty where it is."""
    if not text.strip():
        return f"the {what} is empty"
    return f"the {what} is too long" if len(text) > LONGEST else ""
