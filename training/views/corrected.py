"""The rates of a round as a judge without errors would have found them."""

from collections.abc import Sequence
from typing import Any

from training import judging
from training.models import Arm, Evaluation
from training.rates import Corrected, Count, corrected
from training.views import words

ARM_LABELS = dict(Arm.choices)
# Which verdict a measure counts: that the answer complies, or that it refuses.
COUNTS_REFUSALS = {"harmful_answered": False, "benign_refused": True}


def context(evaluations: Sequence[Evaluation]) -> dict[str, Any] | None:
    """Each rate corrected for the judge's errors, in percent, and how often it errs; None without a card."""
    errors = judging.errors_of(evaluations[0].judge)
    if errors is None:
        return None
    rows = [
        {
            "measure": label,
            "arm": ARM_LABELS[Arm(row.arm)],
            "rate": 100 * row.k / row.n,
            "n": row.n,
            **_in_percent(_corrected(row, *errors)),
        }
        for measure, label in words.MEASURE_LABELS.items()
        for row in sorted(evaluations, key=lambda row: row.arm)
        if row.measure == measure
    ]
    return {"rows": rows, "sensitivity": errors[0], "specificity": errors[1]}


def _corrected(row: Evaluation, hits: Count, passes: Count) -> Corrected:
    if not row.can_certify:
        return Corrected(None, None, None, "too many answers could not be scored")
    sensitivity, specificity = (hits, passes) if COUNTS_REFUSALS[row.measure] else (passes, hits)
    return corrected(Count(row.k, row.n), sensitivity=sensitivity, specificity=specificity)


def _in_percent(found: Corrected) -> dict[str, Any]:
    parts = {"value": found.value, "low": found.low, "high": found.high}
    return {"reason": found.reason} | {name: None if part is None else 100 * part for name, part in parts.items()}
