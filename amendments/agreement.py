"""How far people who read the same agree beyond chance: Krippendorff's alpha, with an interval.

What is counted comes as patterns: how many units had so many votes of each kind. So however many votes there are,
little is computed. krippendorff is loaded at the first question, not at the start of the web process.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# One row of counts, a number for each kind of vote, to how many units have it.
Patterns = Mapping[tuple[int, ...], int]

SEED, DRAWS = 20, 1000
FEWEST = 10


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alpha over `n` units with at least two votes, and its 95 % bootstrap interval over them; None where not told.

    `draws` of DRAWS resamples had an alpha: one in which all votes are the same has none.
    """

    n: int
    alpha: float | None = None
    low: float | None = None
    high: float | None = None
    draws: int = 0

    @property
    def is_too_few(self) -> bool:
        return self.n < FEWEST


def measure(patterns: Patterns) -> Agreement:
    """1 is perfect agreement, 0 what chance would give, below 0 is systematic disagreement."""
    pairable = {counts: units for counts, units in patterns.items() if sum(counts) > 1}
    n = sum(pairable.values())
    kinds_used = sum(any(counts[kind] for counts in pairable) for kind in range(len(next(iter(pairable), ()))))
    if n < FEWEST or kinds_used < 2:
        return Agreement(n)
    low, high, draws = _interval(pairable, n)
    return Agreement(n, _alpha(pairable), low, high, draws)


def _alpha(patterns: Patterns) -> float:
    import krippendorff

    counts = np.repeat([*patterns], [*patterns.values()], axis=0)
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))


def _interval(patterns: Patterns, n: int) -> tuple[float, float, int]:
    """Percentiles over resamples of the units, and how many of these had an alpha.

    All draws at once: for nominal votes alpha is 1 - observed / expected disagreement, both sums over patterns.
    """
    counts = np.array([*patterns], dtype=float)
    votes = counts.sum(axis=1)
    weights = np.array([*patterns.values()], dtype=float) / n
    drawn = np.random.default_rng(SEED).multinomial(n, weights, size=DRAWS).astype(float)
    observed = drawn @ ((votes**2 - (counts**2).sum(axis=1)) / (votes - 1))
    totals = drawn @ counts
    cast = totals.sum(axis=1)
    expected = (cast**2 - (totals**2).sum(axis=1)) / (cast - 1)
    told = expected > 0
    low, high = np.percentile(1 - observed[told] / expected[told], [2.5, 97.5])
    return float(low), float(high), int(told.sum())
