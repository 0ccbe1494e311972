"""Addresses by digest: they lead to the same words for ever, whatever is renumbered, renamed or moved around them."""

import re

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from constitution.models import Clause, Version
from constitution.views import documents

SHORTEST = 12
DIGEST = re.compile(rf"[0-9a-f]{{{SHORTEST},64}}")


@require_safe
def by_digest(_: HttpRequest, digest: str) -> HttpResponse:
    """To the version with this digest, or to the clause, in the first version that carried it.

    `digest` is that of the whole, or at least its first 12 digits. Of equal versions the first one at home is meant.
    """
    if not DIGEST.fullmatch(digest):
        raise Http404(f"A digest is written with {SHORTEST} to 64 of the digits 0 to 9 and a to f.")
    return redirect(_version(digest) or _clause(digest))


def _version(digest: str) -> str:
    rows = Version.objects.filter(digest__startswith=digest).select_related("constitution")
    found = rows.order_by("-constitution__is_home", "pk").first()
    return documents.url(found.constitution, "version-detail", number=found.number) if found else ""


def _clause(digest: str) -> str:
    clause = Clause.objects.filter(digest__startswith=digest).order_by("pk").first()
    if clause is None:
        raise Http404("No version and no clause has a digest that begins like this.")
    version = clause.versions.select_related("constitution").order_by("-constitution__is_home", "pk").first()
    if version is None:
        raise Http404("No version carries this clause.")
    return f"{documents.url(version.constitution, 'version-detail', number=version.number)}#{clause.principle_id}"
