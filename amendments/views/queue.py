"""The reviewer's queue: what is open, most pressing first, narrowed by what the address asks for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from amendments.bulk import MOST
from amendments.filters import BoundedCount, QueueFilter, bounded_counts
from amendments.models import Amendment, AmendmentQuerySet, EdgeCase, SavedView
from amendments.views.words import STATE_LABELS, assignee_label, kind_label, proposer_label
from config.http import is_fragment, number_in, render_page
from constitution.models import Role, User, VersionClause
from constitution.people import PersonRequest

TEMPLATE = "amendments/queue_page.html"
PAGE = 25
MOST_COUNTED = 1_000  # of what matches
MOST_ON_A_TAB = 99
MOST_CASES = 999  # of the edge cases behind one proposal
# Views that everybody has: a name, and the query part of the address.
BUILT_IN = (
    ("Undecided", ""),
    ("My turn", "turn=mine"),
    ("Assigned to me", "assignee=me"),
    ("Conflicted", "state=conflicted"),
    ("Before the board", "turn=board"),
    ("From people", "by=people"),
    ("Deferred", "deferred=only"),
    ("Decided", "state=decided"),
)


@require_safe
def queue(request: PersonRequest) -> HttpResponse:
    filters = filters_of(request)
    if is_fragment(request) and request.htmx.target == "arrivals":  # type: ignore[attr-defined]
        context = {
            "query": filters.query,
            "is_decided": filters.is_decided,
            **_arrivals(filters, request.GET.get("since", "")),
        }
        return render_page(request, TEMPLATE, context, partials={"arrivals"})
    found = list(_page(filters, request.GET.get("after", ""))[: PAGE + 1])
    shown = found[:PAGE]
    context = {
        **_narrowed(request, filters, is_empty=not shown),
        "trail": filters.trail,
        "proposals": [row(amendment, request.user) for amendment in shown],
        "older_url": _older(filters, shown[-1]) if len(found) > PAGE else "",
        "newer_url": f"?{filters.query}" if request.GET.get("after") else "",
        **_arrivals(filters, request.GET.get("since", "")),
    }
    return render_page(request, TEMPLATE, context, partials={"queue", "activity"})


def filters_of(request: PersonRequest) -> QueueFilter:
    """What the address asks for; of a form that was sent, its field `filters`."""
    asked = dict(parse_qsl(request.POST.get("filters", ""))) if request.method == "POST" else request.GET.dict()
    return QueueFilter(asked, viewer=request.user)


def titled(rows: AmendmentQuerySet) -> AmendmentQuerySet:
    """`rows` with the title of the clause that each is about, as it was when it was written."""
    clause = VersionClause.objects.filter(version=OuterRef("base"), principle=OuterRef("principle"))
    return rows.annotate(title=Subquery(clause.values("clause__title")))


def displayed(rows: AmendmentQuerySet) -> AmendmentQuerySet:
    """`rows` with all that a row of the list shows."""
    cluster = Coalesce(OuterRef("cluster__merged_into"), OuterRef("cluster"))
    cases = EdgeCase.objects.counted().filter(cluster=cluster).order_by().values("pk")
    people = ("author", "decided_by", "assignee", "claim__holder")
    return titled(rows.select_related("producer", "version", *people)).annotate(
        edge_case_count=BoundedCount(cases[: MOST_CASES + 1])
    )


def counted(count: int, most: int) -> str:
    """A bounded count as people read it."""
    return f"more than {most:,}" if count > most else f"{count:,}"


def _narrowed(request: PersonRequest, filters: QueueFilter, *, is_empty: bool) -> dict[str, Any]:
    """The filters, the views and their counts."""
    filters.offer()
    views = list(request.user.saved_views.all())
    counts = _counts(filters, views)
    matching = counts[filters.query]
    current = next((view for view in views if view.query == filters.query), None)
    return {
        "filters": filters,
        "query": filters.query,
        "is_decided": filters.is_decided,
        "is_whole": not filters.query,
        "tabs": _tabs(filters, views, counts),
        "current": current,
        "matching": matching,
        "matching_words": counted(matching, MOST_COUNTED),
        "may_review": request.user.has_role(Role.REVIEWER),
        "most_at_once": MOST,
        "drops": _drops(filters) if is_empty else [],
    }


def _counts(filters: QueueFilter, views: Sequence[SavedView]) -> dict[str, int]:
    """How many match, and how many each other view has, in one statement however many views there are."""
    asked = {query for _, query in BUILT_IN} | {view.query for view in views}
    others = {query: (filters.beside(query), MOST_ON_A_TAB) for query in asked - {filters.query}}
    return bounded_counts({filters.query: (filters.qs, MOST_COUNTED), **others}, viewer=filters.viewer)


def _tabs(filters: QueueFilter, views: Sequence[SavedView], counts: dict[str, int]) -> list[dict[str, Any]]:
    everything = [*BUILT_IN[:-1], *((view.name, view.query) for view in views), BUILT_IN[-1]]
    return [
        {
            "label": label,
            "url": f"?{query}",
            "is_here": query == filters.query,
            "count": _on_a_tab(counts[query]),
        }
        for label, query in everything
    ]


def _on_a_tab(count: int) -> str:
    return f"{MOST_ON_A_TAB}+" if count > MOST_ON_A_TAB else str(count)


def _drops(filters: QueueFilter) -> list[dict[str, str]]:
    """Which filters to drop where nothing matches: those without which something does."""
    chips = {chip.label: chip for chip in filters.chips()}
    rows = {label: (filters.beside(chip.without), MOST_ON_A_TAB) for label, chip in chips.items()}
    counts = bounded_counts(rows, viewer=filters.viewer)
    return [
        {"label": label, "url": f"?{chips[label].without}", "count": _on_a_tab(count)}
        for label, count in counts.items()
        if count
    ]


def _page(filters: QueueFilter, after: str) -> AmendmentQuerySet:
    rows = displayed(filters.ordered())
    if filters.is_decided:
        return rows.decided_before(*cursor) if (cursor := _split(after, datetime.fromisoformat)) else rows
    return rows.behind(cursor) if (cursor := _split(after, float)) else rows


def _split(after: str, read: Any) -> tuple[Any, int] | None:
    """The two halves of a cursor, or None where somebody made one up: then the first page is shown."""
    value, _, pk = after.rpartition("~")
    try:
        return read(value), int(pk)
    except ValueError:
        return None


def _older(filters: QueueFilter, last: Amendment) -> str:
    at = last.decided_at.isoformat() if filters.is_decided and last.decided_at else repr(last.priority)
    return "?" + urlencode({**filters.values, "after": f"{at}~{last.pk}"})


def _arrivals(filters: QueueFilter, since: str) -> dict[str, Any]:
    """How many came after the page was loaded that match its filters; the page itself stays as it was read."""
    if (known := number_in(since)) is not None:
        fresh = filters.qs.filter(pk__gt=known)
        arrived = len(fresh.order_by("pk").values_list("pk", flat=True)[: MOST_ON_A_TAB + 1])
        return {"newest": known, "arrivals": arrived, "arrivals_words": _on_a_tab(arrived)}
    newest = Amendment.objects.order_by("-pk").values_list("pk", flat=True).first()
    return {"newest": newest or 0, "arrivals": 0, "arrivals_words": ""}


def row(amendment: Amendment, viewer: User) -> dict[str, Any]:
    """A line of the list. `amendment` comes from `displayed`."""
    cases = amendment.edge_case_count  # type: ignore[attr-defined]  # annotated in displayed
    deferred = amendment.deferred_until
    return {
        "pk": amendment.pk,
        "digest": amendment.digest,
        "principle": amendment.principle_id,
        "title": amendment.title or "A new clause",  # type: ignore[attr-defined]  # annotated in displayed
        "tier": amendment.tier,
        "kind_label": kind_label(amendment),
        "reason": amendment.priority_reason,
        "producer_label": proposer_label(amendment),
        "producer_is_person": amendment.author_id is not None,
        "cases_words": counted(cases, MOST_CASES),
        "edge_case_count": cases,
        "created_at": amendment.created_at,
        "state": amendment.state,
        "state_label": STATE_LABELS[amendment.state],
        "conflicted_since": amendment.conflicted_since,
        "decided_at": amendment.decided_at,
        "decided_by": str(amendment.decided_by or ""),
        "version_number": amendment.version.number if amendment.version else None,
        "assignee": assignee_label(amendment),
        "is_before_board": amendment.referred_at is not None and amendment.is_undecided,
        "deferred_until": deferred if deferred and deferred > timezone.now() and amendment.is_undecided else None,
        "hand": hand(amendment, viewer),
    }


def hand(amendment: Amendment, viewer: User) -> str:
    """Who has it in hand, as a sentence; empty where nobody has."""
    claim = getattr(amendment, "claim", None)
    if claim is None or claim.until <= timezone.now() or not amendment.is_undecided:
        return ""
    return f"In your hands until {claim.until:%H:%M}" if claim.holder == viewer else f"{claim.holder} has it in hand"
