"""What rounds made of amendments beside what previews foretold: of one round, and over all of them."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from amendments.models import Realised
from amendments.shares import Share
from amendments.views.realised import LABELS, shown
from amendments.views.words import PARTS
from training.models import Round
from training.realised import asking, calibration
from training.realised.calibration import Tally
from training.realised.running import BASE
from training.states import DONE

WHAT = {"share": "Share declined", "margin": "Lean to declining"}


def of_round(round_: Round) -> list[dict[str, Any]]:
    """The amendments that a finished round was the first to train on, each with what became of its preview."""
    if round_.state != DONE or not hasattr(round_, "checkpoint"):
        return []
    candidates = asking.candidates(round_)
    amendments = [candidate.amendment for candidate in candidates]
    rows = Realised.objects.filter(run__round=round_, amendment__in=amendments)
    found = {row.amendment_id: row for row in rows.select_related("preview", "version", "run")}
    return [
        {
            "pk": candidate.amendment.pk,
            "url": candidate.amendment.get_absolute_url(),
            "principle": candidate.amendment.principle_id,
            "version_number": candidate.amendment.version.number if candidate.amendment.version else None,
            "why_not": candidate.why_not,
            "row": shown(found[candidate.amendment.pk]) if candidate.amendment.pk in found else None,
        }
        for candidate in candidates
    ]


@require_safe
def forecasts(request: HttpRequest) -> HttpResponse:
    found = calibration.newest()
    context = {
        "compared": len(found),
        "most": calibration.MOST_COUNTED,
        "measures": [_figure(name, label, found) for name, label in WHAT.items()],
        "rounds": [_round(realised, tallies) for realised, tallies in calibration.by_round(found)][::-1],
        "columns": [f"{WHAT[tally.measure]}, {LABELS[tally.start].lower()}" for tally in calibration.tallies([])],
    }
    return render(request, "training/forecasts_page.html", context)


def _figure(measure: str, label: str, found: Sequence[Realised]) -> dict[str, Any]:
    """The shares inside, drawn by includes/intervals.html: over all, then by part of the battery."""
    overall = [tally for tally in calibration.tallies(found) if tally.measure == measure]
    rows = [(f"All, {LABELS[tally.start].lower()}", tally.share) for tally in overall]
    parts = calibration.by_component(found, measure, BASE)
    rows += [(PARTS[name][0], parts[name]) for name in PARTS if name in parts]
    return {
        "label": label,
        "direction": "changes within what was foretold",
        "arms": [_arm(name, share, is_all=place < len(overall)) for place, (name, share) in enumerate(rows) if share.n],
    }


def _arm(label: str, share: Share, *, is_all: bool) -> dict[str, Any]:
    low, high = share.interval
    return {
        "arm": "trained" if is_all else "reference",
        "label": f"{label} (n = {share.n})",
        "name": label,
        "k": share.k,
        "n": share.n,
        "rate": 100 * (share.rate or 0.0),
        "low": 100 * low,
        "high": 100 * high,
    }


def _round(realised: Realised, tallies: Sequence[Tally]) -> dict[str, Any]:
    return {
        "pk": realised.run.round_id,
        "version_number": realised.version.number,
        "cells": [f"{tally.share.k} of {tally.share.n} ({tally.share})" if tally.share.n else "" for tally in tallies],
    }
