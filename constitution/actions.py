"""The one thing that can be done to the law: publish its next version."""

from collections.abc import Sequence

from django.db import connection, transaction

from config.live import publish as announce
from constitution import ledger
from constitution.digests import digest
from constitution.errors import BaseMoved, Refused
from constitution.models import Clause, Principle, User, Version, VersionClause
from constitution.texts import ClauseText

# Publications queue up behind this transaction-level advisory lock: there is one head, and one next number.
PUBLISH_LOCK = 0x7075626C  # "publ"


def lock_head() -> Version | None:
    """Wait for all other publications, keep them waiting until this transaction ends, and return the head.

    Who takes several locks takes this one first, then rows by primary key, then the ledger's: in one order nobody
    waits for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PUBLISH_LOCK])
    return Version.objects.head()


@transaction.atomic
def publish(*, base: Version | None, clauses: Sequence[ClauseText], title: str, summary: str, by: User) -> Version:
    """Make `clauses` the next version after `base` (None for the founding version).

    The order of `clauses` is the order of the document. Raises BaseMoved where `base` is not the head any more, and
    Refused where the set is empty, names a principle twice or says exactly what the head says.
    """
    head = lock_head()
    if head != base:
        raise BaseMoved(f"This was written against {base or 'an empty constitution'}, and {head} is in force now.")
    version_digest = digest([clause.digest for clause in clauses])
    _check_set(clauses, version_digest, head)
    number = head.number + 1 if head else 1
    rows = _clause_rows(clauses)
    VersionClause.objects.bulk_create(
        VersionClause(version_id=number, clause=row, principle_id=row.principle_id, position=position)
        for position, row in enumerate(rows, start=1)
    )
    # The version's own row comes last: it seals the set, which the schema then refuses to extend.
    version = Version.objects.create(
        number=number, parent=head, digest=version_digest, title=title, summary=summary, published_by=by
    )
    announce("version")
    ledger.append(
        action="version published",
        by=by,
        subject=f"version:{number}",
        detail={"digest": version_digest, "parent": head.digest if head else None, "summary": summary},
    )
    return version


def _check_set(clauses: Sequence[ClauseText], version_digest: str, head: Version | None) -> None:
    if not clauses:
        raise Refused("A constitution without clauses cannot be published.")
    names = [clause.principle for clause in clauses]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"A version has one clause for each principle; {', '.join(twice)} came twice.")
    if head and head.digest == version_digest:
        raise Refused(f"Nothing would change: {head} says exactly this.")


def _clause_rows(clauses: Sequence[ClauseText]) -> list[Clause]:
    """The row for each wording, written once however many versions carry it. A constant number of queries."""
    Principle.objects.bulk_create((Principle(id=clause.principle) for clause in clauses), ignore_conflicts=True)
    digests = [clause.digest for clause in clauses]
    known = Clause.objects.in_bulk(digests, field_name="digest")
    Clause.objects.bulk_create(_row(clause) for clause in clauses if clause.digest not in known)
    rows = Clause.objects.in_bulk(digests, field_name="digest")
    return [rows[found] for found in digests]


def _row(clause: ClauseText) -> Clause:
    content = clause.model_dump(mode="json")
    return Clause(principle_id=content.pop("principle"), digest=clause.digest, **content)
