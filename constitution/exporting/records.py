"""The history and the ledger as lines of JSON, from which every digest can be computed again."""

from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Any

from constitution.digests import canonical
from constitution.exporting.histories import Published
from constitution.models import LedgerEntry


def version_record(version: Published) -> dict[str, Any]:
    """A version with its clauses as digests, in the order of the document."""
    return {
        "subject": version.subject,
        "number": version.number,
        "digest": version.digest,
        "parent": version.parent,
        "title": version.title,
        "summary": version.summary,
        "published_at": version.published_at.astimezone(UTC).isoformat(),
        "published_by": {"name": version.author, "username": version.username},
        "amendment": version.amendment,
        "clauses": [clause.digest for clause in version.clauses],
    }


def clause_records(version: Published, written: set[str]) -> Iterator[dict[str, Any]]:
    """The wordings of `version` that are not among the digests in `written`, which grows by them."""
    for clause in version.clauses:
        if clause.digest not in written:
            written.add(clause.digest)
            yield {"digest": clause.digest, "content": clause.model_dump(mode="json")}


def entry_record(entry: LedgerEntry) -> dict[str, Any]:
    """An entry with its digest, which covers all the other fields."""
    return {
        "number": entry.number,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor_id,
        "actor_name": entry.actor_name,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "previous": entry.previous,
        "digest": entry.digest,
    }


def lines(records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """Each record on a line of its own, in canonical form."""
    for record in records:
        yield canonical(record) + b"\n"
