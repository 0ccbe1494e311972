"""How people get in: nobody registers by themselves; an administrator makes the account."""

from collections.abc import Mapping

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False


def name_in(request: HttpRequest, credentials: Mapping[str, str | None] | None = None) -> str:
    """Whose password is being guessed. Sign-in does not mind upper case, so neither may the count of failures."""
    name = (credentials or request.POST).get("username")
    return name.lower() if isinstance(name, str) else ""  # a sign-in link names nobody
