"""Saved views: kept, renamed and removed from the queue's own page."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from amendments import saved
from amendments.views.queue import filters_of
from constitution.errors import Refused
from constitution.people import PersonRequest


@require_POST
def save(request: PersonRequest) -> HttpResponse:
    filters = filters_of(request)
    try:
        view = saved.keep(name=request.POST.get("name", ""), query=filters.query, by=request.user)
        messages.success(request, f"Saved as {view.name}.")
    except Refused as refused:
        messages.error(request, str(refused))
    return _to(filters.query)


@require_POST
def change(request: PersonRequest, pk: int) -> HttpResponse:
    """Rename or remove one's own view. Somebody else's is not there."""
    view = get_object_or_404(request.user.saved_views, pk=pk)
    try:
        if request.POST.get("do") == "remove":
            saved.remove(view=view, by=request.user)
            messages.success(request, f"Removed the view {view.name}.")
        else:
            view = saved.rename(view=view, name=request.POST.get("name", ""), by=request.user)
            messages.success(request, f"Renamed to {view.name}.")
    except Refused as refused:
        messages.error(request, str(refused))
    return _to(view.query)


def _to(query: str) -> HttpResponse:
    return redirect(f"{reverse('amendments:queue')}?{query}")
