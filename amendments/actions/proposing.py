"""The verbs of whoever proposes: propose, edit, withdraw."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from amendments import policies, states
from amendments.actions.records import change_content, check_change, close, lock, present, record, write_revision
from amendments.errors import ContentMoved
from amendments.models import Amendment, Cluster, Producer
from amendments.operations import AnyOperation, Operations, OutOfDate, Revise, content_digest, reworded
from amendments.producers import check_may_file
from amendments.rebasing import rebase
from config.live import publish as announce
from constitution import actions as law
from constitution.models import Principle, User, Version
from constitution.texts import written


@transaction.atomic
def propose(
    *,
    by: Producer | User,
    base: Version,
    operations: Operations,
    rationale: str,
    cluster: Cluster | None = None,
    alternatives: Sequence[Mapping[str, Any]] = (),
    measured: Mapping[str, Any] | None = None,
    priority: float = 0.0,
    priority_reason: str = "",
    known_verdict: str = "",
) -> Amendment:
    """File an amendment on `base`. A producer's second proposal for a cluster returns the first one.

    Raises OutOfDate where `base` does not say what the operations start from, NothingToChange where they change
    nothing, NotAllowed where a machine touches a universal clause, HeldBack where the producer is in quarantine or
    has as many open as it may. With `known_verdict` it is a known item: see `amendments.actions.calibrating`.
    """
    producer = by if isinstance(by, Producer) else None
    if producer and not known_verdict:
        _check_still_law(base, operations)
    if producer and cluster and not known_verdict:
        Producer.objects.select_for_update().get(pk=producer.pk)
        if filed := Amendment.objects.real().filter(cluster=cluster, producer=producer).first():
            return filed
    if producer:
        check_may_file(producer)
    tier, reach = check_change(base, operations)
    policies.check_may_propose_on(tier, is_machine=producer is not None)
    # One that is to be added has its id from here on; ids are never given twice.
    Principle.objects.bulk_create([Principle(id=operations[0].principle)], ignore_conflicts=True)
    amendment = Amendment.objects.create(
        base=base,
        principle_id=operations[0].principle,
        tier=tier,
        **reach,
        signal=cluster.signal if cluster else "",
        cluster=cluster,
        producer=producer,
        author=by if isinstance(by, User) else None,
        rationale=written(rationale),
        alternatives=[dict(alternative) for alternative in alternatives],
        measured=dict(measured or {}),
        priority=priority,
        priority_reason=priority_reason,
        known_verdict=known_verdict,
        digest=content_digest(operations),
    )
    write_revision(amendment, operations, author=amendment.author, note="")
    announce("queue")
    record("amendment proposed", amendment, by=by if isinstance(by, User) else f"producer {by}")
    return amendment


def _check_still_law(base: Version, operations: Operations) -> None:
    """A machine's proposal closes itself when its clause changes, so it is not filed where that has happened already.

    Whoever accepts something else meanwhile waits, so that nothing is filed between.
    """
    head = law.lock_head()
    if head is None or head == base:
        return
    carried = rebase(operations, base.texts(), head.texts())
    if carried.clashes or carried.operations != operations:
        raise OutOfDate(
            f"{str(head).capitalize()} is in force by now and says something else there, so this is not filed."
        )


@transaction.atomic
def edit(*, amendment: Amendment, by: User, seen_digest: str, text: str, note: str = "") -> Amendment:
    """Reword what is proposed. A substantive edit voids the votes; saving the same text again changes nothing.

    Raises ContentMoved where the text moved under the person: nothing is saved, and theirs is shown beside it.
    """
    head = law.lock_head()
    row = lock(amendment)
    policies.check_can_edit(row, by)
    if row.digest != seen_digest:
        raise ContentMoved
    if row.state == states.NEEDS_REBASE and head is not None:
        operations = _restated(row, head, text)
        row.base = head
    else:
        operations = reworded(present(row), row.base.texts(), row.principle_id, text)
    if content_digest(operations) == row.digest:
        return row
    change_content(row, operations, author=by, note=note)
    record("amendment edited", row, by=by)
    return row


@transaction.atomic
def withdraw(*, amendment: Amendment, by: User) -> Amendment:
    """Take one's own proposal back. Raises NotAllowed for anybody else."""
    row = lock(amendment)
    policies.check_can_withdraw(row, by)
    close(row, states.WITHDRAWN, by=by, reason="")
    announce("queue")
    record("amendment withdrawn", row, by=by)
    return row


def _restated(row: Amendment, head: Version, text: str) -> Operations:
    """What settles a clash: `text` as the clause's wording, against the head; what else is proposed is carried over.

    Raises OutOfDate where a wording does not settle it: nothing that somebody proposed is dropped for it.
    """
    after = head.texts()
    before = next((clause.digest for clause in after if clause.principle == row.principle_id), None)
    if before is None:
        raise OutOfDate(f"{row.principle_id} is no longer part of the constitution. Withdraw this, or propose it anew.")
    settled: list[AnyOperation] = []
    for operation in present(row):
        if isinstance(operation, Revise) and operation.principle == row.principle_id:
            settled.append(Revise(principle=row.principle_id, before=before, text=text))
            continue
        carried = rebase((operation,), row.base.texts(), after)
        if carried.clashes:
            raise OutOfDate(
                f"{carried.clashes[0].sentence} This proposal does more than reword {row.principle_id}, so a wording"
                " alone does not settle that. Withdraw it, and propose anew what of it still holds."
            )
        settled += carried.operations
    return tuple(settled)
