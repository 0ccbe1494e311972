"""What changed from version to version, by whom, and what came of it."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from config.http import render_page
from constitution.diffs import Change, changes, redline
from constitution.models import Clause, Constitution, Version, VersionClause
from constitution.texts import ClauseText
from constitution.views import documents

PAGE = 20


@require_safe
def timeline(request: HttpRequest, slug: str = "") -> HttpResponse:
    constitution = documents.find(slug)
    versions = _page_of_versions(constitution, request.GET.get("after", ""))
    more = len(versions) > PAGE
    shown = versions[:PAGE]
    newest = constitution.versions.newest()
    context = {
        "constitution": constitution,
        "versions": _entries(shown, head_number=newest.number if newest else 0),
        "older_url": f"?after={shown[-1].number}" if more else "",
    }
    return render_page(request, "constitution/history_page.html", context, partials={"history"})


@require_safe
def compare(request: HttpRequest, old: int, new: int, slug: str = "") -> HttpResponse:
    constitution = documents.find(slug)
    before, after = (documents.find_version(constitution, number) for number in (old, new))
    old_texts, new_texts = before.texts(), after.texts()
    found = changes(old_texts, new_texts)
    has_next = constitution.versions.filter(number=new + 1).exists()
    context = {
        "constitution": constitution,
        "old": before,
        "new": after,
        "changes": [_comparison(change) for change in found],
        "unchanged_count": len(new_texts) - sum(change.after is not None for change in found),
        "history_url": documents.url(constitution, "history"),
        "old_url": documents.url(constitution, "version-detail", number=old),
        "new_url": documents.url(constitution, "version-detail", number=new),
        "previous_url": documents.url(constitution, "compare", old=old - 1, new=new - 1) if old > 1 else "",
        "next_url": documents.url(constitution, "compare", old=old + 1, new=new + 1) if has_next else "",
    }
    return render(request, "constitution/compare_page.html", context)


def _page_of_versions(constitution: Constitution, after: str) -> list[Version]:
    """One more than a page, newest first. The amendment and the rounds belong to the rooms above; only the way back
    to them is used here."""
    rows = constitution.versions.select_related("constitution", "published_by", "amendment").prefetch_related("rounds")
    if after.isdecimal():
        rows = rows.filter(number__lt=min(int(after), 2**31 - 1))
    return list(rows.order_by("-number")[: PAGE + 1])


def _entries(versions: Sequence[Version], *, head_number: int) -> list[dict[str, Any]]:
    sets = _clause_ids({pk for version in versions for pk in (version.pk, version.parent_id or 0)})
    differing = {version.pk: _differing(sets, version) for version in versions}
    titles = Clause.objects.in_bulk({pk for found in differing.values() for _, _, pk in found})
    return [
        _entry(version, [_line(kind, titles[pk]) for _, kind, pk in differing[version.pk]], sets, head_number)
        for version in versions
    ]


def _entry(
    version: Version, lines: list[dict[str, Any]], sets: dict[int, dict[str, int]], head_number: int
) -> dict[str, Any]:
    amendment = getattr(version, "amendment", None)
    rounds = sorted(version.rounds.all(), key=lambda found: -found.pk)
    is_founding = version.parent_id is None
    return {
        "number": version.number,
        "url": documents.url(version.constitution, "version-detail", number=version.number),
        "compare_url": "" if is_founding else documents.compare_url(version),
        "title": version.title,
        "summary": version.summary,
        "digest": version.digest,
        "published_at": version.published_at,
        "published_by": version.published_by,
        "is_head": version.number == head_number,
        "parent_number": version.number - 1,
        "changes": [] if is_founding else lines,
        "change_count": len(sets[version.pk]) if is_founding else len(lines),
        "amendment_pk": amendment.pk if amendment else None,
        "round_pk": rounds[0].pk if rounds else None,
        "round_label": rounds[0].state if rounds else "",
    }


def _clause_ids(keys: Iterable[int]) -> dict[int, dict[str, int]]:
    """Principle -> clause key, for each of the versions. One query."""
    sets: dict[int, dict[str, int]] = {key: {} for key in keys}
    rows = VersionClause.objects.filter(version__in=sets).order_by("version", "position")
    for version, principle, clause in rows.values_list("version", "principle", "clause"):
        sets[version][principle] = clause
    return sets


def _differing(sets: dict[int, dict[str, int]], version: Version) -> list[tuple[str, str, int]]:
    """(principle, kind, clause key) for each principle that differs from the version before."""
    before, after = sets.get(version.parent_id or 0, {}), sets[version.pk]
    found = [
        (name, "revised" if name in before else "added", clause)
        for name, clause in after.items()
        if before.get(name) != clause
    ]
    return found + [(name, "repealed", clause) for name, clause in before.items() if name not in after]


def _line(kind: str, clause: Clause) -> dict[str, Any]:
    return {"principle": clause.principle_id, "title": clause.title, "tier": clause.tier, "kind_label": kind}


def _comparison(change: Change) -> dict[str, Any]:
    shown = change.after or change.before
    assert shown is not None  # noqa: S101  a change has a side
    before, after = change.before, change.after
    return {
        "principle": change.principle,
        "title": shown.title,
        "tier": shown.tier,
        "kind_label": change.kind,
        "redline": redline(before.text if before else "", after.text if after else ""),
        "fields": _fields(before, after) if before and after else [],
        "examples_added": _examples(after, without=before),
        "examples_removed": _examples(before, without=after),
    }


def _fields(before: ClauseText, after: ClauseText) -> list[dict[str, str]]:
    pairs = (
        ("Title", before.title, after.title),
        ("Tier", str(before.tier), str(after.tier)),
        ("Scope", _scope(before), _scope(after)),
    )
    return [{"label": label, "before": old, "after": new} for label, old, new in pairs if old != new]


def _scope(clause: ClauseText) -> str:
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in clause.scope.items()) or "everywhere"


def _examples(side: ClauseText | None, *, without: ClauseText | None) -> list[Any]:
    if side is None:
        return []
    known = without.examples if without else ()
    return [example for example in side.examples if example not in known]
