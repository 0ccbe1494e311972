"""The text of a version, and which of its clauses hold in a context."""

from itertools import groupby
from typing import Any, get_args

from django.db.models import Max, Min, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from constitution.models import Version, VersionClause
from constitution.resolution import Context, resolve
from constitution.texts import ClauseText, Dimension

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


@require_safe
def head(request: HttpRequest) -> HttpResponse:
    version = Version.objects.head()
    if version is None:
        raise Http404("Nothing has been published yet.")
    return _page(request, version, head_number=version.number)


@require_safe
def show(request: HttpRequest, number: int) -> HttpResponse:
    version = get_object_or_404(Version, number=number)
    newest = Version.objects.head()
    return _page(request, version, head_number=newest.number if newest else number)


def _page(request: HttpRequest, version: Version, *, head_number: int) -> HttpResponse:
    rows = list(_with_age(version))
    texts = [row.clause.value for row in rows]
    fields = _context_fields(texts, request)
    chosen: Context = {field["name"]: field["value"] for field in fields if field["value"]}
    cards = _cards(rows, texts, chosen)
    context = {
        "version": version,
        "is_head": version.number == head_number,
        "head_number": head_number,
        "parent_number": version.parent_id,
        "tiers": [
            {"tier": tier, "clauses": list(found)} for tier, found in groupby(sorted(cards, key=_tier_of), key=_tier_of)
        ],
        "context_fields": fields,
        "context_chosen": bool(chosen),
        "in_force_count": sum(card["in_force"] is not False for card in cards),
        "clause_count": len(cards),
    }
    return render(request, "constitution/version_page.html", context)


def _with_age(version: Version) -> QuerySet[VersionClause]:
    """The version's clauses, each with `since`: the first version of the unbroken run that says the same."""
    earlier = VersionClause.objects.filter(principle=OuterRef("principle"), version__lte=version.number)
    other = earlier.exclude(clause=OuterRef("clause")).values("principle").annotate(last=Max("version")).values("last")
    same = earlier.filter(clause=OuterRef("clause"), version__gt=Coalesce(OuterRef("last_other"), Value(0)))
    return (
        VersionClause.objects.filter(version=version)
        .select_related("clause")
        .annotate(last_other=Subquery(other))
        .annotate(since=Subquery(same.values("principle").annotate(first=Min("version")).values("first")))
        .order_by("position")
    )


def _cards(rows: list[VersionClause], texts: list[ClauseText], chosen: Context) -> list[dict[str, Any]]:
    rulings = resolve(texts, chosen)
    return [
        {
            "clause": ruling.clause,
            "digest": row.clause.digest,
            "since": row.since,  # type: ignore[attr-defined]  # annotated in _with_age
            "in_force": ruling.in_force if chosen else None,
            "reason": ruling.reason if chosen else "",
        }
        for row, ruling in zip(rows, rulings, strict=True)
    ]


def _tier_of(card: dict[str, Any]) -> int:
    clause: ClauseText = card["clause"]
    return clause.tier


def _context_fields(texts: list[ClauseText], request: HttpRequest) -> list[dict[str, Any]]:
    """One choice for each dimension, offering the values that some clause asks about."""
    return [_context_field(name, texts, request.GET.get(name, "")) for name in DIMENSIONS]


def _context_field(name: Dimension, texts: list[ClauseText], asked: str) -> dict[str, Any]:
    values = sorted({value for text in texts for value in text.scope.get(name, ())})
    value = asked if asked in values else ""
    options = [{"value": found, "label": found, "selected": found == value} for found in values]
    return {"name": name, "label": name.capitalize(), "value": value, "options": options}
