"""The page on which an operator begins a round: what it would be trained with; begun, or refused with all kept."""

import json
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from config.http import refuse, render_page
from constitution.errors import NotAllowed, Refused
from constitution.models import Version
from constitution.people import PersonRequest
from training import beginning, coordinator, policies
from training.errors import BadSettings
from training.forms import NAMES, NO, OFFERED, PRESET_LABELS, YES, BeginForm
from training.plan_changes import named, spoken
from training.recipes.plan import PRESETS

WORDS = {True: "yes", False: "no"}


@require_http_methods(["GET", "HEAD", "POST"])
def begin(request: PersonRequest) -> HttpResponse:
    """The form; sent with `show`, it comes back with the values of the preset that it names."""
    if request.method != "POST":
        return _page(request, BeginForm(settings.ROUND_PRESET))
    form = BeginForm.read(request.POST)
    if request.POST.get("show"):
        return _page(request, form)
    number = request.POST.get("version", "")
    version = (
        Version.objects.home().filter(number=int(number) if number.isdecimal() and len(number) < 10 else 0).first()
    )
    if version is None:
        return _page(request, form, refusal="Say for which version the round is.", status=422)
    try:
        round_ = beginning.begin(
            version=version, preset=form.preset, changes=form.changes(), note=form.note, by=request.user
        )
    except BadSettings as refused:
        form.problems = dict(refused.problems)
        return _page(request, form, status=refused.status)
    except Refused as refused:
        return _page(request, form, refusal=str(refused), status=refused.status)
    messages.success(request, f"Round {round_.pk} begins as soon as a gpu worker is free.")
    return redirect("training:round-detail", round_.pk)


def _page(request: PersonRequest, form: BeginForm, *, refusal: str = "", status: int = 200) -> HttpResponse:
    head, hindrance, in_the_way = Version.objects.head(), "", None
    try:
        policies.check_can_begin(head, request.user)
    except NotAllowed as refused:
        return refuse(request, status=refused.status, title="Not for your role", sentence=str(refused))
    except Refused as refused:
        hindrance, in_the_way = str(refused), getattr(refused, "round_pk", None)
    context = {
        "version": head,
        "refusal": "" if refusal == hindrance else refusal,
        "hindrance": hindrance,
        "in_the_way": in_the_way,
        "is_unsaved": request.method == "POST",
        "preset": form.preset,
        "presets": [
            {"value": name, "label": PRESET_LABELS[name], "selected": name == form.preset}
            for name in sorted(PRESETS, key=list(PRESET_LABELS).index)
        ],
        "usual": settings.ROUND_PRESET,
        "parts": _parts(form, form.own(seed=coordinator.seed_of(head) if head else 0)),
        "preset_problem": form.problems.get("preset", ""),
        "note": form.note,
        "note_problem": form.problems.get("note", ""),
        "problems": [
            {"place": name, "sentence": f"{spoken(*named(name))}: {sentence}" if name in NAMES else sentence}
            for name, sentence in form.problems.items()
        ],
    }
    return render_page(request, "training/round_begin_page.html", context, partials={"begin-settings"}, status=status)


def _parts(form: BeginForm, own: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"title": title, "fields": [_field(name, what, form, own.get(name)) for name, what in offered.items()]}
        for title, offered in OFFERED.items()
    ]


def _field(name: str, what: str, form: BeginForm, own: Any) -> dict[str, Any]:
    """One setting as it was typed, with the preset's own value; `choices` where it is yes or no."""
    typed = form.typed.get(name, "")
    chosen = {YES: "Yes", NO: "No"} if isinstance(own, bool) else {}
    return {
        "name": name,
        "label": _label(name),
        "value": typed,
        "own": "" if own is None else WORDS.get(own, "") if isinstance(own, bool) else json.dumps(own),
        "help": what,
        "error": form.problems.get(name, ""),
        "is_set": bool(typed),
        "choices": [{"value": value, "label": words, "selected": value == typed} for value, words in chosen.items()],
    }


def _label(name: str) -> str:
    words = named(name)[1]
    return words[:1].upper() + words[1:]
