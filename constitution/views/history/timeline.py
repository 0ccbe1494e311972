"""Every version there has been, and which of them was in force on a day."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from config.http import number_in, render_page
from constitution.models import Constitution, Tier, Version
from constitution.views import documents
from constitution.views.history.parts import Line, lines_of, tabs

PAGE = 20
STRIP = 40  # versions in the picture: those of the page, and some before them
LINES = 12  # changes of one version that are named; the others are on its comparison
SHORT = 12  # bars that have room for their number
HEIGHT, FOOT = 72, 20  # of the picture and of the numbers under it, in CSS pixels


@require_safe
def show(request: HttpRequest, slug: str = "") -> HttpResponse:
    return _page(request, documents.find(slug))


@require_safe
def as_of(request: HttpRequest, slug: str = "") -> HttpResponse:
    """To the version that was in force when the day `on` ended."""
    constitution = documents.find(slug)
    asked = request.GET.get("on", "")
    if not asked:
        return redirect(documents.url(constitution, "history"))
    day = _day(asked)
    if day is None:
        return _page(request, constitution, asked=asked, refusal=f"{asked} is not a date. Write it as 2026-03-31.")
    version = constitution.versions.as_of(datetime.combine(day, time.max, UTC))
    if version is None:
        return _page(request, constitution, asked=asked, refusal=_too_early(constitution, day))
    return redirect(documents.url(constitution, "version-detail", number=version.number))


def _day(asked: str) -> date | None:
    try:
        return date.fromisoformat(asked)
    except ValueError:
        return None


def _too_early(constitution: Constitution, day: date) -> str:
    first = constitution.versions.order_by("number").first()
    since = f"version 1 was published on {first.published_at:%-d %B %Y}" if first else "nothing has been published yet"
    return f"Nothing was in force on {day:%-d %B %Y}: {since}."


def _page(request: HttpRequest, constitution: Constitution, *, asked: str = "", refusal: str = "") -> HttpResponse:
    window = _window(constitution, number_in(request.GET.get("after", ""), digits=9))
    lines = lines_of(window)
    shown = window[:PAGE]
    newest = constitution.versions.newest()
    context = {
        "constitution": constitution,
        "others": _others(constitution),
        "tabs": tabs(constitution, "history"),
        "as_of_url": documents.url(constitution, "history-as-of"),
        "compare_url": documents.url(constitution, "compare-choose"),
        "asked": asked,
        "refusal": refusal,
        "head_number": newest.number if newest else 0,
        "strip": _strip(window, lines),
        "versions": [_entry(version, lines[version.pk], newest) for version in shown],
        "older_url": f"?after={shown[-1].number}" if len(window) > PAGE else "",
    }
    return render_page(
        request, "constitution/history_page.html", context, partials={"history"}, status=422 if refusal else 200
    )


def _others(constitution: Constitution) -> list[dict[str, str]]:
    rows = Constitution.objects.exclude(pk=constitution.pk)
    return [{"title": row.title, "url": documents.url(row, "history")} for row in rows]


def _window(constitution: Constitution, after: int | None) -> list[Version]:
    """Newest first. The amendment and the rounds belong to the rooms above; only the way back to them is used here."""
    rows = constitution.versions.select_related("constitution", "published_by", "amendment").prefetch_related("rounds")
    if after is not None:
        rows = rows.filter(number__lt=after)
    return list(rows.order_by("-number")[:STRIP])


def _entry(version: Version, lines: list[Line], newest: Version | None) -> dict[str, Any]:
    amendment = getattr(version, "amendment", None)
    rounds = sorted(version.rounds.all(), key=lambda found: -found.pk)
    is_founding = version.parent_id is None
    return {
        "number": version.number,
        "url": documents.url(version.constitution, "version-detail", number=version.number),
        "blame_url": documents.url(version.constitution, "version-blame", number=version.number),
        "compare_url": "" if is_founding else documents.compare_url(version),
        "title": version.title,
        "summary": version.summary,
        "digest": version.digest,
        "published_at": version.published_at,
        "published_by": version.published_by,
        "is_head": newest is not None and version.number == newest.number,
        "is_founding": is_founding,
        "parent_number": version.number - 1,
        "changes": [] if is_founding else lines[:LINES],
        "change_count": len(lines),
        "more_count": max(0, len(lines) - LINES),
        "amendment_pk": amendment.pk if amendment else None,
        "round_pk": rounds[0].pk if rounds else None,
        "round_label": rounds[0].state if rounds else "",
    }


def _strip(window: Sequence[Version], lines: dict[int, list[Line]]) -> dict[str, Any]:
    """The picture: for each version, oldest first, a bar of as many clauses as it changed, by tier.

    Places across are percents, heights CSS pixels. The founding version is not to scale: it would flatten the others.
    """
    versions = list(reversed(window))
    highest = max((len(lines[version.pk]) for version in versions if version.parent_id), default=0)
    width = 100 / max(len(versions), SHORT)
    return {
        "bars": [
            _bar(version, lines[version.pk], place * width, width, highest) for place, version in enumerate(versions)
        ],
        "height": HEIGHT,
        "full_height": HEIGHT + FOOT if len(versions) <= SHORT else HEIGHT + 1,
        "is_short": len(versions) <= SHORT,
        "highest": highest,
        "first": versions[0] if versions else None,
        "last": versions[-1] if versions else None,
    }


def _bar(version: Version, lines: list[Line], left: float, width: float, highest: int) -> dict[str, Any]:
    counts = {tier.value: sum(line.tier == tier for line in lines) for tier in Tier}
    is_founding = version.parent_id is None
    parts, top = [], float(HEIGHT)
    for tier, count in counts.items():
        height = 0.0 if is_founding else (HEIGHT - 2) * count / max(highest, 1)
        top -= height
        parts += [{"tier": tier, "y": round(top, 2), "height": round(height, 2)}] if height else []
    return {
        "number": version.number,
        "url": documents.url(version.constitution, "version-detail", number=version.number),
        "published_at": version.published_at,
        "x": round(left + width * 0.12, 3),
        "centre": round(left + width * 0.5, 3),
        "width": round(width * 0.76, 3),
        "is_founding": is_founding,
        "parts": parts,
        "counts": list(counts.values()),
        "total": len(lines),
    }
