"""The version and the profile that a question is about, found with one statement and nothing more than their digests.

A law is compiled once for the digests and kept, so their texts are read only when it is not yet known. What was found
is kept as well, under the ledger's newest entry: until the next write of anything the same question finds the same.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection

from constitution.api.lookups import moment
from constitution.api.problems import Problem, missing
from constitution.models import ProfileRevision, Version
from constitution.tokens import Use

SEEK = """
    WITH mine AS (
        SELECT newest.id, newest.digest, profile.pinned_to_id
        FROM constitution_profile profile CROSS JOIN LATERAL (
            SELECT id, digest FROM constitution_profilerevision
            WHERE profile_id = profile.id ORDER BY number DESC LIMIT 1
        ) newest
        WHERE profile.slug = %(profile)s AND profile.owner_id = %(owner)s
    )
    SELECT version.id, version.number, version.digest, constitution.is_home, mine.id, mine.digest
    FROM constitution_constitution constitution
    JOIN constitution_version version ON version.constitution_id = constitution.id
    LEFT JOIN mine ON true
    WHERE constitution.slug = %(slug)s AND
"""
# How each kind of name chooses among the versions; the newest of those that are left is meant.
UNNAMED = "(mine.pinned_to_id IS NULL OR version.id = mine.pinned_to_id OR NOT constitution.is_home)"
HEAD = "true"
NUMBER = "version.number = %(name)s::int"
MOMENT = "version.published_at <= %(name)s"
LAST = " ORDER BY version.number DESC LIMIT 1"


class Sought(NamedTuple):
    """Rows of which only keys, numbers and digests were read; the rest is read where it is asked for."""

    version: Version
    revision: ProfileRevision | None


def seek(slug: str, name: str, profile: str, use: Use) -> Sought:
    """What a question about constitution `slug` stands on. At most one query. Raises Problem.

    `name` is that of a version, or empty: then it is the one that the profile is pinned to, or the head. `profile` is
    the slug of a profile of the person whose token this is, or empty.
    """
    row = _row(use.as_of, slug, name, profile, use.owner)
    if row is None:
        raise missing(f"There is no version {name or 'head'} of {slug}. /api/v1/constitutions lists what there is.")
    version = Version.from_db("default", ["id", "number", "digest"], row[:3])
    return Sought(version, _revision(profile, slug, *row[3:]) if profile else None)


@lru_cache(maxsize=10_000)
def _row(_as_of: str, slug: str, name: str, profile: str, owner: int) -> tuple[Any, ...] | None:
    choice, value = _choice(name)
    with connection.cursor() as cursor:
        cursor.execute(SEEK + choice + LAST, {"profile": profile or None, "owner": owner, "slug": slug, "name": value})
        row: tuple[Any, ...] | None = cursor.fetchone()
    return row


def _choice(name: str) -> tuple[str, str | datetime | None]:
    if not name:
        return UNNAMED, None
    if name == "head":
        return HEAD, None
    return (NUMBER, name) if name.isdecimal() else (MOMENT, moment(name))


def _revision(profile: str, slug: str, is_home: bool, pk: int | None, digest: str) -> ProfileRevision:
    if not is_home:
        raise Problem("refused", f"A profile is a layer on the constitution at home here; {slug} was imported.")
    if pk is None:
        raise missing(f"You have no profile named {profile}. /api/v1/profiles lists yours.")
    return ProfileRevision.from_db("default", ["id", "digest"], [pk, digest])
