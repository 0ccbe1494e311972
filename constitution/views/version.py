"""The text of a version, and which of its clauses hold in a context."""

from itertools import groupby
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from constitution import profiles
from constitution.models import Version
from constitution.resolution import prompt
from constitution.views import contexts, documents
from constitution.views.rulings import card


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


@require_safe
def system_prompt(request: HttpRequest, number: int, slug: str = "") -> HttpResponse:
    """What holds in the context of the address, as a system prompt in plain text."""
    version = documents.find_version(documents.find(slug), number)
    asked = contexts.read(request.GET)
    text = "\n".join(str(unknown) for unknown in asked.wrong.values())
    if not asked.wrong:
        text = prompt(profiles.law_of(version).resolve(asked.context))
    return HttpResponse(text, content_type="text/plain; charset=utf-8", status=asked.status)


def _page(request: HttpRequest, version: Version, *, head_number: int) -> HttpResponse:
    constitution, number = version.constitution, version.number
    asked = contexts.read(request.GET)
    cards = _cards(version, asked, is_in_force=constitution.is_home and number == head_number)
    query = contexts.address(asked.context)
    context = {
        "version": version,
        "constitution": constitution,
        "is_head": number == head_number,
        "head_number": head_number,
        "head_url": documents.url(constitution, "head"),
        "history_url": documents.url(constitution, "history"),
        "compare_url": documents.compare_url(version) if number > 1 else "",
        "blame_url": documents.url(constitution, "version-blame", number=number),
        "search_url": documents.url(constitution, "search"),
        "proofs_url": documents.url(constitution, "proofs", number=number),
        "prompt_url": documents.url(constitution, "version-prompt", number=number) + query,
        # An imported document keeps its own order; within a tier it is kept here too.
        "tiers": [
            {"tier": tier, "clauses": list(group)} for tier, group in groupby(sorted(cards, key=_tier_of), _tier_of)
        ],
        "context_fields": contexts.fields(asked),
        "context_chosen": bool(asked.context),
        "context_wrong": bool(asked.wrong),
        "context_follows": contexts.follows(asked.context),
        "in_force_count": sum(card["in_force"] is not False for card in cards),
        "clause_count": len(cards),
    }
    return render(request, "constitution/version_page.html", context, status=asked.status)


def _cards(version: Version, asked: contexts.Asked, *, is_in_force: bool) -> list[dict[str, Any]]:
    """A card for each clause, in the order of the document; without a context none says whether it holds.

    Only the law in force here is open to proposals.
    """
    since = dict(version.version_clauses.values_list("principle", "since"))
    rulings = profiles.law_of(version).resolve(asked.context).explain()
    here = {ruling.id for ruling in rulings}
    return [
        {
            **card(ruling, here, is_asked=bool(asked.context)),
            "since": since[ruling.id],
            "since_url": documents.url(version.constitution, "version-detail", number=since[ruling.id]),
            "life_url": documents.url(version.constitution, "clause-life", principle=ruling.id),
            "is_open_to_proposals": is_in_force,
        }
        for ruling in rulings
    ]


def _tier_of(found: dict[str, Any]) -> int:
    tier: int = found["clause"].tier
    return tier
