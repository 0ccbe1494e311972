"""The page of a reading: what was read, what it showed, and which signals are worth anything."""

from collections import Counter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from amendments.models import EdgeCase, Signal
from amendments.shares import Share
from training.findings import LEAST_SIGNAL
from training.models import SurfacingRun
from training.signal_records import Part, SignalCard
from training.states import DONE, FAILED, QUEUED, RUNNING

STATES = {QUEUED: "Waiting", RUNNING: "Reading", DONE: "Done", FAILED: "Failed"}


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(SurfacingRun.objects.select_related("version"), pk=pk)
    cases = EdgeCase.objects.filter(version=run.version_id, producer__isnull=False).order_by()
    found = Counter(cases.values_list("signal", flat=True))
    context = {
        "run": {
            "pk": run.pk,
            "version_number": run.version.number,
            "state_label": STATES[run.state],
            "message": run.error.strip()[-300:] if run.state == FAILED else run.message,
            "read": run.read,
            "total": run.total,
            "finished_at": run.finished_at,
        },
        "drawn": _drawn(run),
        "found": [
            {"value": signal.value, "label": signal.label, "meaning": signal.meaning, "count": found[signal]}
            for signal in Signal
            if found[signal]
        ],
        "cards": [_card(card) for card in run.signal_cards.order_by("-auc", "signal")],
        "sample": run.signal_readings.filter(part=Part.SAMPLE).count(),
    }
    return render(request, "training/reading_page.html", context)


def _drawn(run: SurfacingRun) -> str:
    """Of the requests drawn from all, those that showed anything: the unbiased share."""
    rows = run.readings.filter(detail__is_drawn=True).values_list("detail__signals", flat=True)
    shown = [any(value >= LEAST_SIGNAL for value in signals.values()) for signals in rows]
    return f"{sum(shown)} of {len(shown)}: {Share(sum(shown), len(shown))}" if shown else ""


def _card(card: SignalCard) -> dict[str, Any]:
    signal = Signal(card.signal)
    return {
        "label": signal.label,
        "meaning": signal.meaning,
        "auc": {"value": card.auc, "low": card.low, "high": card.high} if card.auc is not None else None,
        "settled": card.settled,
        "hard": card.hard,
        "coverage": round(100 * card.coverage),
        "reason": card.reason,
        "looked_at": card.looked_at,
        "found": card.found,
    }
