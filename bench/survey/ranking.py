"""The queue that readings give: which requests become edge cases, their clusters, and the order of these.

As the worker files them into an empty version: what a reading shows from 0.5 on, what stands out in the deeper look by
a signal that was kept, and decided examples that contradict each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import TypeVar

from amendments.joining import agglomerate
from amendments.opposed import opposed
from amendments.pressing import Weight
from bench.survey.material import Request
from bench.survey.reading import Found
from constitution.texts import ClauseText
from training.deeper import READ_BEFORE
from training.engine.sentences import sentence_model
from training.engine.signal_checks import Check, check, standing_out
from training.engine.signals import CONFLICT, SIGNALS
from training.findings import LEAST_SIGNAL

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Case:
    """A request that a signal shows as not settled, under its most applicable clause."""

    found: Found
    signal: str
    score: float

    @property
    def prompt(self) -> str:
        return self.found.request.prompt

    @property
    def digest(self) -> str:
        """Its request's."""
        return self.found.request.digest

    @property
    def principle(self) -> str:
        return self.found.principles[0]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A cluster of cases of one cause; strongest first."""

    principle: str
    signal: str
    cases: tuple[Case, ...]
    weight: Weight

    @property
    def longest(self) -> int:
        """The length of its longest request."""
        return max(len(case.prompt) for case in self.cases)


@dataclass(frozen=True)
class Cards:
    """What is known of each signal, and its values on settled requests."""

    checks: Mapping[str, Check]
    calm: Mapping[str, tuple[float, ...]]

    @property
    def dropped(self) -> dict[str, str]:
        """The signals that were dropped, with the reason."""
        return {signal: found.reason for signal, found in self.checks.items() if not found.is_kept}


def cards(settled: Sequence[Found], hard: Sequence[Found]) -> Cards:
    """Each signal measured on settled against hard requests, of those for which it means anything."""
    values = {signal: (_values(settled, signal), _values(hard, signal)) for signal in SIGNALS}
    return Cards(
        {signal: check(calm, tense) for signal, (calm, tense) in values.items()},
        {signal: tuple(v for v in calm if v is not None) for signal, (calm, _) in values.items()},
    )


def cases(found: Sequence[Found], known: Cards) -> list[Case]:
    """The edge cases that the worker files of these readings."""
    shown = [Case(one, signal, score) for one in found for signal, score in one.read.items() if score >= LEAST_SIGNAL]
    for signal, card in known.checks.items():
        if not card.is_kept or signal in READ_BEFORE:
            continue
        scored = [(one, value) for one in found if one.principles and (value := one.looked.get(signal)) is not None]
        flags = standing_out([value for _, value in scored], known.calm[signal])
        shown += [Case(one, signal, value) for (one, value), flag in zip(scored, flags, strict=True) if flag]
    return shown


def contradictions(law: Sequence[ClauseText]) -> list[Case]:
    """The edge cases that rules file of decided examples alone."""
    return [
        Case(
            Found(
                Request(one.request, "harmful", one.declined_by), (one.declined_by, one.helped_by), one.answer, {}, {}
            ),
            CONFLICT,
            1.0,
        )
        for one in opposed(law)
    ]


def queue(shown: Sequence[Case], tiers: Mapping[str, int], before: Sequence[Case] = ()) -> list[Ranked]:
    """The clusters, most pressing first. `before` are cases of an earlier version: what was one then is no news."""
    known = {(case.prompt, case.signal) for case in before}
    ranked = []
    for principle, signal in sorted({(case.principle, case.signal) for case in shown}):
        alike = [case for case in shown if (case.principle, case.signal) == (principle, signal)]
        for part in agglomerate(sentence_model().directions([case.prompt for case in alike])):
            members = sorted((alike[i] for i in part), key=lambda case: (-case.score, case.prompt))
            seen = sum((case.prompt, case.signal) in known for case in members)
            weight = Weight(tiers[principle], tuple(case.score for case in members), seen)
            ranked.append(Ranked(principle, signal, tuple(members), weight))
    return sorted(ranked, key=lambda one: (-one.weight.priority, one.principle, one.signal, one.cases[0].prompt))


def place(ordered: Sequence[One], is_wanted: Callable[[One], bool]) -> int | None:
    """The place of the first that is wanted, from 1; None where there is none."""
    return next((number for number, one in enumerate(ordered, 1) if is_wanted(one)), None)


def by_chance(total: int, wanted: int, budget: int) -> float:
    """The probability that a random order has at least one wanted among the first `budget` of `total`."""
    if not wanted:
        return 0.0
    taken = min(budget, total)
    return 1 - comb(total - wanted, taken) / comb(total, taken)


def by_signal(found: Sequence[Found], signal: str, known: Cards) -> list[Found]:
    """Requests by one signal alone, in spreads of the settled ones, highest first."""
    scored = [(value, one) for one in found if (value := one.looked.get(signal)) is not None]
    card = known.checks[signal]
    return [one for _, one in sorted(scored, key=lambda pair: (-card.standardised(pair[0]), pair[1].request.prompt))]


def _values(found: Sequence[Found], signal: str) -> list[float | None]:
    return [one.looked[signal] for one in found if signal in one.looked]
