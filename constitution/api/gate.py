"""Who may ask: a token with the scope that a call needs, within its rate. One query, whoever asks."""

from django.http import HttpRequest
from ninja.security import HttpBearer

from constitution.api.problems import Problem
from constitution.models import ApiScope
from constitution.tokens import Use, spend


class Token(HttpBearer):
    """The bearer of a token with one scope. Its use is counted before anything else is looked at."""

    openapi_description = "A token that was made under Settings → API tokens."

    def __init__(self, scope: ApiScope) -> None:
        super().__init__()
        self.scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> Use:
        """The use of the token, kept with the request for the headers of its answer. Raises Problem."""
        use = spend(token.strip())
        if use is None:
            refusal = 'Bearer realm="ratify", error="invalid_token"'
            raise Problem("token", "This token does not exist or was revoked.", headers={"WWW-Authenticate": refusal})
        request.use = use  # type: ignore[attr-defined]
        self._check(use)
        return use

    def _check(self, use: Use) -> None:
        if use.is_over:
            raise Problem(
                "rate",
                f"This token may make {use.limit} requests a minute. The next minute begins in {use.resets_in} s.",
                headers={"Retry-After": str(use.resets_in)},
            )
        if self.scope.value not in use.scopes:
            raise Problem("scope", f"This needs a token with the scope “{self.scope.value}”.")


READER = Token(ApiScope.READ)
WRITER = Token(ApiScope.PROFILES)


def used(request: HttpRequest) -> Use:
    """The use that this request is, in a call that needs a token."""
    use: Use = request.use  # type: ignore[attr-defined]
    return use


def use_of(request: HttpRequest) -> Use | None:
    """The use that this request was, once its token was known."""
    return getattr(request, "use", None)
