"""What all views share: the lowest layer."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails


def number_in(raw: str, *, digits: int = 18) -> int | None:
    """The number that somebody wrote into an address or a field; None where it is none, or none that could be."""
    return int(raw) if raw.isascii() and raw.isdecimal() and len(raw) <= digits else None


def numbers_in(raw: Iterable[str]) -> list[int]:
    """The numbers among them."""
    return [number for one in raw if (number := number_in(one)) is not None]


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a piece of the page (a boosted link asks for the whole page)."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    return bool(htmx and not htmx.boosted)


def render_page(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any],
    *,
    partials: Collection[str] = (),
    status: int = 200,
) -> HttpResponse:
    """The page, or that one of its `partials` whose id htmx names as its target. Both show the same context."""
    target = request.htmx.target if is_fragment(request) else None  # type: ignore[attr-defined]
    name = f"{template}#{target}" if target in partials else template
    response = render(request, name, dict(context), status=status)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


def refuse(request: HttpRequest, *, status: int, title: str, sentence: str) -> HttpResponse:
    """A whole page that says one thing."""
    return render(request, "error.html", {"title": title, "sentence": sentence}, status=status)
