"""Which requests of a component moved most, and where a look left its band, in words."""

from collections.abc import Sequence
from typing import Any

from training.models import Look, LookState, Round
from training.recipes.band import Edges
from training.recipes.verdicts import explained
from training.views import battery
from training.views.drift_parts import (
    DECIDED,
    STATES,
    Mean,
    Moved,
    Part,
    is_held_at,
    mean,
    scored_of,
    title_of,
    titles_of,
)

MOST = 10


def outside(round_: Round, looks: Sequence[Look], parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Each look that was not within its band, in words, the newest first."""
    titles = titles_of(round_)
    return [
        {"step": look.step, "title": title_of(part, titles), "state": STATES[look.state], "kind": look.state,
         "url": f"?{part.query(look.step)}#moved", "sentence": _explained(look)}
        for look in sorted(looks, key=lambda look: -look.step)
        for part in parts
        if is_held_at(part, look) and part.is_of(look) and look.state != LookState.OK
    ][:MOST]  # fmt: skip


def _explained(look: Look) -> str:
    if look.state == LookState.NONE:
        return "Too little of it could be computed to say that the round holds."
    if band := look.detail.get("band"):
        return explained((look.measure, look.group), look.value, Edges(**band))
    return f"The mean moved by {look.value:+.2f} nats against the frozen reference; at most {look.low:+.2f} is allowed."


def _mean_of(prompts: Sequence[Moved], looks: Sequence[Look], part: Part, step: int) -> Mean:
    """The mean over these requests; of decided examples, that of both kinds, which the look has."""
    if part.label == DECIDED:
        return Mean(next(look.value for look in looks if look.step == step and part.is_of(look)), len(prompts))
    return mean([row["now"] - row["before"] for row in prompts])


def _texts(round_: Round, part: Part) -> dict[str, str]:
    """The requests of the looks, or the decided examples of a clause, by their ids."""
    if part.label != DECIDED:
        return {row["id"]: row["prompt"] for row in round_.plan.get("looks", [])}
    return {
        f"{clause['principle']}.{number}": example["request"]
        for clause in round_.plan.get("clauses", [])
        if clause["principle"] == part.principle
        for number, example in enumerate(clause["examples"], 1)
    }


def moved(round_: Round, looks: Sequence[Look], answered: Sequence[Look], part: Part, step: int) -> dict[str, Any]:
    """The requests of a component that moved most at a step, the furthest first, each with what was answered to it
    before and in the battery nearest to the step.
    """
    taken_at, answers = battery.answers(answered, step)
    texts = _texts(round_, part)
    titles = titles_of(round_)
    prompts = [
        row for look in looks if look.step == step and part.is_of(look) for row in scored_of(look) if part.holds(row)
    ]
    ranked = sorted(prompts, key=lambda row: -abs(row["now"] - row["before"]))
    return {
        "title": title_of(part, titles),
        "is_decided": part.label == DECIDED,
        "step": step,
        "n": len(prompts),
        "mean": _mean_of(prompts, looks, part, step) if prompts else None,
        "answered_at": taken_at if any(row["id"] in answers for row in prompts) else None,
        "rows": [
            {
                **row,
                "difference": row["now"] - row["before"],
                "prompt": texts.get(row["id"], ""),
                "title": titles.get(row["principle"], ""),
                "answers": answers.get(row["id"]),
            }
            for row in ranked[:MOST]
        ],
    }
