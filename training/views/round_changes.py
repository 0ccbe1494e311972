"""Two rounds beside each other: what their plans differ in, what they were made of, and what came out."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from config.http import render_page
from training import batteries, plan_changes
from training.models import Arm, Round, Transcript
from training.registry import rates
from training.views import report, words

ANSWERS = 20
MOST_CHOICES = 100
SAID = {True: "declines", False: "answers", None: "unscored"}


@require_safe
def choose(request: HttpRequest) -> HttpResponse:
    """To the comparison of the two rounds that the form names, the older one first."""
    picked = [request.GET.get(name, "") for name in ("old", "new")]
    numbers = sorted({int(text) for text in picked if text.isdecimal() and len(text) < 19})
    if len(numbers) < 2:
        messages.error(request, "Pick two different rounds to compare.")
        return redirect("training:rounds")
    return redirect("training:round-changes", *numbers)


@require_safe
def show(request: HttpRequest, old: int, new: int) -> HttpResponse:
    found = Round.objects.filter(pk__in=(old, new)).select_related("version", "checkpoint")
    rounds = found.prefetch_related("evaluations").in_bulk()
    if old not in rounds or new not in rounds:
        raise Http404("There is no such round.")
    older, newer = rounds[old], rounds[new]
    measured = batteries.of((old, new))
    context = {
        "old": _round(older),
        "new": _round(newer),
        "plan": _areas(plan_changes.differences(older.plan, newer.plan)),
        "stages": _stages(older, newer),
        "rows": _data(older, newer),
        "measures": _measures(older, newer),
        "why_not": batteries.why_not_comparable(measured[old], measured[new]),
        "answers": _answers(older, newer),
    }
    return render_page(request, "training/round_changes_page.html", context)


def choices() -> list[dict[str, Any]]:
    """The newest rounds, for the form that picks two."""
    rows = Round.objects.select_related("version").only("version__number", "state").order_by("-pk")
    return [
        {"pk": row.pk, "version": row.version.number, "state": words.STATES[row.state][1].lower()}
        for row in rows[:MOST_CHOICES]
    ]


def _round(round_: Round) -> dict[str, Any]:
    return {
        "pk": round_.pk,
        "version": round_.version.number,
        "state_label": words.STATES[round_.state][1],
        "model": round_.checkpoint.pk if hasattr(round_, "checkpoint") else None,
    }


def _areas(found: Sequence[plan_changes.Difference]) -> list[dict[str, Any]]:
    """The differences under the part of the plan that each is in."""
    areas: dict[str, list[plan_changes.Difference]] = {}
    for difference in found:
        areas.setdefault(difference.area, []).append(difference)
    return [{"name": name, "rows": rows} for name, rows in areas.items()]


def _stages(older: Round, newer: Round) -> list[dict[str, Any]]:
    """What each stage kept and dropped, for stages that differ."""
    before, after = ({card["stage"]: _counts(card) for card in round_.data_card} for round_ in (older, newer))
    return [
        {"label": label, "before": before.get(stage), "after": after.get(stage)}
        for stage, label in words.STAGE_LABELS.items()
        if before.get(stage) != after.get(stage)
    ]


def _counts(card: Mapping[str, Any]) -> dict[str, Any]:
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in sorted(card["dropped"].items()))
    return {"kept": card["kept"], "dropped": sum(card["dropped"].values()), "reasons": reasons}


def _data(older: Round, newer: Round) -> list[dict[str, Any]]:
    """Kept rows by stage, principle, label and source, where the two differ; of stages that were counted in both."""
    counted = {card["stage"] for card in older.data_card} & {card["stage"] for card in newer.data_card}
    before, after = (_kept(round_, counted) for round_ in (older, newer))
    return [
        {
            **dict(zip(("stage", "principle", "label", "source"), key, strict=True)),
            "stage": words.STAGE_LABELS.get(key[0], key[0]),
            "before": before.get(key, 0),
            "after": after.get(key, 0),
        }
        for key in sorted(before.keys() | after.keys())
        if before.get(key, 0) != after.get(key, 0)
    ]


def _kept(round_: Round, stages: Collection[str]) -> dict[tuple[str, str, str, str], int]:
    return {
        (card["stage"], row["principle"], row["label"], row["source"]): row["kept"]
        for card in round_.data_card
        if card["stage"] in stages
        for row in card.get("rows", [])
    }


def _measures(older: Round, newer: Round) -> list[dict[str, Any]]:
    """Each measure with four rates: both rounds, before and after."""
    found = [(round_, rates(round_.evaluations.all())) for round_ in (older, newer)]
    measures = []
    for measure, label in words.MEASURE_LABELS.items():
        arms = [
            {**report.arm(row), "label": f"Round {round_.pk}, {row.get_arm_display().lower()}"}
            for round_, by_arm in found
            for name in (Arm.REFERENCE, Arm.TRAINED)
            if (row := by_arm.get((measure, name)))
        ]
        if arms:
            measures.append({"label": label, "direction": "lower is better", "arms": arms})
    return measures


def _answers(older: Round, newer: Round) -> dict[str, Any]:
    """Some of the requests that both were asked, those that they treat differently first."""
    before = {(row.key, row.prompt): row for row in older.transcripts.order_by("pk")}
    pairs = [
        (before[row.key, row.prompt], row)
        for row in newer.transcripts.order_by("pk")
        if (row.key, row.prompt) in before
    ]
    pairs.sort(key=lambda pair: pair[0].trained_refuses is pair[1].trained_refuses)
    return {"asked": len(pairs), "rows": [_answer(was, now) for was, now in pairs[:ANSWERS]]}


def _answer(was: Transcript, now: Transcript) -> dict[str, Any]:
    return {
        "label": now.label,
        "prompt": now.prompt,
        "is_changed": was.trained_refuses is not now.trained_refuses,
        "old": {"text": was.trained, "said": SAID[was.trained_refuses]},
        "new": {"text": now.trained, "said": SAID[now.trained_refuses]},
    }
