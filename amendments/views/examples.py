"""Saving the answers of a decided example that is proposed."""

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
    right, wrong, note = (request.POST.get(name, "").strip() for name in ("right", "wrong", "note"))
    right, wrong = right.replace("\r\n", "\n"), wrong.replace("\r\n", "\n")
    seen = request.POST.get("digest", "")
    try:
        actions.edit_example(
            amendment=amendment, by=request.user, seen_digest=seen, right=right, wrong=wrong, note=note[:500]
        )
    except Refused as refused:
        attempt = Attempt("example", error=str(refused), text=right, reason=wrong, note=note, status=refused.status)
        return page(request, pk, attempt)
    messages.success(request, "Saved. Reviewers decide on these answers now.")
    return redirect("amendments:amendment-detail", pk)
