"""The models that rounds ended with: which is in use, what is known of each, and what an overseer decides of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from config.http import is_fragment, number_in, render_page
from constitution.errors import Refused
from constitution.models import User
from constitution.people import PersonRequest
from training import behaviour, promotion, promotion_policies, registry
from training.behaviour import Change, Comparison
from training.change_log import write as write_change_log
from training.models import Arm, Checkpoint, Evaluation, LookState
from training.promotion_records import Promotion
from training.registry import FilesChanged
from training.scheduling_records import DiskUse
from training.tone import MUCH
from training.views import corrected, report, words

PAGE = 25
PROMOTIONS = 20
STRAYED = (
    (LookState.WARN, "at the edge of the band"),
    (LookState.FAIL, "outside it"),
    (LookState.NONE, "not certified"),
)
# The words of the shared list of requirements for how a gate stands.
MARKS = {"passed": "satisfied", "open": "unsatisfied", "asks": "error"}
CHANGES: tuple[tuple[Change, str, str], ...] = (
    ("refused", "Newly declined", "The older one answered these; the newer one declines."),
    ("answered", "Newly answered", "The older one declined these; the newer one answers."),
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a person tried and was refused, so that nothing they wrote is lost."""

    error: str = ""
    note: str = ""
    override: bool = False
    status: int = 200


@require_safe
def index(request: PersonRequest) -> HttpResponse:
    current = registry.in_use()
    rows = registry.registered()
    after = request.GET.get("after", "")
    if key := number_in(after):
        rows = rows.filter(pk__lt=key)
    found = list(rows[: PAGE + 1])
    history = Promotion.objects.select_related("by", "checkpoint", "replaces__checkpoint").order_by("-pk")
    context = {
        "in_use": current,
        "models": [_row(row, current) for row in found[:PAGE]],
        "older_url": f"?after={found[PAGE - 1].pk}" if len(found) > PAGE else "",
        "promotions": list(history[:PROMOTIONS]),
        "disks": list(DiskUse.objects.all()),
        "keep": settings.KEEP_MODELS,
    }
    return render_page(request, "training/models_page.html", context, partials={"models"})


@require_safe
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    return _page(request, pk, Attempt())


@require_safe
def changes(request: PersonRequest, old: int, new: int) -> HttpResponse:
    """What the newer one answers otherwise than the older one: from stored answers alone."""
    older, newer, found, titles = _compared(old, new)
    context = {
        "old": older,
        "new": newer,
        "comparison": found,
        "causes": found.causes(),
        "untouched": [found.untouched(change) for change, _, _ in CHANGES],
        "tone": found.tone,
        "much": MUCH,
        "groups": [_group(found, change, label, help_, titles) for change, label, help_ in CHANGES],
    }
    return render_page(request, "training/model_changes_page.html", context)


@require_safe
def change_log(request: PersonRequest, old: int, new: int) -> HttpResponse:  # noqa: ARG001
    """The same as a file, for whoever runs the models."""
    headers = {"Content-Disposition": f'attachment; filename="model-{old}-to-{new}.md"'}
    text = write_change_log(*_compared(old, new))
    return HttpResponse(text, content_type="text/markdown; charset=utf-8", headers=headers)


def _compared(old: int, new: int) -> tuple[Checkpoint, Checkpoint, Comparison, dict[str, str]]:
    if old == new:
        raise Http404("A model answers nothing otherwise than itself.")
    older, newer = (_load(pk) for pk in (old, new))
    return older, newer, behaviour.compare(older, newer), {**_titles(older), **_titles(newer)}


@require_POST
def promote(request: PersonRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, promotion.promote, "It is in use now.")


@require_POST
def roll_back(request: PersonRequest, pk: int) -> HttpResponse:
    return _decide(request, pk, promotion.roll_back, "It is in use again.")


def _decide(request: PersonRequest, pk: int, action: Callable[..., Promotion], done: str) -> HttpResponse:
    """Run the action and show the model; a refusal shows it as it is now, with what the person wrote."""
    note, override = request.POST.get("note", ""), bool(request.POST.get("override"))
    seen = request.POST.get("seen", "")
    try:
        action(
            checkpoint=_load(pk),
            by=request.user,
            seen=int(seen) if seen.isdecimal() and len(seen) < 19 else None,
            note=note,
            override=override,
        )
    except Refused as refused:
        return _page(request, pk, Attempt(str(refused), note, override, refused.status))
    messages.success(request, done)
    response: HttpResponse = redirect("training:model-detail", pk)
    return HttpResponseClientRedirect(response["Location"]) if is_fragment(request) else response


def _page(request: PersonRequest, pk: int, attempt: Attempt) -> HttpResponse:
    row, current = _load(pk), registry.in_use()
    promotions = sorted(row.promotions.all(), key=lambda made: -made.pk)
    gates = _gates(row)
    evaluations = list(row.round.evaluations.all())
    context = {
        "model": {**_row(row, current), **_origin(row)},
        "gates": [{"state": MARKS[gate.state], "sentence": gate.sentence} for gate in gates],
        "asks": any(gate.state == "asks" and (gate.name == "files" or not promotions) for gate in gates),
        "outcome": report.outcome(evaluations),
        "measures": report.measures(evaluations),
        "corrected": corrected.context(evaluations),
        "judges": sorted({found.judge for found in evaluations}),
        "looks": registry.looks_by_state(row.round.looks.all()),
        "weaknesses": registry.weaknesses(row),
        "promotions": promotions,
        "in_use": current,
        "comparisons": _comparisons(row, current, promotions),
        "refusals": _refusals(row, request.user, current, gates),
        "attempt": attempt,
    }
    return render_page(request, "training/model_page.html", context, status=attempt.status)


def _load(pk: int) -> Checkpoint:
    row = registry.registered().filter(pk=pk).first()
    if row is None:
        raise Http404("There is no such model.")
    return row


def _row(row: Checkpoint, current: Promotion | None) -> dict[str, Any]:
    evaluations = list(row.round.evaluations.all())
    looks = registry.looks_by_state(row.round.looks.all())
    made = max(row.promotions.all(), key=lambda found: found.pk, default=None)
    return {
        "pk": row.pk,
        "round": row.round_id,
        "base": registry.base_of(row),
        "version": row.round.version.number,
        "seed": row.round.seed,
        "data_digest": row.round.data_digest,
        "digest": row.digest,
        "code": row.code,
        "size": row.size,
        "created_at": row.created_at,
        "rates": _rates(evaluations),
        "looks": _looks_in_words(row, looks),
        "promotion": made,
        "is_in_use": bool(current and current.checkpoint_id == row.pk),
        "removal": getattr(row, "removal", None),
    }


def _rates(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Each measure before and after as people read it, and whether the numbers stand for the whole battery."""
    found = registry.rates(evaluations)
    return [
        {
            "label": label,
            "before": registry.of(before),
            "after": registry.of(after),
            "is_certified": before.can_certify and after.can_certify,
        }
        for measure, label in words.MEASURE_LABELS.items()
        if (before := found.get((measure, Arm.REFERENCE))) and (after := found.get((measure, Arm.TRAINED)))
    ]


def _origin(row: Checkpoint) -> dict[str, Any]:
    version = row.round.version
    return {
        "base_digest": row.base_digest,
        "constitution": version.constitution.title,
        "version_digest": version.digest,
        "version_parent": version.number - 1,
        "round_finished_at": row.round.finished_at,
        "path": row.path,
    }


def _looks_in_words(row: Checkpoint, looks: dict[str, int]) -> str:
    total = sum(looks.values())
    if not total:
        return "no look was recorded"
    strayed = [f"{looks[state]} {word}" for state, word in STRAYED if looks[state]]
    said = f"{total} looks, {' and '.join(strayed) if strayed else 'all within the band'}"
    if not row.round.pause:
        return said
    back = row.round.pause.get("back_to")
    return f"{said}; paused and {'resumed' if back is None else f'rolled back to step {back}'}"


def _gates(row: Checkpoint) -> list[promotion_policies.Gate]:
    try:
        files = promotion_policies.files_at_a_glance(row)
    except FilesChanged as refused:
        files = promotion_policies.Gate("files", "open", str(refused))
    return promotion_policies.gates(row, files=files)


def _refusals(
    row: Checkpoint, by: User, current: Promotion | None, gates: list[promotion_policies.Gate]
) -> dict[str, str]:
    """Why neither decision can be taken, in sentences; empty where one can."""
    return {
        "promote": _refusal(lambda: _check_promotion(row, by, current, gates)),
        "roll_back": _refusal(lambda: promotion_policies.check_can_roll_back(row, by, current)),
    }


def _check_promotion(
    row: Checkpoint, by: User, current: Promotion | None, gates: list[promotion_policies.Gate]
) -> None:
    promotion_policies.check_can_promote(row, by, current)
    promotion_policies.check_gates(gates, override=True)


def _refusal(check: Callable[[], None]) -> str:
    try:
        check()
    except Refused as refused:
        return str(refused)
    return ""


def _comparisons(row: Checkpoint, current: Promotion | None, promotions: list[Promotion]) -> list[dict[str, Any]]:
    """With which models its answers are worth comparing: the one in use, and the one that it took over from."""
    found: dict[int, str] = {}
    if current and current.checkpoint_id != row.pk:
        found[current.checkpoint_id] = "the model in use"
    for made in promotions:
        if made.replaces and made.replaces.checkpoint_id != row.pk:
            found.setdefault(made.replaces.checkpoint_id, "the model that was in use before it")
    return [{"pk": pk, "words": words} for pk, words in found.items()]


def _titles(row: Checkpoint) -> dict[str, str]:
    """Principles of the version that the round trained on, with their titles."""
    return {clause.principle: clause.title for clause in row.round.version.texts()}


def _group(found: Comparison, change: Change, label: str, help_: str, titles: dict[str, str]) -> dict[str, Any]:
    share = found.share(change)
    return {
        "name": change,
        "label": label,
        "help": help_,
        "share": share,
        "principles": [
            {
                "principle": principle,
                "title": titles.get(principle, ""),
                "rows": rows,
                "amendments": found.touching(principle),
            }
            for principle, rows in found.by_principle(change).items()
        ],
    }
