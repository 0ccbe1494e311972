"""Strangers see nothing: who has signed in and holds no role is told that there is nothing here."""

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase

# Our own rooms. Accounts and sign-in are other people's pages about oneself.
ROOMS = frozenset({"constitution", "amendments", "training"})
OPEN_TO_STRANGERS = frozenset({"constitution:settings"})


class RoleRequiredMiddleware:
    """Answers 404 at every address of ours to a signed-in person without a role. Comes after the sign-in is checked."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        match = request.resolver_match
        if match is None or match.app_name not in ROOMS or match.view_name in OPEN_TO_STRANGERS:
            return
        if request.user.is_authenticated and not request.user.roles:
            raise Http404("No role has been given to you yet. An operator can do that.")
