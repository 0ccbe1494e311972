"""The text of a version, and which of its clauses hold in a context."""

from itertools import groupby
from typing import Any, get_args

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from constitution.models import Constitution, Version, VersionClause
from constitution.resolution import Context, resolve
from constitution.texts import ClauseText, Dimension
from constitution.views import documents

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


@require_safe
def head(request: HttpRequest, slug: str = "") -> HttpResponse:
    version = documents.find(slug).versions.select_related("constitution", "published_by").newest()
    if version is None:
        raise Http404("Nothing has been published yet.")
    return _page(request, version, head_number=version.number)


@require_safe
def show(request: HttpRequest, number: int, slug: str = "") -> HttpResponse:
    constitution = documents.find(slug)
    version = documents.find_version(constitution, number)
    newest = constitution.versions.newest()
    return _page(request, version, head_number=newest.number if newest else number)


def _page(request: HttpRequest, version: Version, *, head_number: int) -> HttpResponse:
    rows = list(version.version_clauses.select_related("clause").order_by("position"))
    texts = [row.clause.value for row in rows]
    fields = _context_fields(texts, request)
    chosen: Context = {field["name"]: field["value"] for field in fields if field["value"]}
    cards = _cards(version.constitution, rows, texts, chosen)
    context = {
        "version": version,
        "is_head": version.number == head_number,
        "head_number": head_number,
        "head_url": documents.url(version.constitution, "head"),
        "history_url": documents.url(version.constitution, "history"),
        "compare_url": documents.compare_url(version) if version.number > 1 else "",
        "tiers": [
            {"tier": tier, "clauses": list(found)} for tier, found in groupby(sorted(cards, key=_tier_of), key=_tier_of)
        ],
        "context_fields": fields,
        "context_chosen": bool(chosen),
        "in_force_count": sum(card["in_force"] is not False for card in cards),
        "clause_count": len(cards),
    }
    return render(request, "constitution/version_page.html", context)


def _cards(
    constitution: Constitution, rows: list[VersionClause], texts: list[ClauseText], chosen: Context
) -> list[dict[str, Any]]:
    rulings = resolve(texts, chosen)
    return [
        {
            "clause": ruling.clause,
            "digest": row.clause.digest,
            "since": row.since,
            "since_url": documents.url(constitution, "version-detail", number=row.since),
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
