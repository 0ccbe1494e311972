"""Words in any wording that there has ever been."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib.postgres.search import SearchHeadline, SearchQuery, SearchRank
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from config.http import number_in
from constitution.models import Clause, Constitution, Principle, Tier, Version, VersionClause
from constitution.views import documents
from constitution.views.history.parts import tabs

PAGE = 20
LAST_PAGE = 10  # who has not found it by then should say more
LONGEST = 200
# Neither can stand in a clause (texts.HIDDEN), so what is between them is a hit and everything else is text.
START, STOP = "\x02", "\x03"


class Question(NamedTuple):
    """What is looked for: words in the syntax of web searches; in one constitution or, for an empty slug, in all."""

    words: str
    tier: int | None
    slug: str
    page: int


@require_safe
def show(request: HttpRequest, slug: str = "") -> HttpResponse:
    here = documents.find(slug)
    question = _question(request, here)
    rows = list(_found(question)) if question.words else []
    shown = rows[:PAGE]
    context = {
        "constitution": here,
        "tabs": tabs(here, "search"),
        "words": question.words,
        "tiers": [{"value": t.value, "label": t.label, "is_chosen": t == question.tier} for t in Tier],
        "places": [
            {"value": row.slug, "label": row.title, "is_chosen": row.slug == question.slug}
            for row in Constitution.objects.all()
        ],
        "everywhere": not question.slug,
        "principle": _principle(question.words, here),
        "results": _results(shown),
        "page": question.page,
        "is_last_page": question.page == LAST_PAGE and len(rows) > PAGE,
        "previous_url": _address(question, question.page - 1) if question.page > 1 else "",
        "next_url": _address(question, question.page + 1) if len(rows) > PAGE and question.page < LAST_PAGE else "",
    }
    return render(request, "constitution/search_page.html", context)


def _question(request: HttpRequest, here: Constitution) -> Question:
    tier = number_in(request.GET.get("tier", ""), digits=9)
    page = number_in(request.GET.get("page", ""), digits=9) or 1
    return Question(
        words=request.GET.get("q", "").replace("\x00", "").strip()[:LONGEST],
        tier=tier if tier in Tier.values else None,
        slug=request.GET.get("in", here.slug),
        page=min(max(page, 1), LAST_PAGE),
    )


def _address(question: Question, page: int) -> str:
    """The same question, another page."""
    return "?" + urlencode({"q": question.words, "tier": question.tier or "", "in": question.slug, "page": page})


def _found(question: Question) -> QuerySet[Clause]:
    """The wordings of a page and one more, best first. Each with the first and the last version that carried it."""
    query = SearchQuery(question.words, config="english", search_type="websearch")
    carriers = VersionClause.objects.filter(clause=OuterRef("pk"))
    if question.slug:
        carriers = carriers.filter(version__constitution__slug=question.slug)
    rows = Clause.objects.filter(Exists(carriers), words=query)
    if question.tier:
        rows = rows.filter(tier=question.tier)
    start = (question.page - 1) * PAGE
    return rows.annotate(
        rank=SearchRank(F("words"), query),
        snippet=_headline("text", query, max_fragments=2, max_words=30, min_words=12, fragment_delimiter=" … "),
        marked_title=_headline("title", query, highlight_all=True),
        first=Subquery(carriers.order_by("version").values("version")[:1]),
        last=Subquery(carriers.order_by("-version").values("version")[:1]),
    ).order_by("-rank", "-pk")[start : start + PAGE + 1]


def _headline(field: str, query: SearchQuery, **options: Any) -> SearchHeadline:
    return SearchHeadline(field, query, config="english", start_sel=START, stop_sel=STOP, **options)


def _results(rows: Sequence[Any]) -> list[dict[str, Any]]:
    versions = Version.objects.select_related("constitution").in_bulk(
        {pk for row in rows for pk in (row.first, row.last)}
    )
    return [_result(row, versions[row.first], versions[row.last]) for row in rows]


def _result(row: Any, first: Version, last: Version) -> dict[str, Any]:
    return {
        "principle": row.principle_id,
        "tier": row.tier,
        "title": marked(row.marked_title),
        "snippet": marked(row.snippet),
        "digest": row.digest,
        "first": _carrier(first, row.principle_id),
        "last": _carrier(last, row.principle_id),
        "is_one": first.pk == last.pk,
        "is_shared": first.constitution_id != last.constitution_id,
        "life_url": documents.url(first.constitution, "clause-life", principle=row.principle_id),
    }


def _carrier(version: Version, principle: str) -> dict[str, Any]:
    address = documents.url(version.constitution, "version-detail", number=version.number)
    return {
        "number": version.number,
        "constitution": version.constitution.title,
        "published_at": version.published_at,
        "url": f"{address}#{principle}",
    }


def marked(headline: str) -> list[tuple[bool, str]]:
    """(is_hit, text) pieces of what PostgreSQL marked. Plain text: the template escapes every piece."""
    first, *others = headline.split(START)
    pieces = [(False, first)]
    for other in others:
        hit, _, rest = other.partition(STOP)
        pieces += [(True, hit), (False, rest)]
    return [piece for piece in pieces if piece[1]]


def _principle(words: str, here: Constitution) -> dict[str, str] | None:
    """The principle that goes by exactly this id here: ids are no words, so the index does not have them."""
    found = Principle.objects.filter(pk__iexact=words, clauses__versions__constitution=here).first() if words else None
    if found is None:
        return None
    return {"principle": found.pk, "url": documents.url(here, "clause-life", principle=found.pk)}
