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
from training.views import plots, words

MEASURE = "refusal_margin"
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

    def holds(self, prompt: Moved) -> bool:
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
    looks = list(round_.looks.filter(measure=MEASURE).order_by("step", "group"))
    part, step = _chosen(request, looks)
    parts = _parts(looks)
    drawings = {found: _rows(round_, looks, found) for found in parts}
    context = {
        "round": {"pk": round_.pk, "version_number": round_.version.number},
        "band": _band(round_),
        "steps": len({look.step for look in looks}),
        "sections": [
            {
                "name": name,
                "title": title,
                "is_folded": None if name != "principles" else not part.principle,
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
        label=request.GET.get("label", "harmful") if request.GET.get("label") in LABELS else "harmful",
        tier=int(tier) if tier in ("1", "2", "3") else None,
        principle=request.GET.get("principle", ""),
    )
    return part, steps.get(step, max(steps.values(), default=0))


def _parts(looks: Sequence[Look]) -> list[Part]:
    """Every component that some look measured: wholes first, then tiers, then principles."""
    prompts = [prompt for look in looks for prompt in _prompts(look)]
    tiers = {(row["label"], row["tier"]) for row in prompts if row["tier"] is not None}
    principles = {(row["principle"], row["label"]) for row in prompts if row["principle"]}
    groups = {look.group for look in looks}
    return [
        *(Part(label) for label in LABELS if label in groups),
        *(Part(label, tier=tier) for label in LABELS for tier in sorted(t for found, t in tiers if found == label)),
        *(
            Part(label, principle=principle)
            for principle, label in sorted(principles, key=lambda pair: (pair[0], list(LABELS).index(pair[1])))
        ),
    ]


def _sections(parts: Sequence[Part]) -> list[tuple[str, str, list[Part]]]:
    found = [
        ("whole", "All requests of the looks", [part for part in parts if part.is_whole]),
        ("tiers", "By tier", [part for part in parts if part.tier is not None]),
        ("principles", "By principle", [part for part in parts if part.principle]),
    ]
    return [section for section in found if section[2]]


def _prompts(look: Look) -> list[Moved]:
    """What the mean was taken over; none where a round ended before it was kept."""
    return list(look.detail.get("prompts", []))


def _rows(round_: Round, looks: Sequence[Look], part: Part) -> list[tuple[Look, Mean]]:
    """Each look with the mean of this component."""
    found = []
    for look in looks:
        if look.group == part.label:
            moves = [row["now"] - row["before"] for row in _prompts(look) if part.holds(row)]
            if moves:
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
            values += [v for v in (look.low, look.high) if v is not None and part.is_whole]
    within = plots.scale(values)
    titles = _titles(round_)
    return [_figure(part, drawings[part], within, _lines(round_, part), titles, chosen) for part in parts]


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
        "key": f"{part.label}-{part.tier or part.principle or 'all'}",
        "plot": plots.draw(marks, lines, within),
        "rows": [
            {
                "step": look.step,
                "stage": words.STAGE_LABELS.get(look.stage, look.stage),
                "mean": found,
                "state": STATES[look.state] if part.is_whole and look.low is not None else "",
                "url": mark.url,
            }
            for (look, found), mark in zip(rows, marks, strict=True)
        ],
    }


def _mark(part: Part, look: Look, found: Mean, chosen: tuple[Part, int]) -> plots.Mark:
    state = STATES[look.state].lower() if part.is_whole and look.low is not None else ""
    said = f"Step {look.step}: {found.sentence}, n = {found.n}"
    return plots.Mark(
        label=str(look.step),
        value=found.value,
        low=found.low,
        high=found.high,
        text=f"{said}, {state}" if state else said,
        url=f"?{part.query(look.step)}#moved",
        kind=look.state if part.is_whole else LookState.OK.value,
        is_current=chosen == (part, look.step),
    )


def _lines(round_: Round, part: Part) -> list[plots.Line]:
    """The reference, and for what can pause a round the edges of its band."""
    zero = plots.Line("zero", 0.0, "0")
    band = _band(round_)
    if not band or not part.is_whole or part.label != "harmful":
        return [zero]
    return [zero, *(plots.Line(name, band[name], f"{band[name]:.2f}") for name in ("warn", "low"))]


def _band(round_: Round) -> dict[str, float]:
    """From which mean on a round is warned of, and paused; empty where the plan does not say."""
    limits = round_.plan.get("stages", {}).get("looks", {})
    return {name: limits[name] for name in ("warn", "low") if name in limits}


def _titles(round_: Round) -> dict[str, str]:
    return {clause["principle"]: clause["title"] for clause in round_.plan.get("clauses", [])}


def _title(part: Part, titles: Mapping[str, str]) -> str:
    label = LABELS[part.label]
    if part.tier is not None:
        return f"{label}, {Tier(part.tier).label.lower()}"
    if part.principle:
        title = titles.get(part.principle, "")
        return f"{part.principle} {title}, {label.lower()}" if title else f"{part.principle}, {label.lower()}"
    return label


def _moved(round_: Round, looks: Sequence[Look], part: Part, step: int) -> dict[str, Any]:
    """The requests of a component that moved most at a step, the furthest first."""
    texts = {row["id"]: row["prompt"] for row in round_.plan.get("looks", [])}
    titles = _titles(round_)
    prompts = [
        row
        for look in looks
        if look.step == step and look.group == part.label
        for row in _prompts(look)
        if part.holds(row)
    ]
    ranked = sorted(prompts, key=lambda row: -abs(row["now"] - row["before"]))
    return {
        "title": _title(part, titles),
        "step": step,
        "n": len(prompts),
        "mean": mean([row["now"] - row["before"] for row in prompts]) if prompts else None,
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
