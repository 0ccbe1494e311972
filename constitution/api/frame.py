"""What holds for every answer of the API: methods, unknown parameters, bodies, entity tags, rates, no cookies."""

import hashlib
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.csrf import csrf_exempt

from constitution.api.gate import use_of
from constitution.api.problems import Problem, problem_of

View = Callable[..., HttpResponseBase]
# For each method the query parameters that it knows.
Parameters = Mapping[str, frozenset[str]]

MOST_BYTES = 1_000_000
WITH_BODY = frozenset({"POST", "PUT"})


def framed(view: View, parameters: Parameters) -> View:
    """`view` as it stands in the list of addresses. It answers for itself: no session, sign-in or CSRF token."""

    @csrf_exempt
    @login_not_required
    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        method = request.method
        request.method = "GET" if method == "HEAD" else method
        request.parameters = parameters  # type: ignore[attr-defined]
        answer = view(request, *args, **kwargs)
        request.method = method
        if answer.status_code == 405:
            answer = _other_method(request, parameters)
        return _finished(request, answer)

    return answered


def entity_tag(digest: str) -> str:
    """A digest as an ETag."""
    return f'"{digest}"'


def check_request(request: HttpRequest) -> None:
    """What can be said of a request before its values are read. Raises Problem."""
    known: frozenset[str] = request.parameters[request.method]  # type: ignore[attr-defined]
    if unknown := sorted(set(request.GET) - known):
        raise _unknown_parameters(unknown, known)
    if request.method in WITH_BODY:
        _check_body(request)


def _unknown_parameters(unknown: list[str], known: frozenset[str]) -> Problem:
    """A misspelt parameter is refused: left out, it would change which principles are told to hold."""
    invalid = []
    for name in unknown:
        near = get_close_matches(name[:100], known)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        invalid.append({"place": f"query → {name[:100]}", "reason": f"There is no such parameter.{hint}"})
    return Problem("invalid", "; ".join(f"{each['place']}: {each['reason']}" for each in invalid[:5]), invalid=invalid)


def _check_body(request: HttpRequest) -> None:
    if request.content_type != "application/json":
        raise Problem("media-type", "The body of this call is JSON: send Content-Type: application/json.")
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    if not length.isdecimal() or int(length) > MOST_BYTES:
        raise Problem("too-large", f"A body has at most {MOST_BYTES:,} bytes.")


def _other_method(request: HttpRequest, parameters: Parameters) -> HttpResponseBase:
    taken = sorted({*parameters, *(["HEAD"] if "GET" in parameters else []), "OPTIONS"})
    headers = {"Allow": ", ".join(taken)}
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=headers)
    return Problem("method", f"This address takes {headers['Allow']}.", headers=headers).response()


def _finished(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    """The answer with its headers; 304 instead of what the caller has already."""
    if answer.status_code == 200 and request.method in ("GET", "HEAD") and isinstance(answer, HttpResponse):
        if not answer.has_header("ETag"):
            answer["ETag"] = entity_tag(hashlib.sha256(answer.content).hexdigest())
        answer.setdefault("Cache-Control", "private, no-cache")
        answer = get_conditional_response(request, etag=answer["ETag"], response=answer) or answer
    answer.headers.setdefault("Cache-Control", "no-store")
    patch_vary_headers(answer, ["Accept", "Authorization"])
    if use := use_of(request):
        answer["RateLimit-Limit"] = str(use.limit)
        answer["RateLimit-Remaining"] = str(use.remaining)
        answer["RateLimit-Reset"] = str(use.resets_in)
    return answer


def problem_answer(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:  # noqa: ARG001
    """What the framework answers when a call raises `error`."""
    return problem_of(error if isinstance(error, Exception) else error()).response()
