"""The list of edge cases, the page of one, and what people say of them."""

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from amendments import cases
from amendments.case_filters import ORDERS, CaseFilter, few_or_many, order_in, page_of
from amendments.models import (
    Amendment,
    CaseMark,
    Cluster,
    EdgeCase,
    EdgeCaseQuerySet,
    Label,
    MarkKind,
    Scenario,
    Signal,
)
from amendments.models.cases import ENOUGH
from amendments.views.words import STATE_LABELS, score_words
from config.http import number_in, numbers_in, render_page
from constitution.errors import NotAllowed, Refused
from constitution.models import User, Version, VersionClause
from constitution.people import PersonRequest

FEW = 5
FIRST = ("q", "signal", "mark")


@require_safe
def edge_cases(request: PersonRequest) -> HttpResponse:
    return list_page(request, request.GET)


@require_safe
def detail(request: PersonRequest, case: int) -> HttpResponse:
    return case_page(request, load(case))


@require_POST
def mark(request: PersonRequest, case: int) -> HttpResponse:
    found = load(case)
    try:
        _mark(request, [found])
    except Refused as refused:
        return case_page(request, found, error=str(refused), status=refused.status)
    messages.success(request, "Marked. You can change it at any time.")
    return redirect(found)


@require_POST
def mark_many(request: PersonRequest) -> HttpResponse:
    query = QueryDict(request.POST.get("query", "")[:2000])
    keys = numbers_in(request.POST.getlist("case"))
    try:
        count = _mark(request, list(EdgeCase.objects.filter(pk__in=keys).order_by("pk")))
    except Refused as refused:
        return list_page(request, query, chosen=keys, error=str(refused), status=refused.status)
    messages.success(request, f"Marked {count} edge case{'s' if count > 1 else ''}.")
    return redirect(f"{reverse('amendments:edge-cases')}?{query.urlencode()}")


def load(pk: int) -> EdgeCase:
    rows = EdgeCase.objects.select_related("scenario", "version", "cluster__merged_into", "producer", "author")
    return get_object_or_404(rows, pk=pk)


def with_marks(rows: EdgeCaseQuerySet) -> EdgeCaseQuerySet:
    """With all that a row of a list shows, in a constant number of queries."""
    marked = rows.select_related("scenario", "version", "cluster", "producer", "author")
    return marked.prefetch_related("marks__person")


def list_page(
    request: PersonRequest, query: QueryDict, *, chosen: Collection[int] = (), error: str = "", status: int = 200
) -> HttpResponse:
    """The list as `query` asks for it, with what was just tried."""
    found = CaseFilter(query, queryset=EdgeCase.objects.all())
    order = order_in(query)
    rows, count, is_exact = few_or_many(found.qs)
    shown, after = page_of(with_marks(rows), order=order, after=query.get("after", ""))
    fields = [found.form[name] for name in found.form.fields]
    plain = _without(query, "after")
    context = {
        "fields": [field for field in fields if field.name in FIRST],
        "more_fields": [field for field in fields if field.name not in FIRST],
        "more_open": any(query.get(field.name) for field in fields if field.name not in FIRST),
        "orders": [{"value": value, "label": label, "is_chosen": value == order} for value, label in ORDERS],
        "is_filtered": any(query.get(field.name) for field in fields),
        "count": count,
        "is_exact": is_exact,
        "cases": [case_row(case, chosen=chosen) for case in shown],
        "first_url": f"?{plain.urlencode()}" if query.get("after") else "",
        "next_url": f"?{_with(plain, after=after).urlencode()}" if after else "",
        "query": query.urlencode(),
        "marking": marking(request, error=error),
        "add_refusal": _refusal(cases.check_may_add, request.user),
    }
    partials = {"edge-cases"}
    return render_page(request, "amendments/edge_cases_page.html", context, partials=partials, status=status)


def case_row(case: EdgeCase, *, chosen: Collection[int] = ()) -> dict[str, Any]:
    """An edge case in a list: the request in one line, never the response."""
    marks = list(case.marks.all())
    return {
        "pk": case.pk,
        "url": case.get_absolute_url(),
        "prompt": " ".join(case.scenario.prompt.split()),
        "label": case.scenario.label,
        "label_words": case.scenario.get_label_display(),
        "signal_label": case.get_signal_display(),
        "score_words": score_words(case),
        "principle": case.principle_id,
        "cluster": {"name": str(case.cluster), "url": case.cluster.get_absolute_url()},
        "finder": str(case.finder),
        "version_number": case.version.number,
        "surfaced_at": case.surfaced_at,
        "marks": _mark_words(marks),
        "is_left_out": is_left_out(marks),
        "is_chosen": case.pk in chosen,
    }


def is_left_out(marks: Iterable[CaseMark]) -> bool:
    """Whether two people, or an operator, called it noise."""
    return sum(mark.weight for mark in marks if mark.kind == MarkKind.NOISE) >= ENOUGH


def marking(request: PersonRequest, *, error: str = "", mine: CaseMark | None = None) -> dict[str, Any]:
    """The fields with which a person marks: what they sent last, or said before."""
    said = request.POST
    kind = said.get("kind", mine.kind if mine else "")
    signal = said.get("signal", mine.signal if mine else "")
    other = mine.duplicate_of_id if mine else None
    return {
        "kinds": [{"value": value, "label": label, "is_chosen": value == kind} for value, label in MarkKind.choices],
        "signals": [{"value": value, "label": label, "is_chosen": value == signal} for value, label in Signal.choices],
        "duplicate_of": said.get("duplicate_of", other or ""),
        "note": said.get("note", mine.note if mine else ""),
        "error": error,
        "refusal": _refusal(cases.check_may_mark, request.user),
    }


def case_page(request: PersonRequest, case: EdgeCase, *, error: str = "", status: int = 200) -> HttpResponse:
    """The page of an edge case, with what was just tried."""
    marks = list(case.marks.select_related("person").order_by("pk"))
    mine = next((mark for mark in marks if mark.person_id == request.user.pk), None)
    cluster = case.cluster
    siblings = with_marks(cluster.edge_cases.counted()).exclude(pk=case.pk).strongest_first()
    context = {
        "case": _facts(case),
        "near": case.detail.get("near"),
        "verdicts": case.detail.get("verdicts", []),
        "marks": [_mark_row(mark) for mark in marks],
        "is_left_out": is_left_out(marks),
        "marking": marking(request, error=error, mine=mine),
        "cluster": {"name": str(cluster), "url": cluster.get_absolute_url(), "pk": cluster.pk},
        "siblings": [case_row(other) for other in siblings[:FEW]],
        "twin": _twin(case.scenario),
        "proposals": proposals_from(cluster),
        "may_propose": is_in_force(case.principle_id),
    }
    return render_page(request, "amendments/edge_case_page.html", context, partials=(), status=status)


def proposals_from(cluster: Cluster) -> list[dict[str, Any]]:
    """The proposals that rest on a cluster, or on one that was merged into it."""
    family = level = [cluster.pk]
    while level := list(Cluster.objects.filter(merged_into__in=level).order_by("pk").values_list("pk", flat=True)):
        family = [*family, *level]
    rows = Amendment.objects.filter(cluster__in=family).on_the_desk().order_by("-pk")[:20]
    return [
        {
            "pk": row.pk,
            "url": row.get_absolute_url(),
            "principle": row.principle_id,
            "state": row.state,
            "state_label": STATE_LABELS.get(row.state, row.state),
        }
        for row in rows
    ]


def is_in_force(principle: str) -> bool:
    """Whether the head version has a clause of it, which can be amended."""
    head = Version.objects.head()
    return bool(head and VersionClause.objects.filter(version=head, principle=principle).exists())


def _mark(request: PersonRequest, chosen: list[EdgeCase]) -> int:
    said = request.POST
    if said.get("kind") not in MarkKind.values:
        raise Refused("Say what you hold of it.")
    other = said.get("duplicate_of", "").strip().removeprefix("#")
    duplicate_of = EdgeCase.objects.filter(pk=number_in(other) or 0).first()
    if other and said["kind"] == MarkKind.DUPLICATE and duplicate_of is None:
        raise Refused(f"There is no edge case {other[:20]}.")
    return cases.mark(
        cases=chosen,
        kind=MarkKind(said["kind"]),
        by=request.user,
        duplicate_of=duplicate_of,
        signal=said.get("signal", ""),
        note=said.get("note", ""),
    )


def _facts(case: EdgeCase) -> dict[str, Any]:
    producer = case.producer
    return {
        **case_row(case),
        "text": case.scenario.prompt,
        "context": [{"name": name, "value": value} for name, value in case.scenario.context.items()],
        "response": case.response,
        # What nobody has called harmless is not shown before somebody asks for it.
        "is_veiled": case.scenario.label != Label.BENIGN,
        "score": case.score,
        "signal_meaning": Signal(case.signal).meaning,
        "why": case.why,
        "is_person": producer is None,
        "checkpoint": producer.checkpoint if producer else "",
        "source": case.scenario.source,
    }


def _mark_row(mark: CaseMark) -> dict[str, Any]:
    return {
        "label": mark.get_kind_display(),
        "person": str(mark.person),
        "at": mark.at,
        "note": mark.note,
        "duplicate_of": mark.duplicate_of_id,
        "signal_label": mark.get_signal_display() if mark.signal else "",
        "is_operators": mark.weight == ENOUGH,
    }


def _mark_words(marks: Iterable[CaseMark]) -> list[str]:
    """What people hold of it: “Noise, by ada”."""
    return [f"{mark.get_kind_display()}, by {mark.person}" for mark in sorted(marks, key=lambda mark: mark.pk)]


def _twin(scenario: Scenario) -> dict[str, Any] | None:
    """The request that looks alike and is of the other kind, with its edge case where it has one."""
    if not scenario.pair:
        return None
    others = Scenario.objects.filter(pair=scenario.pair, held_out=False).exclude(label=scenario.label)
    other = others.order_by("pk").first()
    if other is None:
        return None
    case = other.edge_cases.order_by("-pk").first()
    url = case.get_absolute_url() if case else ""
    return {"prompt": other.prompt, "label_words": other.get_label_display(), "url": url}


def _refusal(check: Any, user: User) -> str:
    """The sentence on a disabled button: the same function that guards the action says it."""
    try:
        check(user)
    except NotAllowed as refused:
        return str(refused)
    return ""


def _without(query: QueryDict, *names: str) -> QueryDict:
    changed = query.copy()
    for name in names:
        changed.pop(name, None)
    return changed


def _with(query: QueryDict, **values: str) -> QueryDict:
    changed = query.copy()
    for name, value in values.items():
        changed[name] = value
    return changed
