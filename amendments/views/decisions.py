"""The verbs of the desk: each loads, calls its action, and answers with what came of it."""

from collections.abc import Callable
from dataclasses import replace

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from amendments import actions, states
from amendments.errors import AlreadyDecided, ContentMoved
from amendments.models import Amendment
from amendments.views.proposal import Attempt, load, neighbour_url, page
from amendments.views.words import REASONS
from config.http import is_fragment
from constitution.errors import Refused
from constitution.people import PersonRequest


@require_POST
def accept(request: PersonRequest, pk: int) -> HttpResponse:
    seen = request.POST.get("digest", "")
    return _decide(
        request,
        pk,
        lambda amendment: actions.accept(amendment=amendment, by=request.user, seen_digest=seen),
        Attempt(action="accept", seen_digest=seen),
    )


@require_POST
def edit(request: PersonRequest, pk: int) -> HttpResponse:
    seen, text, note = (request.POST.get(name, "").strip() for name in ("digest", "text", "note"))
    return _decide(
        request,
        pk,
        lambda amendment: actions.edit_and_accept(
            amendment=amendment, by=request.user, seen_digest=seen, text=text, note=note
        ),
        Attempt(action="edit", seen_digest=seen, text=text, note=note),
    )


@require_POST
def reject(request: PersonRequest, pk: int) -> HttpResponse:
    seen, reason, note = (request.POST.get(name, "").strip() for name in ("digest", "reason", "note"))
    sentence = ". ".join(part for part in (dict(REASONS).get(reason, ""), note) if part)
    return _decide(
        request,
        pk,
        lambda amendment: actions.reject(amendment=amendment, by=request.user, seen_digest=seen, reason=sentence),
        Attempt(action="reject", seen_digest=seen, reason=reason, note=note),
    )


def _decide(
    request: PersonRequest, pk: int, action: Callable[[Amendment], Amendment], attempt: Attempt
) -> HttpResponse:
    """Run the action and go on to the next proposal; a refusal shows the page as it is now, with nothing lost."""
    amendment = load(pk)
    next_url = neighbour_url(amendment, before=False) or neighbour_url(amendment, before=True)
    try:
        decided = action(amendment)
    except (ContentMoved, AlreadyDecided) as refused:
        return page(request, pk, replace(attempt, clash=str(refused), status=refused.status))
    except Refused as refused:
        return page(request, pk, replace(attempt, error=str(refused), status=refused.status))
    messages.success(request, _said(decided))
    return _go(request, next_url or "amendments:queue")


def _said(amendment: Amendment) -> str:
    if amendment.version:
        return f"Accepted. Version {amendment.version.number} is in force, and a training round opens for it."
    if amendment.state == states.REJECTED:
        return f"Rejected the proposal on {amendment.principle_id}. Nothing was published."
    if amendment.state == states.CONFLICTED:
        return "Your review is in. The reviewers disagree: it stays open until one of them changes their review."
    return "Your review is in. It takes effect when enough reviewers agree."


def _go(request: PersonRequest, to: str) -> HttpResponse:
    response: HttpResponse = redirect(to)
    if is_fragment(request):
        response = HttpResponseClientRedirect(response["Location"])
    return response
