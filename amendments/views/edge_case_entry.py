"""The ways in for edge cases that people have: a form for one, and a file for many."""

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from pydantic import ValidationError

from amendments import cases
from amendments.case_files import MOST_BYTES, RowsRefused, import_cases
from amendments.models import Label, Signal
from amendments.scenarios import Report
from constitution.errors import BadFile, Refused
from constitution.models import Version
from constitution.people import PersonRequest
from constitution.texts import DIMENSIONS, sentences

TEXTS = ("prompt", "response", "signal", "principle", "why", "label")
SHOWN = 200


@dataclass(frozen=True)
class Attempt:
    """The form as a person left it, and what is wrong with it, by field."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    refusal: str = ""
    known: Any = None
    status: int = 200


@require_http_methods(["GET", "HEAD", "POST"])
def add(request: PersonRequest) -> HttpResponse:
    if request.method != "POST":
        return _page(request, Attempt({"signal": Signal.REPORTED, "principle": request.GET.get("principle", "")[:80]}))
    values = {name: request.POST.get(name, "").strip() for name in (*TEXTS, *DIMENSIONS)}
    try:
        case = cases.add(text=_text(values), by=request.user)
    except ValidationError as error:
        return _page(request, Attempt(values, _errors(error), status=422))
    except cases.CaseKnown as known:
        return _page(request, Attempt(values, refusal=str(known), known=known.case, status=known.status))
    except Refused as refused:
        return _page(request, Attempt(values, refusal=str(refused), status=refused.status))
    messages.success(request, "Added. Others can mark it, and a proposal can rest on it.")
    return redirect(case)


@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: PersonRequest) -> HttpResponse:
    if request.method != "POST":
        return _upload_page(request)
    is_valid_only = request.POST.get("valid_only") == "yes"
    try:
        file = _file(request)
        name = PurePath(file.name or "file").name[:100]
        report = import_cases(stream=file, name=name, by=request.user, is_valid_only=is_valid_only)
    except RowsRefused as refused:
        return _upload_page(request, refusal=str(refused), report=refused.report, status=refused.status)
    except BadFile as refused:
        return _upload_page(request, refusal=str(refused), status=422)
    except Refused as refused:
        return _upload_page(request, refusal=str(refused), status=refused.status)
    return _upload_page(request, report=report, is_done=True)


def _text(values: dict[str, str]) -> cases.CaseText:
    context = {name: values[name] for name in DIMENSIONS if values[name]}
    texts = {name: values[name] for name in TEXTS}
    return cases.CaseText.model_validate({**texts, "label": texts["label"] or Label.UNKNOWN, "context": context})


def _errors(error: ValidationError) -> dict[str, list[str]]:
    """What is wrong by field; what is wrong in the context stands at its first field."""
    found: dict[str, list[str]] = {}
    for line, each in zip(sentences(error).split("\n"), error.errors(include_url=False), strict=False):
        names = [str(part) for part in each["loc"]]
        name = names[1] if names[:1] == ["context"] and len(names) > 1 else names[0] if names else ""
        sentence = line.partition(": ")[2] or line
        found.setdefault(DIMENSIONS[0] if name == "context" else name, []).append(sentence)
    return found


def _file(request: PersonRequest) -> "UploadedFile[bytes]":
    cases.check_may_add(request.user)
    file = request.FILES.get("file")
    if not isinstance(file, UploadedFile):
        raise BadFile("Choose a file first.")
    if (file.size or 0) > MOST_BYTES:
        raise BadFile(f"The file has more than {MOST_BYTES // 1024**2} megabytes. Send it in parts.")
    return file


def _page(request: PersonRequest, attempt: Attempt) -> HttpResponse:
    head = Version.objects.head()
    clauses = [(each.principle, f"{each.principle} {each.title}") for each in head.texts()] if head else []
    fields = _Fields(attempt)
    context = {
        "head": head,
        "refusal": attempt.refusal,
        "known": attempt.known,
        "mistakes": [{"place": name, "sentence": each} for name, found in attempt.errors.items() for each in found],
        "fields": [
            fields.field("prompt", "The request", rows=4),
            fields.field("response", "The response that was seen", rows=6),
            fields.field("principle", "The clause that should settle it", choices=clauses),
            fields.field("signal", "What is unsettled", choices=Signal.choices),
            fields.field("why", "Why", rows=3, help="What is wrong with the response, or with the clause."),
            fields.field("label", "The request is", choices=Label.choices),
        ],
        "context_fields": [fields.field(name, name.capitalize()) for name in DIMENSIONS],
        "role_refusal": _role_refusal(request),
    }
    return render(request, "amendments/edge_case_add_page.html", context, status=attempt.status)


class _Fields:
    """Fields as includes/field.html shows them."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def field(self, name: str, label: str, choices: Any = None, **more: Any) -> dict[str, Any]:
        value = self.attempt.values.get(name, "")
        shown: dict[str, Any] = {"name": name, "label": label, "value": value, **more}
        shown["errors"] = self.attempt.errors.get(name, [])
        if choices is not None:
            pairs = list(choices)
            shown["choices"] = [{"value": key, "label": text, "selected": key == value} for key, text in pairs]
        return shown


def _role_refusal(request: PersonRequest) -> str:
    try:
        cases.check_may_add(request.user)
    except Refused as refused:
        return str(refused)
    return ""


def _upload_page(
    request: PersonRequest,
    *,
    refusal: str = "",
    report: Report | None = None,
    is_done: bool = False,
    status: int = 200,
) -> HttpResponse:
    refused = report.refusals if report else []
    context = {
        "refusal": refusal,
        "is_done": is_done,
        "report": report,
        "refused": [{"line": each.line, "reason": each.reason[:500]} for each in refused[:SHOWN]],
        "more_refused": max(0, len(refused) - SHOWN),
        "duplicate_count": len(report.duplicates) if report else 0,
        "is_valid_only": request.POST.get("valid_only") == "yes",
        "megabytes": MOST_BYTES // 1024**2,
        "role_refusal": _role_refusal(request),
    }
    return render(request, "amendments/edge_case_import_page.html", context, status=status)
