"""Where each sentence of a version comes from."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from constitution.blame import Source, passages, sources
from constitution.models import Constitution, VersionClause
from constitution.views import documents
from constitution.views.history.parts import tabs


@require_safe
def show(request: HttpRequest, number: int, slug: str = "") -> HttpResponse:
    constitution = documents.find(slug)
    version = documents.find_version(constitution, number)
    rows = list(version.version_clauses.select_related("clause").order_by("position"))
    known = sources(constitution, {origin for row in rows for origin in row.origins})
    # One line for each version, made once: a long law quotes the same few versions in hundreds of places.
    lines = {origin: _line(constitution, source, number) for origin, source in known.items()}
    context = {
        "constitution": constitution,
        "tabs": tabs(constitution, ""),
        "version": version,
        "version_url": documents.url(constitution, "version-detail", number=number),
        "history_url": documents.url(constitution, "history"),
        "older_url": documents.url(constitution, "version-blame", number=number - 1) if number > 1 else "",
        "clauses": [_clause(constitution, row, lines) for row in rows],
        "source_count": len(known),
    }
    return render(request, "constitution/blame_page.html", context)


def _line(constitution: Constitution, source: Source, number: int) -> dict[str, Any]:
    url = documents.url(constitution, "version-detail", number=source.number)
    note = render_to_string("includes/source.html", {"source": source, "constitution": constitution})
    return {"source": source, "note": note, "url": url, "is_new": source.number == number}


def _clause(constitution: Constitution, row: VersionClause, lines: dict[int, dict[str, Any]]) -> dict[str, Any]:
    return {
        "principle": row.principle_id,
        "title": row.clause.title,
        "tier": row.clause.tier,
        "since": row.since,
        "life_url": documents.url(constitution, "clause-life", principle=row.principle_id),
        "passages": [{"text": text.strip(), **lines[origin]} for origin, text in passages(row)],
    }
