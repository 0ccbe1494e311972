"""Taking proposals in hand: the next one, this one for longer, and letting it go."""

from math import ceil
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from amendments import claims, policies
from amendments.filters import awaiting
from amendments.models import Amendment
from amendments.views.queue import filters_of
from config.http import is_fragment, refuse
from constitution.errors import NotAllowed, Refused
from constitution.models import Role, User
from constitution.people import PersonRequest


@require_POST
def take_next(request: PersonRequest) -> HttpResponse:
    """Open the most pressing proposal of the filters that nobody has in hand."""
    filters = filters_of(request)
    # Who asks for no state in particular wants work, not what they have reviewed already.
    rows = filters.qs if filters.values.get("state") else awaiting(filters.qs, request.user)
    try:
        taken = claims.take_next(by=request.user, among=rows)
    except NotAllowed as refused:
        return refuse(request, status=refused.status, title="Nothing was handed out", sentence=str(refused))
    except Refused as refused:
        messages.warning(request, str(refused))
        return _back(filters.query)
    if taken is None:
        messages.warning(request, "Nothing here waits for you that is in nobody’s hands.")
        return _back(filters.query)
    return redirect(f"{taken.get_absolute_url()}{filters.trail}")


@require_safe
def show(request: PersonRequest, pk: int) -> HttpResponse:
    """Who has it in hand, as its page fetches it again; without htmx, the page."""
    return _answer(request, get_object_or_404(Amendment, pk=pk))


@require_POST
def renew(request: PersonRequest, pk: int) -> HttpResponse:
    amendment = get_object_or_404(Amendment, pk=pk)
    try:
        claims.renew(amendment=amendment, by=request.user)
    except Refused as refused:
        return _answer(request, amendment, error=str(refused), status=refused.status)
    return _answer(request, amendment)


@require_POST
def release(request: PersonRequest, pk: int) -> HttpResponse:
    amendment = get_object_or_404(Amendment, pk=pk)
    claims.release(amendment=amendment, by=request.user)
    return _answer(request, amendment)


def claim_context(amendment: Amendment, viewer: User, error: str = "") -> dict[str, Any]:
    """`claim`, as amendments/claim.html shows it on a proposal's page. One query."""
    lease = claims.live_claim(amendment)
    is_mine = lease is not None and lease.holder == viewer
    may_take = viewer.has_role(Role.REVIEWER) and amendment.author_id != viewer.pk
    is_told = policies.is_told(amendment, viewer)
    return {
        "claim": {
            "pk": amendment.pk,
            "holder": str(lease.holder) if lease else "",
            "until": lease.until if lease else None,
            "seconds": ceil((lease.until - timezone.now()).total_seconds()) if lease else 0,
            "is_mine": is_mine,
            "may_take": may_take and lease is None,
            "is_open": amendment.is_undecided and not is_told,
            "error": error,
        }
    }


def _answer(request: PersonRequest, amendment: Amendment, *, error: str = "", status: int = 200) -> HttpResponse:
    """The piece of the page as it is now; without htmx, the page."""
    if is_fragment(request):
        context = claim_context(amendment, request.user, error)
        return render(request, "amendments/claim.html", context, status=status)
    if error:
        messages.error(request, error)
    return redirect(amendment)


def _back(query: str) -> HttpResponse:
    """To the list as it was filtered."""
    return redirect(f"{reverse('amendments:queue')}?{query}")
