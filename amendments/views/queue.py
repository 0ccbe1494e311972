"""The reviewer's queue: what is open, most pressing first, and what was decided, newest first."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from amendments.models import Amendment, AmendmentQuerySet, EdgeCase
from amendments.views.words import STATE_LABELS, kind_label, proposer_label
from config.http import render_page
from constitution.models import VersionClause
from constitution.people import PersonRequest

PAGE = 25


@require_safe
def queue(request: PersonRequest) -> HttpResponse:
    state = "decided" if request.GET.get("state") == "decided" else "open"
    after = request.GET.get("after", "")
    found = list(_decided(after)[: PAGE + 1] if state == "decided" else _open(after)[: PAGE + 1])
    shown = found[:PAGE]
    more = len(found) > PAGE
    context = {
        "state": state,
        "proposals": [_row(amendment) for amendment in shown],
        "older_url": f"?{urlencode({'state': state, 'after': _cursor(shown[-1], state)})}" if more else "",
        "newer_url": f"?state={state}" if after else "",
        **_counts(),
        **_arrivals(request.GET.get("since", "")),
    }
    return render_page(request, "amendments/queue_page.html", context, partials={"queue", "activity", "arrivals"})


def _rows() -> AmendmentQuerySet:
    clause = VersionClause.objects.filter(version=OuterRef("base"), principle=OuterRef("principle"))
    cases = EdgeCase.objects.filter(cluster=OuterRef("cluster")).order_by().values("cluster").annotate(n=Count("pk"))
    return Amendment.objects.select_related("producer", "author", "decided_by", "version").annotate(
        title=Subquery(clause.values("clause__title")),
        edge_case_count=Coalesce(Subquery(cases.values("n"), output_field=IntegerField()), 0),
    )


def _open(after: str) -> AmendmentQuerySet:
    rows = _rows().undecided().in_queue_order()
    if cursor := _split(after, float):
        priority, pk = cursor
        rows = rows.filter(Q(priority__lt=priority) | Q(priority=priority, pk__lt=pk))
    return rows


def _decided(after: str) -> AmendmentQuerySet:
    rows = _rows().decided().order_by("-decided_at", "-pk")
    if cursor := _split(after, datetime.fromisoformat):
        at, pk = cursor
        rows = rows.filter(Q(decided_at__lt=at) | Q(decided_at=at, pk__lt=pk))
    return rows


def _split(after: str, read: Any) -> tuple[Any, int] | None:
    """The two halves of a cursor, or None where somebody made one up: then the first page is shown."""
    value, _, pk = after.rpartition("~")
    try:
        return read(value), int(pk)
    except ValueError:
        return None


def _cursor(amendment: Amendment, state: str) -> str:
    if state == "decided":
        assert amendment.decided_at is not None  # noqa: S101  decided rows have a date: the schema says so
        return f"{amendment.decided_at.isoformat()}~{amendment.pk}"
    return f"{amendment.priority!r}~{amendment.pk}"


def _counts() -> dict[str, int]:
    return {
        "open_count": Amendment.objects.undecided().count(),
        "decided_count": Amendment.objects.decided().count(),
    }


def _arrivals(since: str) -> dict[str, int]:
    """How many open proposals came after the page was loaded; the page itself stays as it was read."""
    if since.isdecimal():
        known = min(int(since), 2**63 - 1)
        return {"newest": known, "arrivals": Amendment.objects.undecided().filter(pk__gt=known).count()}
    newest = Amendment.objects.order_by("-pk").values_list("pk", flat=True).first()
    return {"newest": newest or 0, "arrivals": 0}


def _row(amendment: Amendment) -> dict[str, Any]:
    return {
        "pk": amendment.pk,
        "principle": amendment.principle_id,
        "title": amendment.title or "A new clause",  # type: ignore[attr-defined]  # annotated in _rows
        "tier": amendment.tier,
        "kind_label": kind_label(amendment),
        "reason": amendment.priority_reason,
        "producer_label": proposer_label(amendment),
        "producer_is_person": amendment.author_id is not None,
        "edge_case_count": amendment.edge_case_count,  # type: ignore[attr-defined]  # annotated in _rows
        "created_at": amendment.created_at,
        "state": amendment.state,
        "state_label": STATE_LABELS[amendment.state],
        "reviews_needed": "",
        "decided_at": amendment.decided_at,
        "decided_by": str(amendment.decided_by or ""),
        "version_number": amendment.version.number if amendment.version else None,
    }
