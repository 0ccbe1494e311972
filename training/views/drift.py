"""How the looks of a round went: each component against its band, and which requests moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from config.http import render_page
from constitution.models import Tier
from training.models import Look, LookState, Round
from training.recipes.band import PAIRS, REFUSALS, Edges
from training.recipes.verdicts import explained
from training.views import plots, words

# The decided examples of one clause: how far their right answers lead over the wrong ones.
DECIDED = "decided"
MOST = 10
STATES = dict(LookState.choices)
LABELS = {"harmful": "Harmful requests", "benign": "Harmless requests"}
# Student's t at 97.5 % for 1 to 30 degrees of freedom; a web host has no scipy.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL = 1.96
# An interval over fewer says more about the formula than about the model.
FEWEST = 4

NOTES = {
    "whole": "Dots are means, whiskers 95 % intervals over the requests where there are at least four. Each dot leads "
    "to the requests that moved most. Where benign control rounds were measured, the band beside each dot is theirs.",
    "clauses": "How much likelier the right answers of a clause’s decided examples became than the wrong ones, in nats "
    "a token, as the mean of examples that decline and of those that help. A clause that is turned around falls here.",
    "tiers": "One scale for all of these. They gate nothing.",
    "principles": "One scale for all of these. They gate nothing.",
}

Moved = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a look: the requests with this label, all of them or those of one tier or one principle."""

    label: str
    tier: int | None = None
    principle: str = ""

    @property
    def is_whole(self) -> bool:
        return self.tier is None and not self.principle

    @property
    def is_held(self) -> bool:
        """Whether a band can hold for it: the looks judge these alone."""
        return self.is_whole or self.label == DECIDED

    def is_of(self, look: Look) -> bool:
        """Whether this look measured it."""
        if self.label == DECIDED:
            return look.measure == PAIRS and look.group == self.principle
        return look.measure == REFUSALS and look.group == self.label

    def holds(self, prompt: Moved) -> bool:
        if self.label == DECIDED:
            return True
        return self.tier in (None, prompt["tier"]) and self.principle in ("", prompt["principle"])

    def query(self, step: int) -> str:
        named = {"label": self.label, "tier": self.tier, "principle": self.principle, "step": step}
        return urlencode({name: value for name, value in named.items() if value not in (None, "")})


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of `n` differences, with its 95 % interval where there are enough of them."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None

    @property
    def sentence(self) -> str:
        said = f"{self.value:+.2f} nats"
        return said if self.low is None else f"{said}, 95 % interval {self.low:+.2f} to {self.high:+.2f}"


def mean(values: Sequence[float]) -> Mean:
    """The mean and Student's interval. Raises ValueError for no values."""
    if not values:
        raise ValueError("There is no mean of nothing.")
    middle, n = fmean(values), len(values)
    if n < FEWEST:
        return Mean(middle, n)
    half = (STUDENT[n - 2] if n - 2 < len(STUDENT) else NORMAL) * stdev(values) / sqrt(n)
    return Mean(middle, n, middle - half, middle + half)


@require_safe
def show(request: HttpRequest, pk: int) -> HttpResponse:
    round_ = get_object_or_404(Round.objects.select_related("version"), pk=pk)
    looks = list(round_.looks.filter(measure__in=[REFUSALS, PAIRS]).order_by("step", "measure", "group"))
    part, step = _chosen(request, looks)
    parts = _parts(looks)
    drawings = {found: _rows(round_, looks, found) for found in parts}
    context = {
        "round": {"pk": round_.pk, "version_number": round_.version.number},
        "band": {} if any(look.detail.get("band") for look in looks) else _band(round_),
        "follows": any(look.detail.get("band") for look in looks),
        "outside": _outside(round_, looks, parts),
        "steps": len({look.step for look in looks}),
        "sections": [
            {
                "name": name,
                "title": title,
                "is_folded": _is_folded(name, part),
                "note": NOTES[name],
                "figures": _figures(round_, drawings, members, (part, step)),
            }
            for name, title, members in _sections(parts)
        ],
        "keeps_requests": any(look.detail for look in looks),
        "moved": _moved(round_, looks, part, step) if looks else None,
    }
    return render_page(request, "training/round_drift_page.html", context)


def _chosen(request: HttpRequest, looks: Sequence[Look]) -> tuple[Part, int]:
    """What the address asks for: at first, all harmful requests at the newest look."""
    step, tier = request.GET.get("step", ""), request.GET.get("tier", "")
    steps = {str(look.step): look.step for look in looks}
    part = Part(
        label=request.GET.get("label", "") if request.GET.get("label") in {*LABELS, DECIDED} else "harmful",
        tier=int(tier) if tier in ("1", "2", "3") else None,
        principle=request.GET.get("principle", ""),
    )
    return part, steps.get(step, max(steps.values(), default=0))


def _parts(looks: Sequence[Look]) -> list[Part]:
    """Every component that some look measured: wholes first, then tiers, then principles."""
    prompts = [prompt for look in looks if look.measure == REFUSALS for prompt in _prompts(look)]
    decided = {look.group for look in looks if look.measure == PAIRS}
    tiers = {(row["label"], row["tier"]) for row in prompts if row["tier"] is not None}
    principles = {(row["principle"], row["label"]) for row in prompts if row["principle"]}
    groups = {look.group for look in looks if look.measure == REFUSALS}
    return [
        *(Part(label) for label in LABELS if label in groups),
        *(Part(label, tier=tier) for label in LABELS for tier in sorted(t for found, t in tiers if found == label)),
        *(
            Part(label, principle=principle)
            for principle, label in sorted(principles, key=lambda pair: (pair[0], list(LABELS).index(pair[1])))
        ),
        *(Part(DECIDED, principle=principle) for principle in sorted(decided)),
    ]


def _sections(parts: Sequence[Part]) -> list[tuple[str, str, list[Part]]]:
    found = [
        ("whole", "All requests of the looks", [part for part in parts if part.is_whole]),
        ("clauses", "Decided examples of contextual clauses", [part for part in parts if part.label == DECIDED]),
        ("tiers", "By tier", [part for part in parts if part.tier is not None]),
        ("principles", "By principle", [part for part in parts if part.principle and part.label != DECIDED]),
    ]
    return [section for section in found if section[2]]


def _is_folded(name: str, part: Part) -> bool | None:
    """Whether a section is folded; None: it cannot be."""
    if name == "principles":
        return not part.principle or part.label == DECIDED
    return part.label != DECIDED if name == "clauses" else None


def _prompts(look: Look) -> list[Moved]:
    """What the mean was taken over; none where a round ended before it was kept."""
    return list(look.detail.get("prompts", []))


def _scored(look: Look) -> list[Moved]:
    return [row for row in _prompts(look) if row["now"] is not None and row["before"] is not None]


def _rows(round_: Round, looks: Sequence[Look], part: Part) -> list[tuple[Look, Mean]]:
    """Each look with the mean of this component."""
    found = []
    for look in looks:
        if part.is_of(look):
            moves = [row["now"] - row["before"] for row in _scored(look) if part.holds(row)]
            if moves and part.label == DECIDED:  # the mean of two kinds, which an interval of one sample does not fit
                found.append((look, Mean(look.value, len(moves))))
            elif moves:
                found.append((look, mean(moves)))
            elif part.is_whole:
                asked = sum(row["label"] == part.label for row in round_.plan.get("looks", []))
                found.append((look, Mean(look.value, asked)))
    return found


def _figures(
    round_: Round, drawings: Mapping[Part, list[tuple[Look, Mean]]], parts: Sequence[Part], chosen: tuple[Part, int]
) -> list[dict[str, Any]]:
    """The figures of one section, all on one scale."""
    values = [0.0]
    for part in parts:
        for look, found in drawings[part]:
            values += [v for v in (found.value, found.low, found.high) if v is not None]
            values += [v for v in (look.low, look.high) if v is not None and part.is_held]
    within = plots.scale(values)
    titles = _titles(round_)
    return [
        _figure(part, drawings[part], within, _lines(round_, part, drawings[part]), titles, chosen) for part in parts
    ]


def _figure(
    part: Part,
    rows: Sequence[tuple[Look, Mean]],
    within: plots.Scale,
    lines: Sequence[plots.Line],
    titles: Mapping[str, str],
    chosen: tuple[Part, int],
) -> dict[str, Any]:
    marks = [_mark(part, look, found, chosen) for look, found in rows]
    return {
        "title": _title(part, titles),
        "n": max((found.n for _, found in rows), default=0),
        "others": next((look.detail["others"] for look, _ in rows if _others(look)), []) if part.is_held else [],
        "key": f"{part.label}-{part.tier or part.principle or 'all'}",
        "plot": plots.draw(marks, lines, within),
        "rows": [
            {
                "step": look.step,
                "stage": words.STAGE_LABELS.get(look.stage, look.stage),
                "mean": found,
                "state": STATES[look.state] if _is_held_at(part, look) else "",
                "low": look.low if part.is_held else None,
                "high": look.high if part.is_held else None,
                "others": _others(look) if part.is_held else [],
                "url": mark.url,
            }
            for (look, found), mark in zip(rows, marks, strict=True)
        ],
    }


def _mark(part: Part, look: Look, found: Mean, chosen: tuple[Part, int]) -> plots.Mark:
    is_held = _is_held_at(part, look)
    state = STATES[look.state].lower() if is_held else ""
    said = f"Step {look.step}: {found.sentence}, n = {found.n}"
    return plots.Mark(
        label=str(look.step),
        value=found.value,
        low=found.low,
        high=found.high,
        text=f"{said}, {state}" if state else said,
        url=f"?{part.query(look.step)}#moved",
        kind=look.state if is_held else LookState.OK.value,
        is_current=chosen == (part, look.step),
        has_band=is_held and bool(look.detail.get("band")),
        edge_low=look.low,
        edge_high=look.high,
    )


def _is_held_at(part: Part, look: Look) -> bool:
    """Whether a band held for this component at this look."""
    return part.is_held and (look.low, look.high) != (None, None)


def _others(look: Look) -> list[Moved]:
    """Where a look stands against the other models that were measured: {name, round, value}."""
    return list(look.detail.get("others", []))


def _outside(round_: Round, looks: Sequence[Look], parts: Sequence[Part]) -> list[dict[str, Any]]:
    """Each look that was not within its band, in words, the newest first."""
    titles = _titles(round_)
    return [
        {"step": look.step, "title": _title(part, titles), "state": STATES[look.state], "kind": look.state,
         "url": f"?{part.query(look.step)}#moved", "sentence": _explained(look)}
        for look in sorted(looks, key=lambda look: -look.step)
        for part in parts
        if _is_held_at(part, look) and part.is_of(look) and look.state != LookState.OK
    ][:MOST]  # fmt: skip


def _explained(look: Look) -> str:
    if look.state == LookState.NONE:
        return "Too little of it could be computed to say that the round holds."
    if band := look.detail.get("band"):
        return explained((look.measure, look.group), look.value, Edges(**band))
    return f"The mean moved by {look.value:+.2f} nats against the frozen reference; at most {look.low:+.2f} is allowed."


def _lines(round_: Round, part: Part, rows: Sequence[tuple[Look, Mean]]) -> list[plots.Line]:
    """The reference, and for what can pause a round the edges of its band."""
    zero = plots.Line("zero", 0.0, "0")
    band = _band(round_)
    follows = any(look.detail.get("band") for look, _ in rows)
    if not band or follows or not part.is_whole or part.label != "harmful":
        return [zero]
    return [zero, *(plots.Line(name, band[name], f"{band[name]:.2f}") for name in ("warn", "low"))]


def _band(round_: Round) -> dict[str, float]:
    """From which mean on a round is warned of, and paused; empty where the plan does not say."""
    limits = round_.plan.get("stages", {}).get("looks", {})
    return {name: limits[name] for name in ("warn", "low") if name in limits}


def _titles(round_: Round) -> dict[str, str]:
    return {clause["principle"]: clause["title"] for clause in round_.plan.get("clauses", [])}


def _title(part: Part, titles: Mapping[str, str]) -> str:
    if part.label == DECIDED:
        return f"{part.principle} {titles.get(part.principle, '')}".strip()
    label = LABELS[part.label]
    if part.tier is not None:
        return f"{label}, {Tier(part.tier).label.lower()}"
    if part.principle:
        title = titles.get(part.principle, "")
        return f"{part.principle} {title}, {label.lower()}" if title else f"{part.principle}, {label.lower()}"
    return label


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


def _moved(round_: Round, looks: Sequence[Look], part: Part, step: int) -> dict[str, Any]:
    """The requests of a component that moved most at a step, the furthest first."""
    texts = _texts(round_, part)
    titles = _titles(round_)
    prompts = [
        row for look in looks if look.step == step and part.is_of(look) for row in _scored(look) if part.holds(row)
    ]
    ranked = sorted(prompts, key=lambda row: -abs(row["now"] - row["before"]))
    return {
        "title": _title(part, titles),
        "is_decided": part.label == DECIDED,
        "step": step,
        "n": len(prompts),
        "mean": _mean_of(prompts, looks, part, step) if prompts else None,
        "rows": [
            {
                **row,
                "difference": row["now"] - row["before"],
                "prompt": texts.get(row["id"], ""),
                "title": titles.get(row["principle"], ""),
            }
            for row in ranked[:MOST]
        ],
    }
