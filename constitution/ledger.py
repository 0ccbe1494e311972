"""The ledger: append-only, hash-chained, one entry per write, in the transaction of the write."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from constitution.digests import digest
from constitution.errors import LedgerBroken
from constitution.models import LedgerEntry, User

GENESIS = "0" * 64
# Appends queue up behind this transaction-level advisory lock, so that the chain has one end.
APPEND_LOCK = 0x7261746966  # "ratif"

Actor = User | str


def append(*, action: str, by: Actor, subject: str, detail: Mapping[str, Any] | None = None) -> LedgerEntry:
    """Write down that `by` did `action` to `subject` ("version:2").

    `by` is a person, or the name of the machine process that acted. Call it last in the transaction of the write:
    from here to the commit all other appends wait. Raises TransactionManagementError outside a transaction.
    """
    return append_each(action=action, by=by, about=[(subject, detail or {})])[0]


def append_each(*, action: str, by: Actor, about: Sequence[tuple[str, Mapping[str, Any]]]) -> list[LedgerEntry]:
    """As `append`, one entry for each (subject, detail), in that order and with one statement."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("A ledger entry is written in the transaction of its write.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [APPEND_LOCK])
    last = LedgerEntry.objects.order_by("-number").first()
    entries = []
    for subject, detail in about:
        last = _after(last, LedgerEntry(actor_name=str(by), action=action, subject=subject, detail=dict(detail)), by)
        entries.append(last)
    return LedgerEntry.objects.bulk_create(entries)


def _after(last: LedgerEntry | None, entry: LedgerEntry, by: Actor) -> LedgerEntry:
    """`entry` as the one that follows `last`."""
    entry.number, entry.previous = (last.number + 1, last.digest) if last else (1, GENESIS)
    entry.at, entry.actor = datetime.now(UTC), by if isinstance(by, User) else None
    entry.digest = entry_digest(entry)
    return entry


def entry_digest(entry: LedgerEntry) -> str:
    """SHA-256 over everything an entry says, the digest of the one before it included."""
    return digest(
        {
            "number": entry.number,
            "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": entry.actor_id,
            "actor_name": entry.actor_name,
            "action": entry.action,
            "subject": entry.subject,
            "detail": entry.detail,
            "previous": entry.previous,
        }
    )


def verify() -> int:
    """Walk the whole chain; return the number of entries. Raises LedgerBroken at the first that does not hold."""
    previous, expected = GENESIS, 1
    for entry in _entries():
        if entry.number != expected:
            raise LedgerBroken(f"Entry {expected} is missing: after {expected - 1} comes {entry.number}.")
        if entry.previous != previous:
            raise LedgerBroken(f"Entry {entry.number} does not follow entry {entry.number - 1}.")
        if entry.digest != entry_digest(entry):
            raise LedgerBroken(f"Entry {entry.number} was altered: its digest does not match what it says.")
        previous, expected = entry.digest, expected + 1
    return expected - 1


def _entries() -> Iterator[LedgerEntry]:
    return LedgerEntry.objects.order_by("number").iterator(chunk_size=2000)
