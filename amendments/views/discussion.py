"""Saying something of a proposal, and reading what was said."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from amendments import discussion
from amendments.models import Audience
from amendments.views import comments
from amendments.views.comments import Said
from amendments.views.panels import Attempt
from amendments.views.proposal import load, page
from config.http import is_fragment, render_page
from constitution.errors import Refused
from constitution.people import PersonRequest

TEMPLATE = "amendments/discussion.html"
PARTIALS = {"comments", "discussion"}


@require_safe
def show(request: PersonRequest, pk: int) -> HttpResponse:
    """The discussion alone, as the page fetches it again; to somebody without scripts, the page at its place."""
    amendment, before = load(pk), request.GET.get("before", "")
    if not is_fragment(request):
        return redirect(f"{amendment.get_absolute_url()}?{request.GET.urlencode()}#discussion")
    return _fragment(request, pk, before=before)


@require_POST
def say(request: PersonRequest, pk: int) -> HttpResponse:
    text, audience = (request.POST.get(name, "") for name in ("text", "audience"))
    amendment = load(pk)
    try:
        discussion.say(amendment=amendment, by=request.user, text=text, audience=audience or Audience.EVERYBODY)
    except Refused as refused:
        said = Said(text=text, audience=audience, error=str(refused), status=refused.status)
        if is_fragment(request):
            return _fragment(request, pk, said=said)
        return page(request, pk, Attempt(), said=said)
    if is_fragment(request):
        return _fragment(request, pk)
    return redirect(f"{amendment.get_absolute_url()}#discussion")


def _fragment(request: PersonRequest, pk: int, *, before: str = "", said: Said | None = None) -> HttpResponse:
    found = comments.discussion(load(pk), request.user, before=before, said=said)
    status = said.status if said else 200
    return render_page(request, TEMPLATE, {"discussion": found}, partials=PARTIALS, status=status)
