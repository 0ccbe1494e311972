"""Constitutions, their versions, clauses, history and differences, and the words of contexts."""

from collections import defaultdict
from typing import Annotated, Any

from django.db.models import Exists, F, Max, OuterRef
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from constitution.api import values
from constitution.api.gate import READER
from constitution.api.lookups import find_constitution, find_version, page
from constitution.api.problems import missing
from constitution.api.values import LARGEST, PAGE, DimensionName, Limit, PrincipleName, Slug, VersionName
from constitution.diffs import Change, changes, redline
from constitution.models import Constitution, Version, VersionClause
from constitution.texts import RELATIONS, ClauseText
from constitution.vocabulary import Node, vocabulary

router = Router()

AfterNumber = Annotated[int | None, Query(ge=1, le=LARGEST, description="Only what comes after this one.")]
AfterSlug = Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$", description="Only what comes after this one.")]
# A version that is named by its number never says anything else.
FOREVER = "private, max-age=86400, immutable"


@router.get("/ping", response=values.Pong, url_name="ping", auth=None, tags=["Service"])
def ping(request: HttpRequest) -> dict[str, bool]:  # noqa: ARG001
    """Whether the API answers. Needs no token and asks no database."""
    return {"ok": True}


@router.get(
    "/constitutions", response=values.Page[values.Constitution], url_name="constitutions", auth=READER, tags=["Texts"]
)
def list_constitutions(request: HttpRequest, after: AfterSlug = "", limit: Limit = PAGE) -> dict[str, Any]:
    """All constitutions by name: the one at home here, and those that were imported."""
    rows = Constitution.objects.annotate(newest=Max("versions__number")).filter(slug__gt=after).order_by("slug")
    return page(request, rows, limit, lambda row: row.slug, _constitution)


@router.get("/constitutions/{slug}", response=values.Constitution, url_name="constitution", auth=READER, tags=["Texts"])
def show_constitution(request: HttpRequest, slug: Slug) -> dict[str, Any]:  # noqa: ARG001
    """One constitution."""
    row = Constitution.objects.annotate(newest=Max("versions__number")).filter(slug=slug).first()
    if row is None:
        raise missing(f"There is no constitution named {slug}. /api/v1/constitutions lists them.")
    return _constitution(row)


@router.get(
    "/constitutions/{slug}/versions",
    response=values.Page[values.Version],
    url_name="versions",
    auth=READER,
    tags=["Texts"],
)
def list_versions(request: HttpRequest, slug: Slug, after: AfterNumber = None, limit: Limit = PAGE) -> dict[str, Any]:
    """The versions of a constitution, newest first."""
    constitution = find_constitution(slug)
    return page(request, _versions(constitution, after), limit, lambda row: row.number, _version)


@router.get(
    "/constitutions/{slug}/versions/{version}",
    response=values.Version,
    url_name="version",
    auth=READER,
    tags=["Texts"],
)
def show_version(request: HttpRequest, response: HttpResponse, slug: Slug, version: VersionName) -> dict[str, Any]:  # noqa: ARG001
    """One version, by number, as `head`, or as of a day."""
    return _version(_found(response, slug, version))


@router.get(
    "/constitutions/{slug}/versions/{version}/clauses",
    response=values.Page[values.PlacedClause],
    url_name="clauses",
    auth=READER,
    tags=["Texts"],
)
def list_clauses(
    request: HttpRequest,
    response: HttpResponse,
    slug: Slug,
    version: VersionName,
    after: AfterNumber = None,
    limit: Limit = PAGE,
) -> dict[str, Any]:
    """The clauses of a version in the order of the document; `after` is a position."""
    found = _found(response, slug, version)
    rows = found.version_clauses.select_related("clause").filter(position__gt=after or 0).order_by("position")
    return page(request, rows, limit, lambda row: row.position, _placed)


@router.get(
    "/constitutions/{slug}/versions/{version}/clauses/{principle}",
    response=values.PlacedClause,
    url_name="clause",
    auth=READER,
    tags=["Texts"],
)
def show_clause(
    request: HttpRequest,  # noqa: ARG001
    response: HttpResponse,
    slug: Slug,
    version: VersionName,
    principle: PrincipleName,
) -> dict[str, Any]:
    """One clause of a version."""
    found = _found(response, slug, version)
    row = found.version_clauses.select_related("clause").filter(principle=principle).first()
    if row is None:
        raise missing(f"Version {found.number} of {slug} has no clause {principle}.")
    return _placed(row)


@router.get(
    "/constitutions/{slug}/history",
    response=values.Page[values.PastVersion],
    url_name="history",
    auth=READER,
    tags=["History"],
)
def history(request: HttpRequest, slug: Slug, after: AfterNumber = None, limit: Limit = PAGE) -> dict[str, Any]:
    """The versions of a constitution, newest first, each with what it changed. The first one changed nothing."""
    rows = list(_versions(find_constitution(slug), after)[: limit + 1])
    changed = _changed([row for row in rows if row.number > 1])
    return page(request, rows, limit, lambda row: row.number, lambda row: _past(row, changed[row.pk]))


@router.get(
    "/constitutions/{slug}/versions/{old}/to/{new}",
    response=values.Comparison,
    url_name="diff",
    auth=READER,
    tags=["History"],
)
def compare(request: HttpRequest, slug: Slug, old: VersionName, new: VersionName) -> dict[str, Any]:  # noqa: ARG001
    """What differs between two versions: clause by clause, and word by word."""
    before, after = find_version(slug, old), find_version(slug, new)
    found = changes(before.texts(), after.texts())
    return {
        "constitution": slug,
        "old": before.number,
        "new": after.number,
        "changes": [_difference(change) for change in found],
    }


@router.get("/contexts", response=values.Vocabulary, url_name="contexts", auth=READER, tags=["Contexts"])
def show_vocabulary(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001
    """The dimensions of a context, and what follows from what: the EU implies GDPR."""
    words = vocabulary()
    return {
        "digest": words.digest,
        "dimensions": {dimension: len(nodes) for dimension, nodes in words.nodes.items()},
        "rules": [{"when": dict(rule.when), "adds": _adds(rule.adds)} for rule in words.rules],
    }


@router.get(
    "/contexts/{dimension}",
    response=values.Page[values.Value],
    url_name="context-values",
    auth=READER,
    tags=["Contexts"],
)
def list_values(
    request: HttpRequest, dimension: DimensionName, after: AfterSlug = "", limit: Limit = PAGE
) -> dict[str, Any]:
    """The values of a dimension by id: ISO 3166 and UN M49 regions, ISIC industries, regulations, audiences."""
    nodes = vocabulary().nodes[dimension]
    rows = [nodes[name] for name in sorted(nodes) if name > after]
    return page(request, rows, limit, lambda node: node.id, _value)


def _found(response: HttpResponse, slug: str, name: str) -> Version:
    if name.isdecimal():
        response["Cache-Control"] = FOREVER
    return find_version(slug, name)


def _versions(constitution: Constitution, after: int | None) -> Any:
    rows = constitution.versions.select_related("constitution", "published_by").order_by("-number")
    return rows.filter(number__lt=after) if after else rows


def _changed(versions: list[Version]) -> dict[int, list[dict[str, Any]]]:
    """For each version, what differs from the one before it. Two queries, however many versions."""
    same = VersionClause.objects.filter(principle=OuterRef("principle"))
    came = (
        VersionClause.objects.filter(version__in=versions, since=F("version__number"))
        .annotate(is_known=Exists(same.filter(version=OuterRef("version__parent"))), where=F("version"))
        .order_by("version", "position")
    )
    went = (
        VersionClause.objects.filter(version__child__in=versions)
        .annotate(is_known=Exists(same.filter(version=OuterRef("version__child"))), where=F("version__child"))
        .filter(is_known=False)
        .order_by("version", "position")
    )
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in came.select_related("clause"):
        found[row.where].append(_line(row, "revised" if row.is_known else "added"))
    for row in went.select_related("clause"):
        found[row.where].append(_line(row, "repealed"))
    return found


def _line(row: VersionClause, kind: str) -> dict[str, Any]:
    return {"principle": row.principle_id, "kind": kind, "tier": row.clause.tier, "title": row.clause.title}


def _constitution(row: Any) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "title": row.title,
        "source": row.source,
        "is_home": row.is_home,
        "head": row.newest,
    }


def _version(row: Version) -> dict[str, Any]:
    return {
        "constitution": row.constitution.slug,
        "number": row.number,
        "digest": row.digest,
        "parent": row.number - 1 or None,
        "title": row.title,
        "summary": row.summary,
        "published_at": row.published_at,
        "published_by": str(row.published_by),
    }


def _past(row: Version, changed: list[dict[str, Any]]) -> dict[str, Any]:
    return {**_version(row), "changes": changed}


def _placed(row: VersionClause) -> dict[str, Any]:
    place = {"position": row.position, "since": row.since, "sentences_since": row.origins}
    return {**clause_value(row.clause.value), "digest": row.clause.digest, **place}


def clause_value(clause: ClauseText) -> dict[str, Any]:
    relations = {name: getattr(clause, name) for name in RELATIONS}
    return {**clause.model_dump(mode="json"), **relations, "digest": clause.digest}


def _difference(change: Change) -> dict[str, Any]:
    shown = change.after or change.before
    assert shown is not None  # noqa: S101  a change has a side
    before, after = change.before, change.after
    words = redline(before.text if before else "", after.text if after else "")
    return {
        "principle": change.principle,
        "kind": change.kind,
        "tier": shown.tier,
        "title": shown.title,
        "before": clause_value(before) if before else None,
        "after": clause_value(after) if after else None,
        "words": [segment._asdict() for segment in words],
    }


def _adds(pairs: tuple[tuple[Any, str], ...]) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = defaultdict(list)
    for dimension, value in pairs:
        found[dimension].append(value)
    return dict(found)


def _value(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "name": node.name,
        "code": node.code,
        "parents": list(node.parents),
        "aliases": list(node.aliases),
    }
