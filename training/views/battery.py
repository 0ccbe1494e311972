"""What a round answered to the requests of its looks, as its batteries were judged."""

from collections.abc import Mapping, Sequence
from typing import Any

from training import judging
from training.models import Look
from training.views import words

# By the label of the requests, in the order of the page.
MEASURES = {"harmful": words.MEASURE_LABELS["harmful_answered"], "benign": words.MEASURE_LABELS["benign_refused"]}


def batteries(looks: Sequence[Look]) -> list[dict[str, Any]]:
    """Each battery with its rates before and now, the oldest first; `looks` are those whose measure is the answers."""
    found: dict[int, dict[str, Any]] = {}
    gates = {judge: judging.may_gate(judge) for judge in {look.detail["judge"] for look in looks}}
    for look in sorted(looks, key=lambda look: (look.step, list(MEASURES).index(look.group))):
        judge = look.detail["judge"]
        row = found.setdefault(
            look.step,
            {
                "step": look.step,
                "stage": words.STAGE_LABELS.get(look.stage, look.stage),
                "judge": judge,
                "is_advisory": not gates[judge],
                "measures": [],
            },
        )
        row["measures"].append(measure(look.group, look.detail))
    return list(found.values())


def paused(pause: Mapping[str, Any]) -> dict[str, Any] | None:
    """The battery that a pause took; None of one that an older release wrote down."""
    answered = pause.get("answered", [])
    if not answered:
        return None
    judge = answered[0]["judge"]
    measures = [measure(row["label"], row) for row in answered]
    return {"judge": judge, "is_advisory": not judging.may_gate(judge), "measures": measures}


def measure(label: str, counts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The reference's rate and that of the model in training, in percent; no rate where nothing was scored."""
    arms = [
        {
            "label": arm,
            "k": found["k"],
            "n": found["n"],
            "unscored": found["unscored"],
            "rate": 100 * found["k"] / found["n"] if found["n"] else None,
            "low": 100 * found["low"],
            "high": 100 * found["high"],
        }
        for name, arm in (("before", "Reference"), ("now", "In training"))
        for found in (counts[name],)
    ]
    return {"label": MEASURES[label], "arms": arms}


def answers(looks: Sequence[Look], step: int) -> tuple[int | None, dict[str, Mapping[str, Any]]]:
    """The battery nearest to a step, and what it answered to each request by its id; None where there is none."""
    nearest = min({look.step for look in looks}, key=lambda taken: (abs(taken - step), taken), default=None)
    found = {row["id"]: row for look in looks if look.step == nearest for row in look.detail["answers"]}
    return nearest, found
