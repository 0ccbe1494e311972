"""Rates corrected for their judge's errors, as training/corrected_rates.html takes them."""

from collections.abc import Sequence
from typing import Any

from training import corrections
from training.models import Arm, Evaluation
from training.rates import Corrected
from training.views import words

ARM_LABELS = dict(Arm.choices)


def context(evaluations: Sequence[Evaluation]) -> dict[str, Any] | None:
    """Each rate corrected, in percent, and how often its judge errs; None without a card."""
    found = corrections.of(evaluations)
    if found is None:
        return None
    rows = [
        {
            "measure": words.MEASURE_LABELS[row.measure],
            "arm": ARM_LABELS[Arm(row.arm)],
            "rate": 100 * row.k / row.n,
            "n": row.n,
            **_in_percent(part),
        }
        for row, part in found.rows
    ]
    return {"rows": rows, "judges": found.judges}


def _in_percent(found: Corrected) -> dict[str, Any]:
    parts = {"value": found.value, "low": found.low, "high": found.high}
    return {"reason": found.reason} | {name: None if part is None else 100 * part for name, part in parts.items()}
