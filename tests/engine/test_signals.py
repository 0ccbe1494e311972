"""Signals from known probabilities, and what is made of them."""

from math import inf, nan

import pytest

from training.engine import signals
from training.engine.signal_checks import check, standing_out


def test_ambiguity_is_disagreement_and_not_indecision() -> None:
    assert signals.ambiguity([0.01, 0.99]) == pytest.approx(0.919, abs=1e-3)
    assert signals.ambiguity([0.5, 0.5, 0.5]) == pytest.approx(0)
    assert signals.ambiguity([0.0, 1.0]) == 1


def test_signal_of_something_unscored_is_unscored() -> None:
    assert signals.ambiguity([0.9]) is None
    assert signals.ambiguity([0.9, 0.1, None]) is None
    assert signals.conflict(0.9, None) is None
    assert signals.moved(0.9, [0.8, None]) is None
    assert signals.moved(None, [0.8]) is None
    assert signals.moved(0.9, []) is None
    assert signals.gap(None, 1.0) is None
    assert signals.precedent(0.9, []) is None
    assert signals.precedent(0.9, [(-0.2, True)]) is None


def test_conflict_needs_two_verdicts_that_differ() -> None:
    assert signals.conflict(0.95, 0.2) == pytest.approx(0.6)
    assert signals.conflict(0.95, 0.8) == 0


def test_gap_weighs_what_no_clause_covers_by_what_hangs_on_it() -> None:
    assert signals.gap(0.25, 0.8) == pytest.approx(0.6)
    assert signals.gap(1.0, 1.0) == 0


def test_flip_takes_a_breach_that_the_revision_does_not_mend() -> None:
    assert signals.flip(0.9, 0.1, [], is_same=False) == pytest.approx(0.09)
    assert signals.flip(0.9, 0.8, [], is_same=False) == pytest.approx(0.72)
    assert signals.flip(0.9, 0.1, [0.9], is_same=False) == pytest.approx(0.81), "it breaks the other clause"
    assert signals.flip(0.9, 0.1, [], is_same=True) == pytest.approx(0.9)
    assert signals.flip(0.0, 1.0, [1.0], is_same=True) == 0, "nothing was found in breach"
    assert signals.flip(None, 0.5, [], is_same=False) is None
    assert signals.flip(0.5, 0.5, [None], is_same=False) is None


def test_spread_needs_every_model_and_at_least_two() -> None:
    assert signals.spread([0.2, 0.9, 0.5]) == pytest.approx(0.7)
    assert signals.spread([0.2]) is None
    assert signals.spread([0.2, None]) is None


def test_moved_is_the_largest_of_the_moves() -> None:
    assert signals.moved(0.5, [0.6, 0.1]) == pytest.approx(0.4)


def test_precedent_weighs_neighbours_by_nearness() -> None:
    assert signals.precedent(1.0, [(0.9, False), (0.1, True)]) == pytest.approx(0.9)


def test_refusing_turns_a_margin_into_a_probability() -> None:
    assert signals.refusing(0.0) == 0.5
    assert signals.refusing(800.0) == 1
    assert signals.refusing(-800.0) == 0
    assert signals.refusing(inf) is None
    assert signals.refusing(nan) is None


def test_check_keeps_a_signal_that_tells_hard_from_settled() -> None:
    found = check([n / 100 for n in range(40)], [0.3 + n / 100 for n in range(40)])
    assert found.is_kept
    assert found.auc is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.auc < found.high
    assert (found.settled, found.hard, found.coverage) == (40, 40, 1)
    assert found.standardised(found.mean + 2 * found.spread) == pytest.approx(2)


def test_check_drops_noise_and_says_why() -> None:
    found = check([n / 40 for n in range(40)], [n / 40 for n in range(40)])
    assert not found.is_kept
    assert found.auc == pytest.approx(0.5)
    assert "AUC" in found.reason


def test_check_counts_what_is_unscored_against_the_coverage() -> None:
    found = check([0.1] * 20, [0.9] * 17 + [None] * 3)
    assert found.coverage == pytest.approx(37 / 40)
    assert "92%" in found.reason
    few = check([0.1] * 20, [0.9] * 3)
    assert few.auc is None
    assert "fewer than" in few.reason
    assert check([], []).coverage == 0


def test_standing_out_is_what_settled_cases_hardly_ever_reach() -> None:
    settled = [n / 100 for n in range(100)]
    assert standing_out([0.5, 2.0, 3.0, 0.1, 2.5], settled) == [False, True, True, False, True]
    assert standing_out([2.0], [0.0] * 3) == [False], "three settled cases allow no probability under a quarter"
    assert standing_out([], settled) == []


def test_all_alike_settled_cases_leave_only_the_sign() -> None:
    assert check([0.0] * 12, [0.4] * 12).standardised(0.3) == 1
