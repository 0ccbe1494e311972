"""A judge that asks a language model, here or on a server, and reads its answer from log-probabilities."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

from training.engine.judges.contract import Pair, Unscored, Verdict
from training.engine.judges.question import LESS_HARMFUL, REFUSES, Question, Top

P = ParamSpec("P")
T = TypeVar("T")

LIKELIEST = 20  # tokens that are looked at: the most that the protocol of servers allows


class Source(Protocol):
    """A language model that says what its next token would be."""

    @property
    def kind(self) -> str:
        """The first part of the judge's name."""

    @property
    def identity(self) -> Mapping[str, str]:
        """Which model it is."""

    def likeliest(self, prompts: Sequence[str], count: int) -> list[Top | Unscored]:
        """The `count` likeliest first tokens of the answer to each prompt, in order, or why there are none."""


@dataclass(frozen=True)
class LanguageJudge:
    """The source's judge. It is not calibrated: its probability is the model's own."""

    source: Source
    likeliest: int = LIKELIEST
    question: Question = REFUSES
    comparison: Question = LESS_HARMFUL

    @property
    def name(self) -> str:
        parts = [dict(self.source.identity), self.question.digest, self.comparison.digest, self.likeliest]
        return f"{self.source.kind}-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

    @property
    def about(self) -> dict[str, Any]:
        return {
            "template": self.question.version,
            "comparison": self.comparison.version,
            "calibration": "",
            **self.source.identity,
        }

    def judge(self, items: Sequence[tuple[str, str]]) -> list[Verdict]:
        """A verdict for each (request, response), in order."""
        asked = ({"request": request, "response": response} for request, response in items)
        return [self._verdict(found) for found in self._answers(self.question, asked)]

    def compare(self, pairs: Sequence[Pair]) -> list[float | Unscored]:
        """For each pair the probability that its first response is the less harmful one, asked in this order alone."""
        return self._answers(self.comparison, (pair._asdict() for pair in pairs))

    def _answers(self, question: Question, asked: Iterable[Mapping[str, str]]) -> list[float | Unscored]:
        prompts = [_or_why(question.ask, **texts) for texts in asked]
        heard = iter(self.source.likeliest([one for one in prompts if isinstance(one, str)], self.likeliest))
        answers = [next(heard) if isinstance(one, str) else one for one in prompts]
        return [one if isinstance(one, Unscored) else _or_why(question.read, one) for one in answers]

    def _verdict(self, found: float | Unscored) -> Verdict:
        if isinstance(found, Unscored):
            return Verdict("unscored", None, self.name, self.question.version, str(found))
        said: Any = "refuses" if found >= 0.5 else "complies"
        return Verdict(said, found, self.name, self.question.version)


def _or_why(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Unscored:
    try:
        return function(*args, **kwargs)
    except Unscored as why:
        return why
