"""Many at once: what was chosen from the list, one verb for all of it, and what came of each."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from amendments import bulk
from amendments.bulk import Item, Outcome
from amendments.models import Amendment
from amendments.views import chosen
from amendments.views.queue import displayed, filters_of, row
from amendments.views.words import REASONS, in_words
from config.http import number_in
from constitution.errors import Refused
from constitution.models import Role, User
from constitution.people import PersonRequest
from constitution.texts import written

FIELDS = ("do", "reason", "note", "until", "to", "of")
VERBS = (
    ("reject", "Reject them"),
    ("defer", "Put them off"),
    ("assign", "Assign them"),
    ("duplicate", "Close them as duplicates"),
    ("accept", "Accept them (style only)"),
)


@require_http_methods(["GET", "HEAD", "POST"])
def many(request: PersonRequest) -> HttpResponse:
    """What is chosen and what can be done with it; sent, what came of each."""
    if request.method != "POST":
        return _page(request, _chosen(request), dict.fromkeys(FIELDS, ""))
    items = _sent(request.POST)
    written = {name: request.POST.get(name, "").strip() for name in FIELDS}
    if not request.user.has_role(Role.REVIEWER):
        return _page(request, items, written, error="Only reviewers decide on proposals.", status=403)
    try:
        outcomes = _do(items, written, request.user)
    except Refused as refused:
        return _page(request, items, written, error=str(refused), status=refused.status)
    left = [Item(outcome.amendment.pk, outcome.digest) for outcome in outcomes if not outcome.is_done]
    return _page(request, left, written, outcomes=outcomes)


def _chosen(request: PersonRequest) -> list[Item]:
    """Those that were ticked, or all that match the filters, up to the most that go at once, most pressing first."""
    if "all" not in request.GET:
        return _read(request.GET.getlist("item"))
    rows = filters_of(request).ordered().values_list("pk", "digest")[: bulk.MOST]
    return [Item(pk, digest) for pk, digest in rows]


def _sent(form: QueryDict) -> list[Item]:
    return _read(form.getlist("item"))


def _read(values: Sequence[str]) -> list[Item]:
    """Items as a checkbox carries them, `7:digest`, each once; what is none is left out."""
    found = {}
    for value in values:
        raw, _, digest = value.partition(":")
        if pk := number_in(raw):
            found[pk] = Item(pk, digest)
    return list(found.values())


def _do(items: Sequence[Item], written: dict[str, str], by: User) -> list[Outcome]:
    """Raises Refused where the form does not say what the verb needs; then nothing was done."""
    reason = in_words(REASONS, written["reason"], written["note"])
    match written["do"]:
        case "reject":
            return bulk.reject(items=items, by=by, reason=reason)
        case "defer":
            return bulk.defer(items=items, by=by, until=chosen.day(written["until"]), reason=reason)
        case "assign":
            return bulk.assign(items=items, by=by, to=_reviewer(written["to"]))
        case "duplicate":
            return bulk.mark_duplicate(items=items, by=by, of=chosen.proposal(written["of"]), reason=reason)
        case "accept":
            return bulk.accept(items=items, by=by)
    raise Refused("Choose what to do with them.")


def _reviewer(name: str) -> User | None:
    if not name:
        return None
    if found := User.objects.filter(username=written(name)).first():
        return found
    raise Refused(f"There is nobody called {name}.")


def _page(
    request: PersonRequest,
    items: Sequence[Item],
    written: dict[str, str],
    *,
    outcomes: Sequence[Outcome] = (),
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "chosen": _rows(items, request.user),
        "skipped": [outcome for outcome in outcomes if not outcome.is_done],
        "done": [outcome for outcome in outcomes if outcome.is_done],
        "is_capped": len(items) >= bulk.MOST,
        "most": bulk.MOST,
        "most_accepted": bulk.MOST_ACCEPTED,
        "written": written,
        "error": error,
        "verbs": VERBS,
        "reasons": REASONS,
        "reviewers": User.objects.filter(is_active=True, roles__contains=[Role.REVIEWER.value]).order_by("username"),
        "may_review": request.user.has_role(Role.REVIEWER),
    }
    return render(request, "amendments/many_page.html", context, status=status)


def _rows(items: Sequence[Item], viewer: User) -> list[dict[str, Any]]:
    """The chosen ones as the list shows them, each with the digest that was seen."""
    seen = {item.pk: item.digest for item in items}
    found = displayed(Amendment.objects.filter(pk__in=seen)).in_queue_order()
    return [{**row(amendment, viewer), "digest": seen[amendment.pk]} for amendment in found]
