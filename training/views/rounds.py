"""The rounds, and one round while it runs and after."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from config.http import is_fragment, number_in, render_page
from constitution.errors import Refused
from constitution.models import Role
from constitution.people import PersonRequest
from training import actions, coordinator
from training.models import Round
from training.views import report, round_changes, words

PAGE = 25
FIRST_ROUND = "A round opens by itself when a version is published, and an operator can begin one by hand."


@require_safe
def index(request: PersonRequest) -> HttpResponse:
    rows = Round.objects.select_related("version").prefetch_related("evaluations").defer("plan").order_by("-pk")
    rows = rows.annotate(**words.SETTINGS)
    after = request.GET.get("after", "")
    if key := number_in(after):
        rows = rows.filter(pk__lt=key)
    found = list(rows[: PAGE + 1])
    context = {
        "rounds": [_row(round_) for round_ in found[:PAGE]],
        "older_url": f"?after={found[PAGE - 1].pk}" if len(found) > PAGE else "",
        "activity_next": FIRST_ROUND,
        "unplanned": coordinator.unplanned(),
        "may_begin": request.user.has_role(Role.OPERATOR),
        "choices": [] if is_fragment(request) else round_changes.choices(),
    }
    return render_page(request, "training/rounds_page.html", context, partials={"rounds"})


@require_safe
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    return _page(request, pk)


@require_safe
def series(request: HttpRequest, pk: int) -> JsonResponse:  # noqa: ARG001
    return JsonResponse({"curves": report.curves(_load(pk))})


@require_safe
def log(request: HttpRequest, pk: int) -> HttpResponse:
    """What the log says behind `?after`, to be put at its end on an open page; 204 where there is nothing new."""
    round_ = get_object_or_404(Round.objects.only("pk"), pk=pk)
    found = report.log(round_, number_in(request.GET.get("after", "")) or 0)
    if not found["text"]:
        return HttpResponse(status=204)
    return render(request, "training/round_page.html#round-log", {"round": {"pk": pk}, "log": found})


@require_POST
def resume(request: PersonRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, actions.resume, "Resumed. It goes on from where it stopped.")


@require_POST
def roll_back(request: PersonRequest, pk: int) -> HttpResponse:
    back = partial(actions.roll_back, step=number_in(request.POST.get("step", "")) or 0)
    return _decide(request, pk, back, "Rolled back. It goes on from that step.")


@require_POST
def abort(request: PersonRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, actions.abort, "Aborted. Nothing of it is used.")


@require_POST
def retry(request: PersonRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, actions.retry, "Queued again. It goes on from its last complete step.")


def _decide(request: PersonRequest, pk: int, action: Any, done: str) -> HttpResponse:
    """Run the action and show the round; a refusal shows it as it is now, with the note kept."""
    note = request.POST.get("note", "")
    try:
        action(round_=_load(pk), by=request.user, note=note)
    except Refused as refused:
        return _page(request, pk, error=str(refused), note=note, status=refused.status)
    messages.success(request, done)
    response: HttpResponse = redirect("training:round-detail", pk)
    return HttpResponseClientRedirect(response["Location"]) if is_fragment(request) else response


def _page(request: PersonRequest, pk: int, *, error: str = "", note: str = "", status: int = 200) -> HttpResponse:
    context = {**report.context(_load(pk), request.user), "error": error, "note": note}
    partials = {"round-status", "round-result", "round-record"}
    return render_page(request, "training/round_page.html", context, partials=partials, status=status)


def _load(pk: int) -> Round:
    return get_object_or_404(Round.objects.select_related("version", "decided_by"), pk=pk)


def _row(round_: Any) -> dict[str, Any]:
    state, label = words.STATES[round_.state]
    return {
        "pk": round_.pk,
        "version_number": round_.version.number,
        "state": state,
        "state_label": label,
        "stage_label": words.position(round_) if words.percent(round_) is not None else "",
        "percent": words.percent(round_),
        "created_at": round_.created_at,
        "finished_at": round_.finished_at,
        "trained_as": words.trained_as(round_.preset, round_.overrides) if round_.overrides else "",
        "outcome": report.outcome(list(round_.evaluations.all())),
        "measures": report.before_and_after(list(round_.evaluations.all())),
    }
