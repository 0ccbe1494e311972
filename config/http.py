"""What all views share: the lowest layer."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a piece of the page (a boosted link asks for the whole page)."""
    htmx = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.boosted


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    sentence = str(exception) or "Your role does not allow this."
    return _error(request, 403, "Not allowed", sentence)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    return _error(request, 404, "Not found", "There is nothing at this address, or it is not yours to see.")


def failed(request: HttpRequest) -> HttpResponse:
    sentence = "Something went wrong on our side. Nothing you sent was half saved; try again."
    return _error(request, 500, "Something went wrong", sentence)


def _error(request: HttpRequest, status: int, title: str, sentence: str) -> HttpResponse:
    return render(request, "error.html", {"title": title, "sentence": sentence}, status=status)
