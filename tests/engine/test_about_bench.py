"""How requests are told apart, on directions made up for it."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import about
from bench.survey.material import twins


def by_principle(texts: Sequence[str]) -> NDArray[np.float32]:
    """Directions that know the principle of every twin, and of other texts nothing."""
    known = {one.prompt: one.settled_by for one in twins()}
    names = sorted(set(known.values()))
    rows = np.full((len(texts), len(names) + 1), 1e-3, dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        row[names.index(known[text]) if text in known else -1] = 1.0
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_directions_that_know_the_principle_tell_all_of_one_clause() -> None:
    pairs = [one.pair for one in twins() if one.label == "benign"][:3]
    decided = [(f"Other {n}?", n == 0, "X") for n in range(6)]
    found = about.measure(by_principle, decided, dict.fromkeys(pairs, "In other words."))
    assert found["two harmful requests of one clause, against two of others"]["value"] == 1.0
    assert found["called the same: its look-alike"]["value"] == 1.0, "a pair has one principle"
    assert found["called the same: the request in other words"]["value"] == 0.0


def test_auc_counts_ties_half() -> None:
    assert about.auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx(0.875)


def test_what_was_declined_around_a_request_weighs_by_how_near_it_is() -> None:
    known = np.eye(6, dtype=np.float32)
    row = np.array([[0.8, 0.6, 0, 0, 0, 0]], dtype=np.float32)
    assert about.declined_around(row, known, [True, *[False] * 5])[0] == pytest.approx(0.8 / 1.4, abs=1e-4)
