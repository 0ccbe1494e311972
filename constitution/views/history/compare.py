"""Two versions side by side: what came, went, was reworded, renamed or moved."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from config.http import number_in
from constitution.diffs import Change, changes, moves, with_renames
from constitution.models import Clause, Constitution, Version, VersionClause
from constitution.views import documents
from constitution.views.history.parts import comparison, tabs

PAGE = 50  # changes whose words are shown at once
Places = dict[str, int]  # principle -> key of its clause, in the order of the document


class Pair(NamedTuple):
    """What two versions differ in. `places` has those that moved: principle -> (old place, new place)."""

    found: list[Change]
    places: dict[str, tuple[int, int]]
    moved_only: list[Clause]
    unchanged_count: int


@require_safe
def choose(request: HttpRequest, slug: str = "") -> HttpResponse:
    """Two numbers into the address of their comparison."""
    constitution = documents.find(slug)
    newest = constitution.versions.aggregate(newest=Max("number"))["newest"] or 0
    asked = [request.GET.get(name, "").strip() for name in ("old", "new")]
    old, new = (number_in(raw, digits=9) for raw in asked)
    if old and new and max(old, new) <= newest:
        return redirect(documents.url(constitution, "compare", old=old, new=new))
    refusal = f"Give two numbers from 1 to {newest}." if any(asked) else ""
    context = {
        "constitution": constitution,
        "tabs": tabs(constitution, "compare-choose"),
        "newest": newest,
        "old": asked[0] or max(1, newest - 1),
        "new": asked[1] or newest,
        "refusal": refusal,
    }
    return render(request, "constitution/compare_choose_page.html", context, status=422 if refusal else 200)


@require_safe
def show(request: HttpRequest, old: int, new: int, slug: str = "") -> HttpResponse:
    constitution = documents.find(slug)
    before, after = (documents.find_version(constitution, number) for number in (old, new))
    newest = constitution.versions.aggregate(newest=Max("number"))["newest"]
    pair = _pair(before, after)
    start = number_in(request.GET.get("from", ""), digits=9) or 0
    end = start + PAGE
    context = {
        "constitution": constitution,
        "tabs": tabs(constitution, "compare-choose"),
        "choose_url": documents.url(constitution, "compare-choose"),
        "newest": newest,
        "old": before,
        "new": after,
        "changes": [_shown(constitution, change, pair, before, after) for change in pair.found[start:end]],
        "index": _index(pair) if len(pair.found) > 1 else [],
        "counts": _counts(pair),
        "moved": [_moved(clause, pair) for clause in pair.moved_only],
        "start": start,
        "unchanged_count": pair.unchanged_count,
        "earlier_url": f"?from={max(0, start - PAGE)}" if start else "",
        "more_url": f"?from={end}" if len(pair.found) > end else "",
        **_links(constitution, old, new, newest),
    }
    return render(request, "constitution/compare_page.html", context)


def _links(constitution: Constitution, old: int, new: int, newest: int) -> dict[str, Any]:
    """To the two texts, to the same span one version earlier and later, and to the same the other way round."""

    def compare(left: int, right: int) -> str:
        return documents.url(constitution, "compare", old=left, new=right)

    return {
        "old_url": documents.url(constitution, "version-detail", number=old),
        "new_url": documents.url(constitution, "version-detail", number=new),
        "blame_url": documents.url(constitution, "version-blame", number=new),
        "is_step": new == old + 1,
        "swap_url": compare(new, old) if old != new else "",
        "previous_url": compare(old - 1, new - 1) if min(old, new) > 1 else "",
        "next_url": compare(old + 1, new + 1) if max(old, new) < newest else "",
    }


def _pair(before: Version, after: Version) -> Pair:
    """Three queries, and only the wordings that differ or moved are loaded."""
    old, new = _places(before, after)
    differing = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    clauses = Clause.objects.in_bulk(found[name] for found in (old, new) for name in differing if name in found)
    texts = [[clauses[key].value for name, key in found.items() if name in differing] for found in (old, new)]
    found = with_renames(changes(*texts))
    names = {change.before.principle: change.principle for change in found if change.before}
    places = moves([names.get(name, name) for name in old], list(new))
    moved_only = Clause.objects.in_bulk(new[name] for name in places if name not in differing)
    return Pair(
        found=found,
        places=places,
        moved_only=[moved_only[new[name]] for name in places if name not in differing],
        unchanged_count=sum(name not in differing and name not in places for name in new),
    )


def _places(before: Version, after: Version) -> tuple[Places, Places]:
    """What each version says, in its order. One query."""
    sets: dict[int, Places] = {before.pk: {}, after.pk: {}}
    rows = VersionClause.objects.filter(version__in=sets).order_by("version", "position")
    for version, principle, clause in rows.values_list("version", "principle", "clause"):
        sets[version][principle] = clause
    return sets[before.pk], sets[after.pk]


def _shown(constitution: Constitution, change: Change, pair: Pair, before: Version, after: Version) -> dict[str, Any]:
    place = pair.places.get(change.principle)
    side = after if change.after else before
    return {
        **comparison(change),
        "moved": {"before": place[0], "after": place[1]} if place and change.before and change.after else None,
        "life_url": documents.url(constitution, "clause-life", principle=change.principle),
        "blame_url": f"{documents.url(constitution, 'version-blame', number=side.number)}#{change.principle}",
    }


def _moved(clause: Clause, pair: Pair) -> dict[str, Any]:
    before, after = pair.places[clause.principle_id]
    return {
        "principle": clause.principle_id,
        "title": clause.title,
        "tier": clause.tier,
        "before": before,
        "after": after,
    }


def _index(pair: Pair) -> list[dict[str, Any]]:
    """All that changed, each with the address of its words, on this page of the comparison or another."""
    return [
        {
            "principle": change.principle,
            "title": shown.title,
            "kind_label": change.kind,
            "url": f"?from={place // PAGE * PAGE}#change-{change.principle}",
        }
        for place, change in enumerate(pair.found)
        if (shown := change.after or change.before)
    ]


def _counts(pair: Pair) -> list[str]:
    """“2 revised”, “1 added”, and so on, without what did not happen."""
    kinds: Sequence[str] = [change.kind for change in pair.found]
    known = ("revised", "renamed", "added", "repealed")
    counted = [(kind, kinds.count(kind)) for kind in known] + [("moved", len(pair.places))]
    return [f"{count} {kind}" for kind, count in counted if count]
