"""Imported releases become versions of a constitution that is kept beside our own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from constitution.actions import found, lock_head, publish
from constitution.digests import digest
from constitution.errors import Refused
from constitution.models import Constitution, User, Version
from constitution.texts import ClauseText


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is to become a version. `at` is when it was released; None is now."""

    at: datetime | None
    title: str
    summary: str
    clauses: Sequence[ClauseText]


@transaction.atomic
def import_versions(
    arrivals: Iterable[Arrival], *, slug: str, title: str, source: str = "", by: User
) -> list[tuple[Arrival, Version | None]]:
    """Publish each arrival, oldest first, after the versions that the constitution `slug` has; found it if need be.

    All or nothing. A release that is not newer than the head, or says exactly the same, is passed over (None): so a
    second import of the same folder adds what has come since. Raises Refused where the constitution is the one at home
    here, and what `publish` raises.
    """
    constitution = Constitution.objects.filter(slug=slug).first()
    constitution = constitution or found(slug=slug, title=title, source=source, by=by)
    if constitution.is_home:
        raise Refused(f"{constitution} is amended here; an imported document needs a name of its own.")
    return [(arrival, _import(arrival, constitution, by)) for arrival in arrivals]


def _import(arrival: Arrival, constitution: Constitution, by: User) -> Version | None:
    head = lock_head(constitution)
    is_old = bool(head and arrival.at and arrival.at <= head.published_at)
    if head and (is_old or head.digest == digest([clause.digest for clause in arrival.clauses])):
        return None
    return publish(
        base=head,
        clauses=arrival.clauses,
        title=arrival.title,
        summary=arrival.summary,
        by=by,
        constitution=constitution,
        at=arrival.at,
    )
