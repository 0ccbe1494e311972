"""What the machines are doing now and what comes next, in words, for the reviewer's home page."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from amendments.models import Scenario
from constitution.models import Version
from training import coordinator
from training.models import Job, PreviewRun, RealisedRun, Round, SurfacingRun
from training.states import DONE, FAILED, MOVING, PAUSED, QUEUED, RUNNING
from training.views.words import STATES, position

# A queued job that nobody has claimed for so long, while nothing else runs: no gpu worker is there.
PATIENCE = timedelta(seconds=30)
NO_WORKER = "No gpu worker answers, so nothing is read or trained. Start one; what is queued is kept."
STEP_STATES = {QUEUED: "waiting", RUNNING: "active", PAUSED: "waiting", DONE: "done", FAILED: "failed"}


def context(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001
    """Template context processor: `activity`, looked up only where a page shows it."""
    return {"activity": SimpleLazyObject(current)}


def current() -> dict[str, Any]:
    """busy, headline, steps, next and worker_missing, as the queue page shows them."""
    head = Version.objects.head()
    run = SurfacingRun.objects.select_related("version").order_by("-pk").first()
    round_ = Round.objects.defer("plan").select_related("version").order_by("-pk").first()
    measured = PreviewRun.objects.filter(state__in=MOVING).select_related("preview").defer("plan")
    measuring = measured.order_by("-state", "pk").first()
    comparing = RealisedRun.objects.filter(state__in=MOVING).select_related("realised").order_by("-state", "pk").first()
    jobs = [job for job in (run, round_, measuring, comparing) if job is not None]
    return {
        "busy": any(job.state in MOVING for job in jobs) or head is None or run is None,
        "headline": _headline(head, run, round_, measuring, comparing),
        "steps": [
            *([_surfacing_step(run)] if run else []),
            *([_round_step(round_)] if round_ else []),
            *([_preview_step(measuring)] if measuring else []),
            *([_realised_step(comparing)] if comparing else []),
        ],
        "next": _next(head, run),
        "worker_missing": (coordinator.hold() or NO_WORKER) if _is_worker_missing(jobs) else "",
    }


def _headline(
    head: Version | None,
    run: SurfacingRun | None,
    round_: Round | None,
    measuring: PreviewRun | None,
    comparing: RealisedRun | None,
) -> str:
    if head is None:
        return "There is no constitution yet."
    if round_ and round_.state == PAUSED:
        return f"Round {round_.pk} is paused and waits for an overseer."
    if round_ and round_.state in MOVING:
        return f"Round {round_.pk} trains on {round_.version}."
    if run and run.state in MOVING:
        return f"Reading the scenarios under {run.version}."
    if measuring:
        return f"Measuring what proposal {measuring.preview.amendment_id} does."
    if comparing:
        return f"Comparing round {comparing.round_id} with the preview of proposal {comparing.realised.amendment_id}."
    return f"Nothing is running. Version {head.number} is in force."


def _surfacing_step(run: SurfacingRun) -> dict[str, Any]:
    return {
        "label": f"Read the scenarios under {run.version}",
        "detail": run.error.strip()[-300:] if run.state == FAILED else run.message,
        "state": STEP_STATES[run.state],
        "step": run.read,
        "total": run.total or None,
        "url": reverse("training:reading-detail", args=[run.pk]),
    }


def _round_step(round_: Round) -> dict[str, Any]:
    return {
        "label": f"Round {round_.pk}, on {round_.version}",
        "detail": position(round_) if round_.state in MOVING else STATES[round_.state][1] + ".",
        "state": STEP_STATES.get(round_.state, "failed"),
        "step": round_.step if round_.total else None,
        "total": round_.total or None,
        "url": reverse("training:round-detail", args=[round_.pk]),
    }


def _preview_step(run: PreviewRun) -> dict[str, Any]:
    preview = run.preview
    return {
        "label": f"Measure what proposal {preview.amendment_id} does",
        "detail": f"{preview.done} of {preview.total} requests read." if preview.total else "",
        "state": STEP_STATES[run.state],
        "step": preview.done if preview.total else None,
        "total": preview.total or None,
        "url": reverse("amendments:amendment-detail", args=[preview.amendment_id]),
    }


def _realised_step(run: RealisedRun) -> dict[str, Any]:
    realised = run.realised
    return {
        "label": f"Compare round {run.round_id} with the preview of proposal {realised.amendment_id}",
        "detail": f"{realised.done} of {realised.total} answers read." if realised.total else "",
        "state": STEP_STATES[run.state],
        "step": realised.done if realised.total else None,
        "total": realised.total or None,
        "url": reverse("training:round-detail", args=[run.round_id]),
    }


def _next(head: Version | None, run: SurfacingRun | None) -> str:
    if head is None:
        return "Load a constitution; the model then reads the scenarios under it."
    if run is None and not Scenario.objects.filter(held_out=False).exists():
        return "Import scenarios; the model then reads them under the constitution."
    if run is None or (run.state in MOVING and head.number == 1):
        return "The first proposals arrive here by themselves, within about five minutes."
    if run.version != head:
        return "After the round, the scenarios are read again under the new version."
    return "When you accept a proposal, a round trains on the new version by itself."


def _is_worker_missing(jobs: Sequence[Job]) -> bool:
    waiting = [job for job in jobs if job.state == QUEUED and job.created_at < timezone.now() - PATIENCE]
    return bool(waiting) and not any(job.state == RUNNING for job in jobs)
