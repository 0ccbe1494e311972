"""Refusals of the API: problem details (RFC 9457), one kind for each reason."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import OperationalError
from django.http import Http404, JsonResponse
from ninja.errors import AuthenticationError, HttpError, ValidationError

from constitution.errors import Refused
from constitution.profile_texts import ProfileRefused
from constitution.vocabulary import UnknownContext

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """A reason to refuse: its status, its title, and what the caller can do."""

    status: int
    title: str
    remedy: str


KINDS = {
    "malformed": Kind(400, "The request cannot be read", "Send JSON in UTF-8, as the description of the call says."),
    "unknown-context": Kind(400, "Unknown words in a context", "`unknown` names each with the ids it may have meant."),
    "refused": Kind(400, "Not accepted as it stands", "`reasons` holds one sentence for each thing to change."),
    "token": Kind(401, "No valid token", "Send `Authorization: Bearer rat_…` with a token that was not revoked."),
    "scope": Kind(403, "The token may not do this", "Make a token with the scope that `detail` names."),
    "missing": Kind(404, "Nothing at this address", "It does not exist, or it is not yours."),
    "method": Kind(405, "This address does not take the method", "`Allow` names those that it takes."),
    "format": Kind(406, "No such format", "Accept `application/json` or `text/plain`."),
    "conflict": Kind(409, "Something stands in the way", "`detail` says what; read again, then repeat."),
    "changed": Kind(412, "It was changed since you read it", "Read it again and send its new ETag in If-Match."),
    "too-large": Kind(413, "The request is too large", "A profile has at most 1 MB."),
    "media-type": Kind(415, "The body is not JSON", "Send `Content-Type: application/json`."),
    "invalid": Kind(422, "A value is not valid", "`invalid` names each place with what is wrong there."),
    "unconditional": Kind(
        428, "If-Match is missing", "Send the ETag of what you read, so that nobody's words get lost."
    ),
    "rate": Kind(429, "Too many requests", "Wait for the seconds that Retry-After says."),
    "broken": Kind(500, "Something broke here", "It was noted. Repeating the request may help."),
    "unavailable": Kind(503, "Not available just now", "Repeat the request in a few seconds."),
}
BY_STATUS = {kind.status: name for name, kind in reversed(KINDS.items())}


class Problem(Exception):
    """A refusal on its way out. `detail` is a sentence; `headers` and the further members go along."""

    def __init__(self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.members = kind, detail, dict(headers or {}), members

    def response(self) -> JsonResponse:
        """As it goes over the wire. The type is an address that explains it."""
        status, title, _ = KINDS[self.kind]
        body = {"type": f"/api/#{self.kind}", "title": title, "status": status, "detail": self.detail, **self.members}
        return JsonResponse(body, status=status, content_type=MEDIA_TYPE, headers=self.headers)


def missing(detail: str = "There is nothing at this address. /api/ lists all that there is.") -> Problem:
    return Problem("missing", detail)


def problem_of(error: Exception) -> Problem:
    """The problem that an error amounts to. What nobody foresaw is logged, and told without its reason."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refused):
        return _refusal(error)
    if isinstance(error, ValidationError):
        return _invalid(error)
    if isinstance(error, AuthenticationError):
        return Problem("token", "This needs a token.", headers={"WWW-Authenticate": 'Bearer realm="ratify"'})
    if isinstance(error, HttpError):
        return Problem(BY_STATUS.get(error.status_code, "malformed"), f"{error.message}.")
    if isinstance(error, Http404):
        return missing()
    log.error("an API request failed", exc_info=error)
    if isinstance(error, OperationalError):
        return Problem("unavailable", "The database does not answer.", headers={"Retry-After": "5"})
    return Problem("broken", "The request failed for a reason that lies here, not with you.")


def _refusal(error: Refused) -> Problem:
    if isinstance(error, UnknownContext):
        return Problem("unknown-context", str(error), unknown=[wrong._asdict() for wrong in error.wrong])
    if isinstance(error, ProfileRefused):
        return Problem("refused", str(error), reasons=list(error.sentences))
    return Problem({403: "scope", 409: "conflict"}.get(error.status, "refused"), str(error), reasons=[str(error)])


def _invalid(error: ValidationError) -> Problem:
    """Places as a person would name them: "body → clauses → 2 → title"."""
    found = [{"place": _place(each["loc"]), "reason": _reason(each)} for each in error.errors]
    return Problem("invalid", "; ".join(f"{each['place']}: {each['reason']}" for each in found[:5]), invalid=found)


def _place(parts: tuple[str | int, ...]) -> str:
    shown = [part for part in parts if part not in ("content", "query_params")]
    return " → ".join(str(part + 1) if isinstance(part, int) else part for part in shown)


def _reason(each: Mapping[str, Any]) -> str:
    return str(each.get("ctx", {}).get("error", each["msg"]))
