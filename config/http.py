"""What all views share: the lowest layer."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django_htmx.middleware import HtmxDetails

# Stands alone: whatever failed may be what every other page needs.
FAILED_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Something went wrong · Ratify</title></head>
<body><h1>Something went wrong on our side</h1>
<p>Nothing you sent was half saved. Wait a moment, go back, and try again.</p></body></html>
"""


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a piece of the page (a boosted link asks for the whole page)."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    return bool(htmx and not htmx.boosted)


def refuse(request: HttpRequest, *, status: int, title: str, sentence: str) -> HttpResponse:
    """A whole page that says one thing."""
    return render(request, "error.html", {"title": title, "sentence": sentence}, status=status)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    sentence = str(exception) or "Your role does not allow this."
    return refuse(request, status=403, title="Not allowed", sentence=sentence)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    sentence = "There is nothing at this address, or it is not yours to see."
    return refuse(request, status=404, title="Not found", sentence=sentence)


def failed(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    return HttpResponse(FAILED_PAGE, status=500)
