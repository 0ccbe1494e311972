"""What an acceptance does: the next version, and every other proposal carried over to it."""

from collections.abc import Sequence

from amendments import states
from amendments.actions.records import change_content, close, move, present, record
from amendments.context import shaken
from amendments.errors import NothingToChange
from amendments.models import Amendment, Revision
from amendments.operations import Operations, apply, summarise
from amendments.rebasing import Rebased, rebase
from config.live import publish as announce
from constitution import actions as law
from constitution.errors import Refused
from constitution.models import User, Version
from constitution.texts import ClauseText


def publish(row: Amendment, *, head: Version, siblings: Sequence[Amendment], by: User) -> None:
    operations = present(row)
    summary = f"{summarise(operations)}: {row.rationale}"
    before = head.texts()
    after = apply(operations, before)
    version = law.publish(base=head, clauses=after, title=head.title, summary=summary, by=by)
    row.version = version
    close(row, states.ACCEPTED, by=by, reason="")
    announce("queue")
    record("amendment accepted", row, by=by, detail={"version": version.number})
    _follow([sibling for sibling in siblings if sibling.pk != row.pk], version)
    _mark_context(before, after, version)


def _mark_context(before: Sequence[ClauseText], after: Sequence[ClauseText], version: Version) -> None:
    """Note it on those whose own clauses stayed while others that one reads with them changed; the votes stay, too.

    What somebody is writing to just now is passed over rather than waited for: its page finds out by itself.
    """
    changed, beside = shaken(before, after)
    rows = Amendment.objects.undecided().filter(touches__overlap=sorted(beside))
    rows = rows.exclude(touches__overlap=sorted(changed)).order_by("pk")
    free = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True))
    Amendment.objects.filter(pk__in=free).update(context_changed_in=version)
    for pk in free:
        announce(f"amendment:{pk}")


def clash(row: Amendment, version: Version, why: str = "") -> None:
    """Set `row` aside until somebody settles its text with `version`. One that waits already goes on waiting."""
    if row.state == states.NEEDS_REBASE:
        return
    move(row, states.NEEDS_REBASE)
    row.save(update_fields=["state"])
    announce(f"amendment:{row.pk}")
    detail = {"version": version.number, "why": why} if why else {"version": version.number}
    record("amendment clashed", row, by="system", detail=detail)


def _follow(rows: Sequence[Amendment], version: Version) -> None:
    """Carry undecided amendments over to the new head. The wordings that they stand on are read once each."""
    revisions = Revision.objects.filter(amendment__in=rows).order_by("amendment", "-number").distinct("amendment")
    present = {revision.amendment_id: revision.content for revision in revisions}
    texts = Version.objects.filter(pk__in={version.pk, *(row.base_id for row in rows)}).texts()
    for row in rows:
        operations = present[row.pk]
        _carry(row, operations, rebase(operations, texts[row.base_id], texts[version.pk]), version)


def _carry(row: Amendment, operations: Operations, rebased: Rebased, version: Version) -> None:
    """Carry an undecided amendment over to the new head `version`, or say what keeps it.

    Where its clauses are untouched nothing changes, and the votes on it stay. A machine's proposal closes itself when
    a clause changes under it; a person's is reworded, or waits for somebody to settle the clash.
    """
    if rebased.operations == operations and not rebased.clashes:
        return
    if row.producer_id:
        _make_obsolete(row, version)
    elif rebased.clashes:
        clash(row, version)
    else:
        _reword(row, rebased.operations, version)


def _reword(row: Amendment, operations: Operations, version: Version) -> None:
    """Give a person's proposal the wording that it has on the new head. Where the head says all of it already it closes
    itself, and where it cannot be said there it waits: what one proposes never keeps another from being accepted.
    """
    base, row.base = row.base, version
    try:
        change_content(row, operations, author=row.author, note=f"Carried over to {version}.")
    except NothingToChange:
        row.base = base
        close(row, states.OBSOLETE, by=None, reason=f"{str(version).capitalize()} says the same already.")
        record("amendment obsolete", row, by="system", detail={"version": version.number})
    except Refused as refused:
        row.base = base
        clash(row, version, why=str(refused))
    else:
        record("amendment rebased", row, by="system", detail={"version": version.number})


def _make_obsolete(row: Amendment, version: Version) -> None:
    """A machine's proposal closes itself when its clause changes under it; a person's stays for its author."""
    reason = f"{version} reworded {row.principle_id} after this was proposed against {row.base}."
    close(row, states.OBSOLETE, by=None, reason=reason[0].upper() + reason[1:])
    record("amendment obsolete", row, by="system", detail={"version": version.number})
