"""How the looks of a round went: each component against its band, and which requests moved."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from config.http import render_page
from training.models import Look, LookState, Round
from training.recipes.band import ANSWERS, PAIRS, REFUSALS
from training.views import battery, plots, words
from training.views.drift_moved import moved, outside
from training.views.drift_parts import (
    DECIDED,
    LABELS,
    STATES,
    Mean,
    Moved,
    Part,
    is_held_at,
    mean,
    prompts_of,
    scored_of,
    title_of,
    titles_of,
)

NOTES = {
    "whole": "Dots are means, whiskers 95 % intervals over the requests where there are at least four. Each dot leads "
    "to the requests that moved most. Where benign control rounds were measured, the band beside each dot is theirs.",
    "clauses": "How much likelier the right answers of a clause’s decided examples became than the wrong ones, in nats "
    "a token, as the mean of examples that decline and of those that help. A clause that is turned around falls here.",
    "tiers": "One scale for all of these. They gate nothing.",
    "principles": "One scale for all of these. They gate nothing.",
}


@require_safe
def show(request: HttpRequest, pk: int) -> HttpResponse:
    round_ = get_object_or_404(Round.objects.select_related("version"), pk=pk)
    told = list(round_.looks.filter(measure__in=[REFUSALS, PAIRS, ANSWERS]).order_by("step", "measure", "group"))
    looks = [look for look in told if look.measure != ANSWERS]
    answered = [look for look in told if look.measure == ANSWERS]
    part, step = _chosen(request, looks)
    parts = _parts(looks)
    drawings = {found: _rows(round_, looks, found) for found in parts}
    context = {
        "round": {"pk": round_.pk, "version_number": round_.version.number},
        "band": {} if any(look.detail.get("band") for look in looks) else _band(round_),
        "follows": any(look.detail.get("band") for look in looks),
        "outside": outside(round_, looks, parts),
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
        "moved": moved(round_, looks, answered, part, step) if looks else None,
        "batteries": battery.batteries(answered),
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
    prompts = [prompt for look in looks if look.measure == REFUSALS for prompt in prompts_of(look)]
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


def _rows(round_: Round, looks: Sequence[Look], part: Part) -> list[tuple[Look, Mean]]:
    """Each look with the mean of this component."""
    found = []
    for look in looks:
        if part.is_of(look):
            moves = [row["now"] - row["before"] for row in scored_of(look) if part.holds(row)]
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
    titles = titles_of(round_)
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
        "title": title_of(part, titles),
        "n": max((found.n for _, found in rows), default=0),
        "others": next((look.detail["others"] for look, _ in rows if _others(look)), []) if part.is_held else [],
        "key": f"{part.label}-{part.tier or part.principle or 'all'}",
        "plot": plots.draw(marks, lines, within),
        "rows": [
            {
                "step": look.step,
                "stage": words.STAGE_LABELS.get(look.stage, look.stage),
                "mean": found,
                "state": STATES[look.state] if is_held_at(part, look) else "",
                "low": look.low if part.is_held else None,
                "high": look.high if part.is_held else None,
                "others": _others(look) if part.is_held else [],
                "url": mark.url,
            }
            for (look, found), mark in zip(rows, marks, strict=True)
        ],
    }


def _mark(part: Part, look: Look, found: Mean, chosen: tuple[Part, int]) -> plots.Mark:
    is_held = is_held_at(part, look)
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


def _others(look: Look) -> list[Moved]:
    """Where a look stands against the other models that were measured: {name, round, value}."""
    return list(look.detail.get("others", []))


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
