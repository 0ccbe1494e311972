"""From the words of an address to rows, and a page of rows."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time
from typing import Any, TypeVar

from django.db.models import QuerySet
from django.http import HttpRequest

from constitution.api.problems import Problem, missing
from constitution.models import Constitution, Version, VersionQuerySet

Row = TypeVar("Row")


def find_constitution(slug: str) -> Constitution:
    """Raises Problem where there is none of that name. One query."""
    found = Constitution.objects.filter(slug=slug).first()
    if found is None:
        raise missing(f"There is no constitution named {slug}. /api/v1/constitutions lists them.")
    return found


def find_version(slug: str, name: str) -> Version:
    """The version of that name (see values.NAMES_OF_A_VERSION), with all that is shown of it. One query.

    Raises Problem where there is none.
    """
    found = _named(Version.objects.filter(constitution__slug=slug), name)
    if found is None:
        raise missing(f"There is no version {name} of {slug}. /api/v1/constitutions/{slug}/versions lists them.")
    return found


def _named(versions: VersionQuerySet, name: str) -> Version | None:
    rows = versions.select_related("constitution", "published_by")
    if name == "head":
        return rows.newest()
    if name.isdecimal():
        return rows.filter(number=int(name)).first()
    return rows.as_of(moment(name))


def moment(name: str) -> datetime:
    """The moment that is named, or the last one of the day (UTC). Raises Problem where there is no such."""
    try:
        if "T" in name:
            return datetime.fromisoformat(name)
        return datetime.combine(datetime.fromisoformat(name).date(), time.max, tzinfo=UTC)
    except ValueError:
        raise Problem("refused", f"There is no such day or moment: {name}.") from None


def page(
    request: HttpRequest,
    rows: "QuerySet[Any] | Sequence[Row]",
    limit: int,
    key: Callable[[Row], object],
    show: Callable[[Row], dict[str, Any]],
) -> dict[str, Any]:
    """The first `limit` of `rows`, which begin after the last page, and the address of the next ones."""
    found = list(rows[: limit + 1])
    shown = found[:limit]
    follows = _next_address(request, key(shown[-1])) if len(found) > limit else None
    return {"items": [show(row) for row in shown], "next": follows}


def _next_address(request: HttpRequest, after: object) -> str:
    query = request.GET.copy()
    query["after"] = str(after)
    return f"{request.path}?{query.urlencode()}"
