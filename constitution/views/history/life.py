"""One principle from the version that brought it to this day: every wording, and what was behind it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from config.http import number_in
from constitution.blame import Source, sources
from constitution.diffs import Change, Segment
from constitution.models import Clause, Constitution, VersionClause
from constitution.views import documents
from constitution.views.history.parts import comparison, tabs

PAGE = 20


class Run(NamedTuple):
    """The versions in which one wording held without a break, by number."""

    clause: int
    since: int
    until: int


@require_safe
def show(request: HttpRequest, principle: str, slug: str = "") -> HttpResponse:
    constitution = documents.find(slug)
    runs = _runs(constitution, principle)
    if not runs:
        raise Http404(f"No version of {constitution} has a principle {principle}.")
    newest = constitution.versions.aggregate(newest=Max("number"))["newest"]
    before = number_in(request.GET.get("before", ""), digits=9) or newest + 1
    window = [run for run in runs if run.since < before][: PAGE + 1]
    clauses = Clause.objects.in_bulk({run.clause for run in [*window, runs[0]]})
    known = sources(constitution, _numbers(window))
    latest = clauses[runs[0].clause]
    context = {
        "constitution": constitution,
        "tabs": tabs(constitution, ""),
        "history_url": documents.url(constitution, "history"),
        "principle": principle,
        "title": latest.title,
        "tier": latest.tier,
        "is_in_force": runs[0].until == newest,
        "left_with": runs[0].until + 1,
        "wording_count": len(runs),
        "wordings": _wordings(constitution, window, clauses, known, newest),
        "older_url": f"?before={window[PAGE - 1].since}" if len(window) > PAGE else "",
    }
    return render(request, "constitution/life_page.html", context)


def _runs(constitution: Constitution, principle: str) -> list[Run]:
    """Newest first. One query over the versions that carried the principle."""
    rows = VersionClause.objects.filter(principle=principle, version__constitution=constitution)
    return [
        Run(*row)
        for row in rows.values_list("clause", "since").annotate(until=Max("version__number")).order_by("-since")
    ]


def _numbers(runs: Sequence[Run]) -> set[int]:
    """The versions that brought a wording, and those that took the principle away."""
    return {number for run in runs for number in (run.since, run.until + 1)}


def _wordings(
    constitution: Constitution, runs: Sequence[Run], clauses: dict[int, Clause], known: dict[int, Source], newest: int
) -> list[dict[str, Any]]:
    found = []
    for place, run in enumerate(runs[:PAGE]):
        earlier = runs[place + 1] if place + 1 < len(runs) else None
        later = runs[place - 1] if place else None
        before = clauses[earlier.clause].value if earlier else None
        clause = clauses[run.clause]
        found.append(
            {
                **comparison(Change(clause.principle_id, before, clause.value)),
                **({} if before else {"redline": [Segment("equal", clause.text)]}),
                "since": run.since,
                "until": run.until,
                "is_in_force": run.until == newest,
                "is_back": bool(earlier and earlier.until < run.since - 1),
                "left_with": known.get(run.until + 1) if not later or later.since > run.until + 1 else None,
                "source": known[run.since],
                "digest": clause.digest,
                **_links(constitution, clause.principle_id, run, earlier),
            }
        )
    return found


def _links(constitution: Constitution, principle: str, run: Run, earlier: Run | None) -> dict[str, str]:
    compare = documents.url(constitution, "compare", old=earlier.since, new=run.since) if earlier else ""
    blame = documents.url(constitution, "version-blame", number=run.since)
    version = documents.url(constitution, "version-detail", number=run.since)
    return {
        "version_url": f"{version}#{principle}",
        "blame_url": f"{blame}#{principle}",
        "compare_url": f"{compare}#change-{principle}" if compare else "",
    }
