"""Who proposes by machine, what came of it, and what people decide of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from amendments import acceptance, producers, states
from amendments.acceptance import Acceptance
from amendments.models import Amendment, Clearance, Producer, ProducerStanding
from amendments.shares import Share
from amendments.views import bars
from amendments.views.words import REASONS, STATE_LABELS
from config.http import number_in, render_page
from constitution.errors import Refused
from constitution.models import User
from constitution.people import PersonRequest

PAGE = 50
OPEN_SHOWN = 10
CANNED = [sentence for _, sentence in REASONS]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a person tried and was refused, so that nothing they wrote is lost."""

    verb: str = ""
    error: str = ""
    text: str = ""
    status: int = 200


@require_safe
def index(request: PersonRequest) -> HttpResponse:
    after = request.GET.get("after", "")
    rows = Producer.objects.select_related("standing").order_by("-pk")
    if key := number_in(after):
        rows = rows.filter(pk__lt=key)
    found = list(rows[: PAGE + 1])
    shown = found[:PAGE]
    counted = acceptance.of_producers(shown)
    context = {
        "producers": [_row(producer, counted.get(producer.pk, {})) for producer in shown],
        "more_url": f"?after={shown[-1].pk}" if len(found) > PAGE else "",
    }
    return render_page(request, "amendments/producers_page.html", context)


@require_safe
def detail(request: PersonRequest, producer: int) -> HttpResponse:
    return _page(request, producer, Attempt())


@require_POST
def set_quota(request: PersonRequest, producer: int) -> HttpResponse:
    most = request.POST.get("most", "").strip()
    return _do(request, producer, "quota", most, lambda found: _set_quota(found, most, request.user))


@require_POST
def quarantine(request: PersonRequest, producer: int) -> HttpResponse:
    note = request.POST.get("note", "").strip()

    def act(found: Producer) -> str:
        producers.quarantine(producer=found, note=note, by=request.user)
        return "It is in quarantine: nothing new of it is filed."

    return _do(request, producer, "quarantine", note, act)


@require_POST
def lift(request: PersonRequest, producer: int) -> HttpResponse:
    def act(found: Producer) -> str:
        producers.lift(producer=found, by=request.user)
        return "The quarantine is lifted: it proposes again."

    return _do(request, producer, "lift", "", act)


@require_POST
def reject(request: PersonRequest, producer: int) -> HttpResponse:
    reason = request.POST.get("reason", "").strip()

    def act(found: Producer) -> str:
        row = producers.order_clearance(producer=found, reason=reason, by=request.user)
        return f"A worker rejects them now, {row.total:,} in all. This page follows it."

    return _do(request, producer, "reject", reason, act)


def _set_quota(producer: Producer, most: str, by: User) -> str:
    producers.check_can_restrain(by)
    number = number_in(most, digits=9)
    if most and number is None:
        raise Refused("Give a number, or nothing for what is usual.")
    found = producers.set_quota(producer=producer, most=number, by=by)
    return f"At most {producers.quota(found):,} of its proposals may be open at once."


def _do(request: PersonRequest, pk: int, verb: str, text: str, act: Callable[[Producer], str]) -> HttpResponse:
    producer = get_object_or_404(Producer, pk=pk)
    try:
        messages.success(request, act(producer))
    except Refused as refused:
        return _page(request, pk, Attempt(verb, str(refused), text, refused.status))
    return redirect("amendments:producer-detail", pk)


def _row(producer: Producer, counted: dict[str, Any]) -> dict[str, Any]:
    share = Share(counted.get("k", 0), counted.get("n", 0))
    standing = getattr(producer, "standing", None)
    return {
        "pk": producer.pk,
        "name": str(producer),
        "record": producers.record_words(share),
        "open_count": counted.get("open", 0),
        "last": counted.get("last"),
        "created_at": producer.created_at,
        "is_quarantined": bool(standing and standing.quarantined_at),
    }


def _page(request: PersonRequest, pk: int, attempt: Attempt) -> HttpResponse:
    producer = get_object_or_404(Producer, pk=pk)
    found = acceptance.of_producer(producer)
    rows = Amendment.objects.undecided().filter(producer=producer).in_queue_order()
    decided = acceptance.weeks(producer)
    context = {
        "producer": producer,
        "facts": found,
        "record": producers.record_words(found.share),
        "interval": _interval(found.share),
        "by_state": [
            (STATE_LABELS.get(state, state.capitalize()), found.by_state.get(state, 0))
            for state in states.AMENDMENT.states
        ],
        "edits": acceptance.edits(producer),
        "reasons": acceptance.reasons(producer, CANNED),
        "weeks": [(f"{monday:%-d %b %Y}", str(Share(k, n)), k, n) for monday, k, n in decided],
        "drawing": bars.pairs([(f"{monday:%-d %b %Y}", k, n) for monday, k, n in decided]),
        "prompts": producers.prompts_of(producer),
        "proposals": rows[:OPEN_SHOWN],
        "queue_url": f"{reverse('amendments:queue')}?by=machine-{producer.pk}",
        **_standing(producer, found, request.user),
        "attempt": attempt,
    }
    return render_page(request, "amendments/producer_page.html", context, partials={"clearing"}, status=attempt.status)


def _interval(share: Share) -> dict[str, Any] | None:
    """The share as `includes/intervals.html` draws it; None where nothing was decided."""
    if share.rate is None:
        return None
    low, high = share.interval
    arm = {"arm": "trained", "label": "", "rate": 100 * share.rate, "low": 100 * low, "high": 100 * high}
    return {"label": "Accepted", "direction": f"of {share.n} that people decided on", "arms": [arm]}


def _standing(producer: Producer, found: Acceptance, user: User) -> dict[str, Any]:
    standing = producers.standing(producer)
    clearance = Clearance.objects.filter(producer=producer).select_related("ordered_by").order_by("-pk").first()
    open_count = sum(found.by_state.get(state, 0) for state in states.UNDECIDED)
    return {
        "standing": standing,
        "quota": producers.quota(standing),
        "default_quota": producers.DEFAULT_QUOTA,
        "open_count": open_count,
        "clearance": clearance,
        "is_clearing": clearance is not None and clearance.ended_at is None,
        "refusals": {
            "restrain": _refusal(lambda: producers.check_can_restrain(user)),
            "reject": _rejecting_refusal(standing, open_count, user),
        },
    }


def _rejecting_refusal(standing: ProducerStanding, open_count: int, user: User) -> str:
    if not standing.quarantined_at or not open_count:
        return ""  # the form is not shown
    return _refusal(lambda: producers.check_can_clear(standing, user))


def _refusal(check: Callable[[], None]) -> str:
    """The sentence beside a form that the person may not send: the same function that guards the action says it."""
    try:
        check()
    except Refused as refused:
        return str(refused)
    return ""
