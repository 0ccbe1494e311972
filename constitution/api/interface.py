"""The API put together, and its OpenAPI document: what the framework knows, and what holds for every call."""

from functools import cache
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.operation import Operation
from pydantic import Field

from constitution.api import effective, profiles, reading
from constitution.api.frame import check_request, problem_answer
from constitution.api.problems import KINDS, MEDIA_TYPE
from constitution.errors import Refused

ROOT = "api/v1/"
DESCRIPTION = (
    "Which principles hold in a deployment context, and an organisation's own on top of them. Lists come in pages, "
    "whose `next` is the address of what follows. Answers carry an ETag; send it in If-None-Match for a 304 where "
    "nothing changed. Refusals are problem details (RFC 9457)."
)
READING = (401, 403, 406, 422, 429, 500, 503)
WRITING = (400, 401, 403, 409, 413, 415, 422, 429, 500, 503)
MEANINGS = {200: "As asked", 201: "Made", 304: "Nothing changed since that ETag"}
RATES = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")


class Refusal(Schema):
    """Why something was refused (RFC 9457). Some kinds say more, in members of their own."""

    type: str = Field(description="Where the kind is explained.")
    title: str
    status: int
    detail: str = Field(description="A sentence for the person who can mend it.")


class Interface(NinjaAPI):
    """Calls are named as their functions are, and requests are checked once it is known who asks."""

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        check_request(request)  # the first step after the token, the last before values are read
        return super().create_temporal_response(request)

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__


def _made() -> Interface:
    made = Interface(title="Ratify", version="1", description=DESCRIPTION, docs_url=None, openapi_url=None)
    for part in (reading, effective, profiles):
        made.add_router("", part.router)
    for error in (Refused, ValidationError, AuthenticationError, HttpError, OperationalError, Exception):
        made.add_exception_handler(error, problem_answer)
    return made


interface = _made()


@cache
def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document: the same for everybody, and free of secrets."""
    found: dict[str, Any] = dict(interface.get_openapi_schema(path_prefix=ROOT))
    del found["components"]["schemas"]["Question"]  # its fields are parameters, each by itself
    found["components"]["schemas"]["Refusal"] = Refusal.model_json_schema()
    found["components"]["securitySchemes"]["Token"]["bearerFormat"] = "rat_…"
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            _complete(operation, path, method)
    return found


def _complete(operation: dict[str, Any], path: str, method: str) -> None:
    """Add what holds for all calls to one: its refusals, 304, and the headers of its answers."""
    for parameter in operation["parameters"]:
        parameter.pop("examples", None)  # they stand in its schema, in the form that OpenAPI knows
    answers = operation["responses"]
    for status in _refusals(operation, path, method):
        answers[status] = _refusal(status)
    if method == "get":
        answers[304] = {}
    for status, answer in answers.items():
        if status < 400:
            answer["description"] = MEANINGS[status]
            answer["headers"] = _headers(has_token="security" in operation)
    operation["responses"] = {str(status): answers[status] for status in sorted(answers)}


def _refusals(operation: dict[str, Any], path: str, method: str) -> set[int]:
    found = {422, 500}
    if "security" in operation:
        found |= set(READING if method == "get" else WRITING)
        found -= set() if path.endswith("/effective") else {406}
    if "{" in path:
        found.add(404)
    if "{version}" in path or "{old}" in path or "effective" in path:
        found |= {400, 404}
    if any(parameter["name"] == "If-Match" for parameter in operation["parameters"]):
        found |= {412, 428}
    return found


def _refusal(status: int) -> dict[str, Any]:
    titles = " or ".join(kind.title for kind in KINDS.values() if kind.status == status)
    return {"description": titles, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Refusal"}}}}


def _headers(*, has_token: bool) -> dict[str, Any]:
    names = ("ETag", *RATES) if has_token else ("ETag",)
    return {name: {"schema": {"type": "string" if name == "ETag" else "integer"}} for name in names}
