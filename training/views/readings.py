"""The readings of scenarios; and the page of one: what was read, what it showed, which signals are worth anything."""

from collections import Counter
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_http_methods, require_safe

from amendments.models import EdgeCase, Signal
from amendments.shares import Share
from config.http import number_in, refuse, render_page
from constitution.errors import NotAllowed, Refused
from constitution.models import Role, Version
from constitution.people import PersonRequest
from training import beginning, readings
from training.findings import LEAST_SIGNAL
from training.models import SurfacingRun
from training.signal_records import Part, SignalCard
from training.states import DONE, FAILED, MOVING, QUEUED, RUNNING

STATES = {QUEUED: "Waiting", RUNNING: "Reading", DONE: "Done", FAILED: "Failed"}


PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
def index(request: PersonRequest) -> HttpResponse:
    """The readings, newest first; sent by an operator, a further one begins."""
    if request.method != "POST":
        return _index(request)
    try:
        run = beginning.begin_reading(by=request.user)
    except NotAllowed as refused:
        return refuse(request, status=refused.status, title="Not for your role", sentence=str(refused))
    except Refused as refused:
        return _index(request, refusal=str(refused), status=refused.status)
    messages.success(request, f"Reading {run.pk} begins as soon as a gpu worker is free.")
    return redirect("training:reading-detail", run.pk)


def _index(request: PersonRequest, *, refusal: str = "", status: int = 200) -> HttpResponse:
    rows = SurfacingRun.objects.select_related("version").order_by("-pk")
    after = request.GET.get("after", "")
    if key := number_in(after):
        rows = rows.filter(pk__lt=key)
    found = list(rows[: PAGE + 1])
    head = Version.objects.head()
    is_operator = request.user.has_role(Role.OPERATOR)
    context = {
        "readings": [_run(run) for run in found[:PAGE]],
        "older_url": f"?after={found[PAGE - 1].pk}" if len(found) > PAGE else "",
        "version_number": head.number if head else None,
        "unread": readings.unread(head).count() if head else 0,
        "most": settings.SURFACING_SCENARIOS,
        "every": settings.READING_EVERY,
        "is_operator": is_operator,
        "hindrance": readings.hindrance(head) if head and is_operator else "",
        "refusal": refusal,
    }
    return render_page(request, "training/readings_page.html", context, partials={"readings"}, status=status)


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(SurfacingRun.objects.select_related("version"), pk=pk)
    cases = EdgeCase.objects.filter(version=run.version_id, producer__isnull=False).order_by()
    found = Counter(cases.values_list("signal", flat=True))
    context = {
        "run": _run(run),
        "drawn": _drawn(run),
        "found": [
            {"value": signal.value, "label": signal.label, "meaning": signal.meaning, "count": found[signal]}
            for signal in Signal
            if found[signal]
        ],
        "cards": [_card(card) for card in run.signal_cards.order_by("-auc", "signal")],
        "sample": run.signal_readings.filter(part=Part.SAMPLE).count(),
    }
    return render_page(request, "training/reading_page.html", context, partials={"reading"})


def _run(run: SurfacingRun) -> dict[str, Any]:
    return {
        "pk": run.pk,
        "version_number": run.version.number,
        "state_label": STATES[run.state],
        "message": run.error.strip()[-300:] if run.state == FAILED else run.message,
        "read": run.read,
        "total": run.total,
        "is_moving": run.state in MOVING,
        "finished_at": run.finished_at,
    }


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
