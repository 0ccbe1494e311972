import numpy as np
import pytest

from training.rates import Count, corrected


def test_corrected_rate_follows_the_formula() -> None:
    found = corrected(Count(300, 1000), sensitivity=Count(90, 100), specificity=Count(160, 200))
    assert found.value == pytest.approx((0.3 + 0.8 - 1) / (0.9 + 0.8 - 1))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.1 / 0.7 < found.high
    assert found == corrected(Count(300, 1000), sensitivity=Count(90, 100), specificity=Count(160, 200))


def test_rate_of_a_judge_that_never_errs_keeps_its_value_and_a_little_doubt() -> None:
    found = corrected(Count(30, 100), sensitivity=Count(50, 50), specificity=Count(50, 50))
    assert found.value == pytest.approx(0.3)
    assert found.low is not None
    assert found.low < 0.25


@pytest.mark.parametrize(("k", "value"), [(16, 0.0), (84, 1.0)])
def test_corrected_rate_stays_a_share(k: int, value: float) -> None:
    found = corrected(Count(k, 100), sensitivity=Count(80, 100), specificity=Count(80, 100))
    assert found.value == value
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= value <= found.high <= 1


@pytest.mark.parametrize(
    ("found", "sensitivity", "specificity", "why"),
    [
        (Count(3, 10), Count(50, 100), Count(50, 100), "hardly tells"),
        (Count(3, 10), Count(20, 100), Count(30, 100), "hardly tells"),
        (Count(3, 10), Count(6, 10), Count(6, 10), "too roughly"),
        (Count(0, 0), Count(9, 10), Count(9, 10), "nothing to correct"),
        (Count(3, 10), Count(0, 0), Count(9, 10), "no labelled answers"),
        (Count(1, 100), Count(80, 100), Count(80, 100), "must err otherwise here"),
        (Count(99, 100), Count(80, 100), Count(80, 100), "must err otherwise here"),
    ],
)
def test_rate_that_the_judges_errors_leave_open_is_none_with_the_reason(
    found: Count, sensitivity: Count, specificity: Count, why: str
) -> None:
    open_rate = corrected(found, sensitivity=sensitivity, specificity=specificity)
    assert (open_rate.value, open_rate.low, open_rate.high) == (None, None, None)
    assert why in open_rate.reason


@pytest.mark.parametrize("truth", [0.05, 0.3, 0.7])
def test_interval_holds_the_truth_about_as_often_as_it_says(truth: float) -> None:
    chance = np.random.default_rng(7)
    held = 0
    for trial in range(200):
        positives = chance.binomial(150, truth)
        k = chance.binomial(positives, 0.85) + chance.binomial(150 - positives, 0.1)
        found = corrected(
            Count(int(k), 150),
            sensitivity=Count(int(chance.binomial(80, 0.85)), 80),
            specificity=Count(int(chance.binomial(80, 0.9)), 80),
            seed=trial,
        )
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert held >= 182, "95 % less what chance takes in 200 trials"
