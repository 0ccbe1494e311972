"""How a round's model stands against the released reference and against the model that was promoted last."""

from collections.abc import Sequence
from typing import Any

from amendments.shares import Share
from training import batteries, registry
from training.models import Arm, Evaluation, Round
from training.promotion_records import Promotion
from training.views import words


def against_three(round_: Round, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """{rows, last None or {round, model}, why_not}, from stored rates alone.

    Every round starts from the released reference, so the round's base has no row of its own.
    """
    last = _last_promoted(round_)
    why_not = _why_not(round_, last.checkpoint.round_id) if last else ""
    theirs = registry.rates(last.checkpoint.round.evaluations.all()) if last and not why_not else {}
    ours = registry.rates(evaluations)
    rows = []
    for measure, label in words.MEASURE_LABELS.items():
        found = (
            ("Released reference", ours.get((measure, Arm.REFERENCE))),
            ("Last promoted", theirs.get((measure, Arm.TRAINED))),
            ("This round", ours.get((measure, Arm.TRAINED))),
        )
        this = found[-1][1]
        rows += [_row(label, model, rate, this) for model, rate in found if rate]
    return {
        "rows": rows,
        "last": {"round": last.checkpoint.round_id, "model": last.checkpoint_id} if last else None,
        "why_not": why_not,
    }


def _last_promoted(round_: Round) -> Promotion | None:
    """The promotion that held when the round ended; of this round's own model there is nothing to compare."""
    made = Promotion.objects.select_related("checkpoint__round").defer("checkpoint__round__plan")
    made = made.exclude(checkpoint__round=round_).order_by("-pk")
    if round_.finished_at:
        made = made.filter(created_at__lt=round_.finished_at)
    return made.first()


def _why_not(round_: Round, other: int) -> str:
    found = batteries.of((round_.pk, other))
    return batteries.why_not_comparable(found[other], found[round_.pk])


def _row(label: str, model: str, rate: Evaluation, this: Evaluation | None) -> dict[str, Any]:
    difference = None
    if this and this is not rate and this.can_certify and rate.can_certify:
        difference = Share(this.k, this.n).minus(Share(rate.k, rate.n))
    return {
        "measure": label,
        "model": model,
        "k": rate.k,
        "n": rate.n,
        "rate": 100 * rate.k / rate.n,
        "low": 100 * rate.low,
        "high": 100 * rate.high,
        "is_certified": rate.can_certify,
        "difference": "{:+.0f} points, {:+.0f} to {:+.0f}".format(*(100 * v for v in difference)) if difference else "",
    }
