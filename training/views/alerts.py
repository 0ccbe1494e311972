"""What people were alerted of, and the webhooks that it is sent to."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from config.http import number_in, refuse, render_page
from constitution.errors import NotAllowed, Refused
from constitution.models import Role
from constitution.people import PersonRequest
from training import alerts, policies
from training import webhooks as sending
from training.alert_records import Alert, Delivery, Webhook
from training.states import DELIVERED, FAILED, WAITING

PAGE = 25
LABELS = {WAITING: "on its way", DELIVERED: "delivered", FAILED: "not delivered"}
TAGS = {WAITING: "tag-quiet", DELIVERED: "tag-good", FAILED: "tag-warn"}


@require_safe
def index(request: PersonRequest) -> HttpResponse:
    """What happened, newest first, and whether the webhooks got it."""
    rows = alerts.latest()
    after = request.GET.get("after", "")
    if key := number_in(after):
        rows = rows.filter(pk__lt=key)
    found = list(rows[: PAGE + 1])
    is_operator = request.user.has_role(Role.OPERATOR)
    context = {
        "alerts": [_row(alert, is_operator=is_operator) for alert in found[:PAGE]],
        "older_url": f"?after={found[PAGE - 1].pk}" if len(found) > PAGE else "",
        "is_older": bool(after),
        "is_operator": is_operator,
        "told": alerts.ROLES,
    }
    return render_page(request, "training/alerts_page.html", context, partials={"alerts"})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: PersonRequest) -> HttpResponse:
    """The list, and making one. A secret is in the answer to the form and nowhere else, so there is no redirect."""
    try:
        policies.check_can_keep_webhooks(request.user)
    except NotAllowed as refusal:
        return refuse(request, status=refusal.status, title="Not for your role", sentence=str(refusal))
    if request.method != "POST":
        return _page(request)
    name, url = request.POST.get("name", ""), request.POST.get("url", "")
    try:
        webhook, secret = sending.register(name=name, url=url, by=request.user)
    except Refused as refusal:
        return _page(request, name=name, url=url, problem=str(refusal), status=refusal.status)
    return _page(request, made={"webhook": webhook, "secret": secret})


@require_POST
def remove(request: PersonRequest, pk: int) -> HttpResponse:
    try:
        policies.check_can_keep_webhooks(request.user)
        row = sending.remove(webhook=get_object_or_404(Webhook, pk=min(pk, 2**63 - 1)), by=request.user)
    except Refused as refusal:
        return refuse(request, status=refusal.status, title="It stays as it was", sentence=str(refusal))
    messages.success(request, f"Nothing is sent to {row.name} any more.")
    return redirect("training:webhooks")


@require_POST
def resend(request: PersonRequest, pk: int) -> HttpResponse:
    try:
        policies.check_can_keep_webhooks(request.user)
        sending.resend(delivery=get_object_or_404(Delivery, pk=min(pk, 2**63 - 1)), by=request.user)
    except Refused as refusal:
        return refuse(request, status=refusal.status, title="It is not sent again", sentence=str(refusal))
    messages.success(request, "It is sent again.")
    return redirect("training:alerts")


def _page(
    request: PersonRequest,
    *,
    name: str = "",
    url: str = "",
    problem: str = "",
    made: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    rows = Webhook.objects.filter(removed_at=None).select_related("made_by").order_by("-pk")
    context = {"webhooks": list(rows), "name": name, "url": url, "problem": problem, "made": made}
    return render(request, "training/webhooks_page.html", context, status=status)


def _row(alert: Alert, *, is_operator: bool) -> dict[str, Any]:
    return {
        "pk": alert.pk,
        "kind": alert.get_kind_display(),
        "about": alerts.about(alert),
        "sentence": alert.sentence,
        "url": alerts.path_of(alert),
        "at": alert.created_at,
        "deliveries": [
            {
                "pk": delivery.pk,
                "name": delivery.webhook.name,
                "label": LABELS[delivery.state],
                "tag": TAGS[delivery.state],
                "attempt": delivery.attempt,
                # What a receiver says may repeat the address, which only operators see.
                "error": delivery.error if is_operator else "",
                "may_resend": is_operator and delivery.state == FAILED and delivery.webhook.removed_at is None,
            }
            for delivery in sorted(alert.deliveries.all(), key=lambda delivery: delivery.pk)
        ],
    }
