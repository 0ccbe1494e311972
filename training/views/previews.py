"""Asking for an impact preview from a proposal's page."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from amendments.previews import USUAL
from amendments.views.panels import Attempt
from amendments.views.proposal import load, page
from constitution.errors import Refused
from constitution.people import PersonRequest
from training.previews import asking


@require_POST
def ask(request: PersonRequest, pk: int) -> HttpResponse:
    """Queue it and go back to the proposal; a refusal shows the proposal as it is now, with the reason."""
    amendment = load(pk)
    try:
        asking.ask(amendment=amendment, battery=request.POST.get("battery", USUAL.name), by=request.user)
    except Refused as refused:
        return page(request, pk, Attempt(error=str(refused), status=refused.status))
    messages.success(request, "Asked for. The figures appear on the proposal's page when they are there.")
    return redirect(f"{amendment.get_absolute_url()}#preview")
