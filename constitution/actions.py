"""What can be done to the law: found a constitution, and publish its next version."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from config.live import publish as announce
from constitution import ledger
from constitution.digests import digest
from constitution.errors import BaseMoved, Refused
from constitution.models import Clause, Constitution, Principle, User, Version, VersionClause
from constitution.proofs import check_provable
from constitution.sentences import origins
from constitution.signing import head_statement, sign
from constitution.texts import ClauseText

HOME = "home"
# Publications queue up behind this transaction-level advisory lock: there is one head, and one next number.
PUBLISH_LOCK = 0x7075626C  # "publ"


def lock_head(constitution: Constitution | None = None) -> Version | None:
    """Wait for all other publications, keep them waiting until this transaction ends, and return the head.

    The head is that of `constitution`, or of the one at home here. Who takes several locks takes this one first, then
    rows by primary key, then the ledger's: in one order nobody waits for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PUBLISH_LOCK])
    return constitution.versions.newest() if constitution else Version.objects.head()


@transaction.atomic
def found(*, slug: str, title: str, by: User, source: str = "", is_home: bool = False) -> Constitution:
    """Open an empty constitution. Raises Refused where the slug is taken."""
    if Constitution.objects.filter(slug=slug).exists():
        raise Refused(f"There is already a constitution named {slug}.")
    constitution = Constitution.objects.create(slug=slug, title=title, source=source, is_home=is_home)
    ledger.append(
        action="constitution founded", by=by, subject=f"constitution:{slug}", detail={"title": title, "source": source}
    )
    return constitution


@transaction.atomic
def publish(
    *,
    base: Version | None,
    clauses: Sequence[ClauseText],
    title: str,
    summary: str,
    by: User,
    constitution: Constitution | None = None,
    at: datetime | None = None,
) -> Version:
    """Make `clauses` the next version after `base` (None for the founding version).

    It belongs to `constitution`, or to the one at home here, which its founding version founds. `at` is when it was
    published, if that was not now. The order of `clauses` is the order of the document. Raises BaseMoved where `base`
    is not the head any more, Unproved where a proof fails, and Refused where the set is empty, names a principle
    twice, says exactly what the head says or is older than it.
    """
    head = lock_head(constitution)
    if head != base:
        raise BaseMoved(f"This was written against {base or 'an empty constitution'}, and {head} is in force now.")
    at = at or timezone.now()
    version_digest = digest([clause.digest for clause in clauses])
    _check_set(clauses, version_digest, head)
    check_provable(clauses, proved=head.texts() if head else ())
    if head and at < head.published_at:
        raise Refused(f"{head} was published at {head.published_at:%Y-%m-%d %H:%M}; what follows cannot be older.")
    version = Version(
        id=_next_id(),
        constitution=constitution or _home(title, by),
        number=head.number + 1 if head else 1,
        parent=head,
        digest=version_digest,
        title=title,
        summary=summary,
        published_at=at,
        published_by=by,
    )
    _write_set(version, clauses)
    # The version's own row comes last: it seals the set, which the schema then refuses to extend.
    version.save(force_insert=True)
    announce("version")
    ledger.append(
        action="version published",
        by=by,
        subject=version.subject,
        detail={
            "digest": version_digest,
            "parent": head.digest if head else None,
            "title": title,
            "summary": summary,
            "published_at": at.astimezone(UTC).isoformat(),
            **_signed(version),
        },
    )
    return version


def _signed(version: Version) -> dict[str, Any]:
    """The signature of the new head, where this installation has a key."""
    slug = version.constitution.slug
    signature = sign(head_statement(slug=slug, number=version.number, digest=version.digest))
    return {"signature": signature} if signature else {}


def _next_id() -> int:
    """The key of a version to come: its set is written before its own row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('constitution_version', 'id'))")
        return int(cursor.fetchone()[0])


def _home(title: str, by: User) -> Constitution:
    home = Constitution.objects.filter(is_home=True).first()
    return home or found(slug=HOME, title=title, by=by, is_home=True)


def _write_set(version: Version, clauses: Sequence[ClauseText]) -> None:
    """The clauses of `version`, each with its age and that of its sentences. A constant number of queries."""
    old = {row.principle_id: row for row in _set_of(version.parent)}
    VersionClause.objects.bulk_create(
        _place(version, row, position, old.get(row.principle_id))
        for position, row in enumerate(_clause_rows(clauses), start=1)
    )


def _set_of(version: Version | None) -> list[VersionClause]:
    return list(version.version_clauses.select_related("clause")) if version else []


def _place(version: Version, clause: Clause, position: int, old: VersionClause | None) -> VersionClause:
    is_same = old is not None and old.clause_id == clause.pk
    before, known = (old.clause.text, old.origins) if old else ("", [])
    return VersionClause(
        version_id=version.pk,
        clause=clause,
        principle_id=clause.principle_id,
        position=position,
        since=old.since if is_same and old else version.number,
        origins=known if is_same else origins(clause.text, version.number, before=before, known=known),
    )


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
