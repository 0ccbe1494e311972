"""Rates corrected for how often a judge errs, as its cards know it.

In the lowest room, beside no model library: pages show these numbers, and no page reaches the engine.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
# Where sensitivity + specificity - 1 is smaller, the judge hardly tells the two kinds apart, and dividing by it makes
# noise large.
LEAST_SKILL = 0.1
MOST_UNSKILLED = 0.05


class Count(NamedTuple):
    """k of n."""

    k: int
    n: int


@dataclass(frozen=True, slots=True)
class Corrected:
    """A corrected rate and its 95 % interval; None with the reason where the judge's errors leave it open."""

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""


def corrected(found: Count, *, sensitivity: Count, specificity: Count, seed: int = 0) -> Corrected:
    """The share that a judge without errors would find, (p + Sp - 1) / (Se + Sp - 1), between 0 and 1.

    `found`: what the judge found among those that it scored. `sensitivity`: of those that people found, how many it
    finds; `specificity`: of the others, how many it leaves. The interval comes from a bootstrap over the items and
    over both labelled sets at once. A labelled set without an error does not prove that there are none, so each is
    resampled as if half an item more of either kind had been seen.
    """
    if not (found.n and sensitivity.n and specificity.n):
        return Corrected(None, None, None, "nothing to correct, or no labelled answers of both kinds")
    share, se, sp = (count.k / count.n for count in (found, sensitivity, specificity))
    if se + sp - 1 < LEAST_SKILL:
        return Corrected(None, None, None, "the judge hardly tells the two kinds apart")
    chance = np.random.default_rng(seed)
    drawn, drawn_se, drawn_sp = (_resampled(count, chance) for count in (found, sensitivity, specificity))
    skill = drawn_se + drawn_sp - 1
    usable = skill >= LEAST_SKILL
    if float(np.mean(~usable)) > MOST_UNSKILLED:
        return Corrected(None, None, None, "the judge's errors are known too roughly")
    low, high = np.percentile((drawn + drawn_sp - 1)[usable] / skill[usable], [2.5, 97.5])
    if high < 0 or low > 1:
        # 0 % (0 to 0) would be a certainty that comes from a contradiction.
        return Corrected(None, None, None, "the judge must err otherwise here than on the labelled answers")
    value, low, high = (min(1.0, max(0.0, float(one))) for one in ((share + sp - 1) / (se + sp - 1), low, high))
    return Corrected(value, min(low, value), max(high, value))


def _resampled(count: Count, chance: np.random.Generator) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return chance.binomial(count.n, (count.k + 0.5) / (count.n + 1), RESAMPLES) / count.n
