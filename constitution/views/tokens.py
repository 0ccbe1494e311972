"""The tokens of client systems: one's own, and for operators everybody's."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from config.http import refuse
from constitution.errors import Refused
from constitution.models import ApiScope, ApiToken, Role, User
from constitution.people import PersonRequest
from constitution.tokens import issue, revoke, set_rate


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def show(request: PersonRequest) -> HttpResponse:
    """The list, and making one. A secret is in the answer to the form and nowhere else, so there is no redirect."""
    if request.method != "POST":
        return _page(request)
    name, scopes = request.POST.get("name", ""), request.POST.getlist("scopes")
    try:
        token, secret = issue(name=name, scopes=scopes, by=request.user)
    except Refused as refusal:
        return _page(request, name=name, chosen=scopes, problem=str(refusal), status=refusal.status)
    return _page(request, made={"token": token, "secret": secret})


@require_POST
def end(request: PersonRequest, pk: int) -> HttpResponse:
    revoke(token=_find(request.user, pk), by=request.user)
    return redirect("constitution:tokens")


@require_POST
def rate(request: PersonRequest, pk: int) -> HttpResponse:
    asked = request.POST.get("per_minute", "")
    per_minute = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    try:
        set_rate(token=_find(request.user, pk), per_minute=per_minute, by=request.user)
    except Refused as refusal:
        return refuse(request, status=refusal.status, title="The rate stays as it was", sentence=str(refusal))
    return redirect("constitution:tokens")


def _page(
    request: PersonRequest,
    *,
    name: str = "",
    chosen: list[str] | None = None,
    problem: str = "",
    made: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    rows = _seen_by(request.user).select_related("owner", "window").order_by("revoked_at", "-created_at", "-pk")
    wanted = [ApiScope.READ.value] if chosen is None else chosen
    context = {
        "tokens": [_row(token) for token in sorted(rows, key=lambda token: token.revoked_at is not None)],
        "scopes": [{"value": each.value, "label": each.label, "is_chosen": each.value in wanted} for each in ApiScope],
        "name": name,
        "problem": problem,
        "made": made,
        "is_operator": request.user.has_role(Role.OPERATOR),
    }
    return render(request, "constitution/tokens_page.html", context, status=status)


def _seen_by(user: User) -> Any:
    """An operator sees every token, other people their own."""
    return ApiToken.objects.all() if user.has_role(Role.OPERATOR) else ApiToken.objects.filter(owner=user)


def _find(user: User, pk: int) -> ApiToken:
    token: ApiToken = get_object_or_404(_seen_by(user), pk=min(pk, 2**63 - 1))
    return token


def _row(token: ApiToken) -> dict[str, Any]:
    window = getattr(token, "window", None)
    return {
        "token": token,
        "scopes": [ApiScope(scope).label.lower() for scope in token.scopes],
        "last_used": window.began if window else None,
        "rate_url": reverse("constitution:token-rate", kwargs={"pk": token.pk}),
        "revoke_url": reverse("constitution:token-revoke", kwargs={"pk": token.pk}),
    }
