"""Saving the answers of decided examples that are proposed."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST

from amendments import actions
from amendments.models import Amendment
from amendments.views.panels import Attempt
from amendments.views.proposal import page
from constitution.errors import Refused
from constitution.people import PersonRequest


@require_POST
def edit(request: PersonRequest, pk: int) -> HttpResponse:
    amendment = get_object_or_404(Amendment, pk=pk)
    rights, wrongs = ([_lines(text) for text in request.POST.getlist(name)] for name in ("right", "wrong"))
    note = request.POST.get("note", "").strip()[:500]
    seen = request.POST.get("digest", "")
    try:
        actions.edit_examples(
            amendment=amendment,
            by=request.user,
            seen_digest=seen,
            answers=list(zip(rights, wrongs, strict=False)),
            note=note,
        )
    except Refused as refused:
        attempt = Attempt("example", error=str(refused), rights=rights, wrongs=wrongs, note=note, status=refused.status)
        return page(request, pk, attempt)
    messages.success(request, "Saved. Reviewers decide on these answers now.")
    return redirect("amendments:amendment-detail", pk)


def _lines(text: str) -> str:
    return text.strip().replace("\r\n", "\n")
