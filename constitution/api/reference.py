"""The OpenAPI document, and a page to read it on: made here, so that it needs no script and no foreign style."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from constitution.api.interface import document
from constitution.api.problems import KINDS

PLAIN_WORDS = {"string": "text", "integer": "whole number", "boolean": "true or false"}


@login_not_required
@require_safe
def openapi(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    return JsonResponse(document(), headers={"Cache-Control": "public, max-age=300"})


@login_not_required
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    found = document()
    context = {
        "description": _plain(found["info"]["description"]),
        "groups": _groups(found),
        "shapes": [_shape(name, schema) for name, schema in sorted(found["components"]["schemas"].items())],
        "problems": [{"name": name, **kind._asdict(), "remedy": _plain(kind.remedy)} for name, kind in KINDS.items()],
    }
    return render(request, "constitution/api_page.html", context)


def _plain(text: str) -> str:
    """A text without the marks that code has in the document, which is read as Markdown elsewhere."""
    return text.replace("`", "")


def _groups(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls under their headings, in the order in which they were declared."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            groups[operation["tags"][0]].append(_call(path, method, operation))
    return [{"name": name, "calls": calls} for name, calls in groups.items()]


def _call(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    answers = operation["responses"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "description": _plain(operation["description"]),
        "needs": _need(method) if "security" in operation else "",
        "parameters": [_parameter(each) for each in operation["parameters"]],
        "body": _type(body) if body else None,
        "gives": [_answer(status, each) for status, each in answers.items() if status in ("200", "201")],
        "refusals": [int(status) for status in answers if int(status) >= 400],
    }


def _need(method: str) -> str:
    return "read" if method == "get" else "profiles"


def _parameter(each: dict[str, Any]) -> dict[str, Any]:
    where = {"path": "in the path", "query": "in the query", "header": "as a header"}[each["in"]]
    default = each["schema"].get("default")
    return {
        "name": each["name"],
        "where": where,
        "type": _type(each["schema"]),
        "is_required": each["required"],
        "default": "" if default in (None, "", []) else str(default).lower(),
        "description": _plain(each.get("description", "")),
    }


def _answer(status: str, answer: dict[str, Any]) -> dict[str, Any]:
    contents = answer.get("content", {}).items()
    return {"status": status, "forms": [{"media": media, "type": _type(each["schema"])} for media, each in contents]}


def _shape(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    required = schema.get("required", [])
    fields = [
        {
            "name": field,
            "type": _type(each),
            "is_required": field in required,
            "description": _plain(each.get("description", "")),
        }
        for field, each in schema.get("properties", {}).items()
    ]
    return {"name": name, "description": _plain(schema.get("description", "")), "fields": fields}


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words: `list of Clause`, `text or null`."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema or "const" in schema:
        return " | ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if options := schema.get("anyOf"):
        return " or ".join(_type(option) for option in options)
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        return " ".join(_map(schema))
    return PLAIN_WORDS.get(kind, str(kind))


def _map(schema: dict[str, Any]) -> Iterator[str]:
    yield "map"
    keys, inside = schema.get("propertyNames"), schema.get("additionalProperties")
    if keys:
        yield f"from {_type(keys)}"
    if isinstance(inside, dict):
        yield f"to {_type(inside)}"
