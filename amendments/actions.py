"""The verbs of amending: propose, accept, edit, reject. Each is one transaction and leaves its ledger entries."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from amendments import policies, states
from amendments.errors import AlreadyDecided, ContentMoved, NothingToChange
from amendments.models import Amendment, Cluster, Producer, Review, Revision, Verdict
from amendments.operations import (
    Operations,
    OutOfDate,
    Revise,
    apply,
    content_digest,
    dump,
    highest_tier,
    reworded,
    summarise,
)
from amendments.rebasing import Rebased, rebase
from config.live import publish as announce
from constitution import actions as law
from constitution import ledger
from constitution.errors import Refused
from constitution.models import Principle, User, Version
from constitution.texts import ClauseText


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
) -> Amendment:
    """File an amendment on `base`. A producer's second proposal for a cluster returns the first one.

    Raises OutOfDate where `base` does not say what the operations start from, NothingToChange where they change
    nothing, NotAllowed where a machine touches a universal clause.
    """
    producer = by if isinstance(by, Producer) else None
    if producer and cluster:
        Producer.objects.select_for_update().get(pk=producer.pk)
        if filed := Amendment.objects.filter(cluster=cluster, producer=producer).first():
            return filed
    tier, reach = _check_change(base, operations)
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
        rationale=rationale,
        alternatives=[dict(alternative) for alternative in alternatives],
        measured=dict(measured or {}),
        priority=priority,
        priority_reason=priority_reason,
        digest=content_digest(operations),
    )
    _write_revision(amendment, operations, author=amendment.author, note="")
    announce("queue")
    _record("amendment proposed", amendment, by=by if isinstance(by, User) else f"producer {by}")
    return amendment


@transaction.atomic
def accept(*, amendment: Amendment, by: User, seen_digest: str) -> Amendment:
    """Approve the content that `by` has seen; where that satisfies the policy, publish the next version.

    Raises AlreadyDecided, ContentMoved, RoleMissing, OwnProposal or OutOfDate; then nothing was written.
    """
    head = law.lock_head()
    siblings = _lock_siblings(amendment)
    row = _still_undecided(siblings, amendment)
    policies.check_can_accept(row, by)
    _review(row, by=by, seen_digest=seen_digest, verdict=Verdict.APPROVE, reason="")
    if _settle(row, by=by) == states.ACCEPTED:
        assert head is not None  # noqa: S101  an amendment has a base, so there is a head
        _publish(row, head=head, siblings=siblings, by=by)
    return row


@transaction.atomic
def edit(*, amendment: Amendment, by: User, seen_digest: str, text: str, note: str = "") -> Amendment:
    """Reword what is proposed. A substantive edit voids the votes; saving the same text again changes nothing.

    Raises ContentMoved where the text moved under the person: nothing is saved, and theirs is shown beside it.
    """
    head = law.lock_head()
    row = _lock(amendment)
    policies.check_can_edit(row, by)
    if row.digest != seen_digest:
        raise ContentMoved
    if row.state == states.NEEDS_REBASE and head is not None:
        row.base = head
        operations = _restated(row, text)
    else:
        operations = reworded(_present(row), row.base.texts(), row.principle_id, text)
    if content_digest(operations) == row.digest:
        return row
    _change_content(row, operations, author=by, note=note)
    _record("amendment edited", row, by=by)
    return row


@transaction.atomic
def edit_and_accept(*, amendment: Amendment, by: User, seen_digest: str, text: str, note: str = "") -> Amendment:
    """Reword and approve in one step: both happen, or neither."""
    law.lock_head()
    edited = edit(amendment=amendment, by=by, seen_digest=seen_digest, text=text, note=note)
    return accept(amendment=edited, by=by, seen_digest=edited.digest)


@transaction.atomic
def reject(*, amendment: Amendment, by: User, seen_digest: str, reason: str) -> Amendment:
    """Turn the content that `by` has seen down, with a reason for its proposer. Publishes nothing."""
    if not reason.strip():
        raise Refused("Say why: whoever proposed it learns from the reason.")
    row = _lock(amendment)
    policies.check_can_review(row, by)
    _review(row, by=by, seen_digest=seen_digest, verdict=Verdict.REJECT, reason=reason)
    if _settle(row, by=by) == states.REJECTED:
        _close(row, states.REJECTED, by=by, reason=reason)
        announce("queue")
        _record("amendment rejected", row, by=by, detail={"reason": reason})
    return row


@transaction.atomic
def withdraw(*, amendment: Amendment, by: User) -> Amendment:
    """Take one's own proposal back. Raises NotAllowed for anybody else."""
    row = _lock(amendment)
    policies.check_can_withdraw(row, by)
    _close(row, states.WITHDRAWN, by=by, reason="")
    announce("queue")
    _record("amendment withdrawn", row, by=by)
    return row


def _lock(amendment: Amendment) -> Amendment:
    return Amendment.objects.select_for_update(of=("self",)).select_related("base").get(pk=amendment.pk)


def _lock_siblings(amendment: Amendment) -> list[Amendment]:
    """All undecided ones that touch the same principles, in one order: an acceptance changes what they stand on."""
    rows = Amendment.objects.undecided().filter(touches__overlap=amendment.touches)
    return list(rows.select_for_update(of=("self",)).select_related("base", "producer").order_by("pk"))


def _still_undecided(rows: Sequence[Amendment], amendment: Amendment) -> Amendment:
    for row in rows:
        if row.pk == amendment.pk:
            return row
    raise AlreadyDecided(Amendment.objects.select_related("decided_by", "version").get(pk=amendment.pk))


def _review(row: Amendment, *, by: User, seen_digest: str, verdict: Verdict, reason: str) -> None:
    if row.digest != seen_digest:
        raise ContentMoved
    Review.objects.update_or_create(
        amendment=row, reviewer=by, digest=row.digest, defaults={"verdict": verdict, "reason": reason}
    )


def _settle(row: Amendment, *, by: User) -> str:
    """Ask the policy what the reviews come to. A decision is left to the caller; anything else is recorded here."""
    reviews = policies.counted(row.reviews.all(), row.digest)
    result = policies.outcome(policies.rule_for(row.tier), [review.verdict for review in reviews])
    if result in (states.ACCEPTED, states.REJECTED):
        return result
    if result == states.CONFLICTED and row.state != states.CONFLICTED:
        _move(row, states.CONFLICTED)
        row.save(update_fields=["state"])
    announce(f"amendment:{row.pk}")
    _record("amendment reviewed", row, by=by)
    return result


def _publish(row: Amendment, *, head: Version, siblings: Sequence[Amendment], by: User) -> None:
    operations = _present(row)
    summary = f"{summarise(operations)}: {row.rationale}"
    version = law.publish(base=head, clauses=apply(operations, head.texts()), title=head.title, summary=summary, by=by)
    row.version = version
    _close(row, states.ACCEPTED, by=by, reason="")
    announce("queue")
    _record("amendment accepted", row, by=by, detail={"version": version.number})
    _follow([sibling for sibling in siblings if sibling.pk != row.pk], version)


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
        _move(row, states.NEEDS_REBASE)
        row.save(update_fields=["state"])
        announce(f"amendment:{row.pk}")
        _record("amendment clashed", row, by="system", detail={"version": version.number})
    else:
        row.base = version
        _change_content(row, rebased.operations, author=row.author, note=f"Carried over to {version}.")
        _record("amendment rebased", row, by="system", detail={"version": version.number})


def _make_obsolete(row: Amendment, version: Version) -> None:
    """A machine's proposal closes itself when its clause changes under it; a person's stays for its author."""
    reason = f"{version} reworded {row.principle_id} after this was proposed against {row.base}."
    _close(row, states.OBSOLETE, by=None, reason=reason[0].upper() + reason[1:])
    _record("amendment obsolete", row, by="system", detail={"version": version.number})


def _close(row: Amendment, state: str, *, by: User | None, reason: str) -> None:
    _move(row, state)
    row.decided_at, row.decided_by, row.reason = timezone.now(), by, reason
    row.save(update_fields=["state", "decided_at", "decided_by", "reason", "version"])
    announce(f"amendment:{row.pk}")


def _move(row: Amendment, state: str) -> None:
    row.state = states.AMENDMENT.move(row.state, state).target


def _present(row: Amendment) -> Operations:
    return row.revisions.order_by("-number")[0].content


def _restated(row: Amendment, text: str) -> Operations:
    """What settles a clash: `text` as the clause's wording, against the base of `row`, which is the head."""
    before = next((clause.digest for clause in row.base.texts() if clause.principle == row.principle_id), None)
    if before is None:
        raise OutOfDate(f"{row.principle_id} is no longer part of the constitution. Withdraw this, or propose it anew.")
    return (Revise(principle=row.principle_id, before=before, text=text),)


def _change_content(row: Amendment, operations: Operations, *, author: User | None, note: str) -> None:
    """Give `row` other operations, against its base: a new digest, on which nobody has voted yet."""
    row.tier, reach = _check_change(row.base, operations)
    if row.state != states.OPEN:
        _move(row, states.OPEN)
    row.digest = content_digest(operations)
    for name, value in reach.items():
        setattr(row, name, value)
    row.save(update_fields=["state", "digest", "base", "tier", *reach])
    _write_revision(row, operations, author=author, note=note)
    announce(f"amendment:{row.pk}")


def _check_change(base: Version, operations: Operations) -> tuple[int, dict[str, Any]]:
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


def _write_revision(row: Amendment, operations: Operations, *, author: User | None, note: str) -> None:
    Revision.objects.create(
        amendment=row,
        number=row.revisions.count() + 1,
        operations=dump(operations),
        digest=content_digest(operations),
        author=author,
        note=note,
    )


def _record(action: str, row: Amendment, *, by: User | str, detail: Mapping[str, Any] | None = None) -> None:
    ledger.append(action=action, by=by, subject=f"amendment:{row.pk}", detail={"content": row.digest, **(detail or {})})
