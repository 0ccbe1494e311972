"""Which signals are worth anything: each is measured on cases that are plainly settled against cases known to be hard.

A signal that does not tell the two apart is dropped, with its figures. What is left is compared with the settled
cases, and of all that stands out so many are kept that about a tenth of them may be chance (Benjamini and Hochberg).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, rankdata

from training.engine.stats import bootstrap

LEAST_AUC = 0.6
LEAST_COVERAGE = 0.95
FEWEST = 10  # of either kind; of fewer an area says nothing
FALSE_SHARE = 0.1

Values = Sequence[float | None]


@dataclass(frozen=True)
class Check:
    """What is known of one signal. `settled` and `hard` are the numbers of scored cases; `reason` says why it was
    dropped, and is empty where it was kept. `mean` and `spread` are those of the settled cases."""

    auc: float | None
    low: float | None
    high: float | None
    settled: int
    hard: int
    coverage: float
    mean: float
    spread: float
    reason: str

    @property
    def is_kept(self) -> bool:
        return not self.reason

    def standardised(self, value: float) -> float:
        """In spreads of the settled cases from their mean; where these are all the same, only the sign is known."""
        distance = value - self.mean
        return distance / self.spread if self.spread else float(np.sign(distance))


def check(settled: Values, hard: Values) -> Check:
    """Measure a signal on its values over settled and over hard cases; None is unscored."""
    calm, tense = [v for v in settled if v is not None], [v for v in hard if v is not None]
    asked = len(settled) + len(hard)
    coverage = (len(calm) + len(tense)) / asked if asked else 0.0
    mean, spread = (float(np.mean(calm)), float(np.std(calm))) if calm else (0.0, 0.0)
    auc = low = high = None
    if min(len(calm), len(tense)) >= FEWEST:
        truth, values = [0.0] * len(calm) + [1.0] * len(tense), [*calm, *tense]
        auc = _area(np.array(truth), np.array(values))
        low, high = bootstrap([truth, values], _area)
    return Check(auc, low, high, len(calm), len(tense), coverage, mean, spread, _reason(auc, coverage))


def standing_out(values: Sequence[float], settled: Sequence[float], *, share: float = FALSE_SHARE) -> list[bool]:
    """Which values are beyond what settled cases show, with about `share` of them false.

    The probability of a value is the share of settled cases that reach it, itself counted in: no shape is assumed, and
    so few settled cases allow no small probability.
    """
    if not values:
        return []
    calm = np.sort(np.asarray(settled, dtype=np.float64))
    reached = len(calm) - np.searchsorted(calm, np.asarray(values, dtype=np.float64), side="left")
    adjusted = false_discovery_control((1 + reached) / (1 + len(calm)), method="bh")
    return [bool(p <= share) for p in adjusted]


def _reason(auc: float | None, coverage: float) -> str:
    if coverage < LEAST_COVERAGE:
        return f"Only {coverage:.0%} of the cases could be scored, and {LEAST_COVERAGE:.0%} are needed."
    if auc is None:
        return f"There are fewer than {FEWEST} settled or hard cases to measure it on."
    if auc < LEAST_AUC:
        return f"It does not tell hard cases from settled ones: its AUC is under {LEAST_AUC}."
    return ""


def _area(truth: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """The share of pairs in which the hard case has the larger value, ties counting half."""
    hard = int(truth.sum())
    pairs = hard * (len(truth) - hard)
    return float((rankdata(values)[truth == 1].sum() - hard * (hard + 1) / 2) / pairs) if pairs else 0.5
