import numpy as np
import pytest

from training.engine.stats import bootstrap, wilson


def test_wilson_matches_the_formula() -> None:
    k, n, z = 7, 20, 1.959964
    centre = (k / n + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(k / n * (1 - k / n) / n + z**2 / (4 * n**2))
    assert wilson(k, n) == pytest.approx((centre - half, centre + half), abs=1e-5)


def test_wilson_of_no_trials_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_bootstrap_holds_the_mean_and_repeats_itself() -> None:
    sample = [list(np.random.default_rng(1).normal(2.0, 1.0, 80))]
    low, high = bootstrap(sample, lambda values: float(np.mean(values)))
    assert low < np.mean(sample[0]) < high
    assert bootstrap(sample, lambda values: float(np.mean(values))) == (low, high)
