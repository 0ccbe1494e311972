"""Intervals for what is measured: shares, means and any statistic of a sample."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats


def wilson(k: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of the share k/n. Of no trials nothing is known: (0, 1)."""
    if n == 0:
        return 0.0, 1.0
    interval = stats.binomtest(k, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap(
    sample: Sequence[Sequence[float]],
    statistic: Callable[..., float],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of `statistic(*columns)`, the rows of equally long columns resampled together."""
    interval = stats.bootstrap(
        [np.asarray(column) for column in sample],
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)
