"""The addresses of the API, each in its frame; below them one problem for every address that does not exist."""

import re
from collections.abc import Iterator

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, re_path
from django.views.decorators.csrf import csrf_exempt

from constitution.api import reference
from constitution.api.frame import Parameters, framed
from constitution.api.interface import ROOT, document, interface
from constitution.api.problems import missing

app_name = "api"


@csrf_exempt
@login_not_required
def nothing(request: HttpRequest, rest: str) -> HttpResponse:  # noqa: ARG001
    """There is no such address, whatever the method."""
    return missing().response()


def _framed() -> Iterator[URLPattern]:
    for pattern in interface.urls[0]:
        if isinstance(pattern, URLPattern) and pattern.name != "api-root":
            route = str(pattern.pattern)
            yield path(f"v1/{route}", framed(pattern.callback, _parameters(route)), name=pattern.name)


def _parameters(route: str) -> Parameters:
    """For each method of an address, the query parameters that its description names."""
    methods = document()["paths"]["/" + ROOT + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)]
    return {
        method.upper(): frozenset(each["name"] for each in operation["parameters"] if each["in"] == "query")
        for method, operation in methods.items()
    }


urlpatterns = [
    path("", reference.show, name="reference"),
    path("v1/openapi.json", reference.openapi, name="openapi"),
    *_framed(),
    re_path("^(?P<rest>.+)$", nothing, name="missing"),
]
