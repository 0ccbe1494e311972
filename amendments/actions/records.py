"""What every verb does to a proposal's row: lock it, move it, give it other content, write down what happened."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils import timezone

from amendments import notices, states
from amendments.errors import AlreadyDecided, NothingToChange
from amendments.models import Amendment, Revision
from amendments.operations import Operations, apply, content_digest, dump, highest_tier
from config.live import publish as announce
from constitution import ledger
from constitution.models import User, Version
from constitution.texts import ClauseText, written


def lock(amendment: Amendment) -> Amendment:
    return Amendment.objects.select_for_update(of=("self",)).select_related("base").get(pk=amendment.pk)


def lock_siblings(amendment: Amendment) -> list[Amendment]:
    """All undecided ones that touch the same principles, in one order: an acceptance changes what they stand on."""
    rows = Amendment.objects.undecided().filter(touches__overlap=amendment.touches)
    return list(rows.select_for_update(of=("self",)).select_related("base", "producer").order_by("pk"))


def still_undecided(rows: Sequence[Amendment], amendment: Amendment) -> Amendment:
    for row in rows:
        if row.pk == amendment.pk:
            return row
    raise AlreadyDecided(Amendment.objects.select_related("decided_by", "version").get(pk=amendment.pk))


def close(row: Amendment, state: str, *, by: User | None, reason: str) -> None:
    move(row, state)
    row.decided_at, row.decided_by, row.reason = timezone.now(), by, reason
    row.save(update_fields=["state", "decided_at", "decided_by", "reason", "version", "duplicate_of"])
    announce(f"amendment:{row.pk}")


def move(row: Amendment, state: str) -> None:
    row.state = states.AMENDMENT.move(row.state, state).target


def present(row: Amendment) -> Operations:
    return row.revisions.order_by("-number")[0].content


def change_content(row: Amendment, operations: Operations, *, author: User | None, note: str) -> None:
    """Give `row` other operations, against its base: a new digest, on which nobody has voted yet."""
    row.tier, reach = check_change(row.base, operations)
    if row.state != states.OPEN:
        move(row, states.OPEN)
    row.digest = content_digest(operations)
    for name, value in reach.items():
        setattr(row, name, value)
    row.save(update_fields=["state", "digest", "base", "tier", *reach])
    write_revision(row, operations, author=author, note=note)
    announce(f"amendment:{row.pk}")


def check_change(base: Version, operations: Operations) -> tuple[int, dict[str, Any]]:
    """The highest tier that the operations touch, and the fields that say what they reach.

    Raises where they do not fit `base` or change nothing.
    """
    before = base.texts()
    after = apply(operations, before)
    if after == before:
        raise NothingToChange("That is what the constitution says already; change the text or reject the proposal.")
    return highest_tier(before, after), _reach(operations, [*before, *after])


def _reach(operations: Operations, clauses: Sequence[ClauseText]) -> dict[str, Any]:
    """The fields that a queue is filtered and searched by. `clauses` are those before and after."""
    touches = {principle for operation in operations for principle in operation.touches}
    touched = [clause for clause in clauses if clause.principle in touches]
    places = {f"{name}:{value}" for clause in touched for name, values in clause.scope.items() for value in values}
    words = dict.fromkeys(part for clause in touched for part in (clause.principle, clause.title, clause.text))
    return {
        "touches": sorted(touches),
        "kinds": sorted({operation.op for operation in operations}),
        "scopes": sorted(places),
        "words": " ".join(words),
    }


def write_revision(row: Amendment, operations: Operations, *, author: User | None, note: str) -> None:
    Revision.objects.create(
        amendment=row,
        number=row.revisions.count() + 1,
        operations=dump(operations),
        digest=content_digest(operations),
        author=author,
        note=written(note),
    )


def record(action: str, row: Amendment, *, by: User | str, detail: Mapping[str, Any] | None = None) -> None:
    """Tell whom it concerns, and write it down: the last thing in the transaction of a change."""
    notices.after(row, by=by)
    said = {"content": row.digest, **(detail or {}), **notices.known_detail(row)}
    ledger.append(action=action, by=by, subject=f"amendment:{row.pk}", detail=said)
