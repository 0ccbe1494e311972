"""The verbs of amending: propose, accept, edit, reject. Each is one transaction and leaves its ledger entries."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from amendments import policies, states
from amendments.errors import AlreadyDecided, ContentMoved, NothingToChange
from amendments.models import Amendment, Cluster, Producer, Review, Revision, Verdict
from amendments.operations import Operations, apply, content_digest, dump, highest_tier, reworded, summarise
from config.live import publish as announce
from constitution import actions as law
from constitution import ledger
from constitution.errors import Refused
from constitution.models import User, Version


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
    tier = _check_change(base, operations)
    policies.check_may_propose_on(tier, is_machine=producer is not None)
    amendment = Amendment.objects.create(
        base=base,
        principle_id=operations[0].principle,
        tier=tier,
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
    row = _lock(amendment)
    policies.check_can_review(row, by)
    if row.digest != seen_digest:
        raise ContentMoved
    operations = _reworded(row, text)
    if content_digest(operations) == row.digest:
        return row
    _check_change(row.base, operations)
    if row.state == states.CONFLICTED:
        _move(row, states.OPEN)
    row.digest = content_digest(operations)
    row.save(update_fields=["state", "digest"])
    _write_revision(row, operations, author=by, note=note)
    announce(f"amendment:{row.pk}")
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
    _review(row, by=by, seen_digest=seen_digest, verdict=Verdict.REJECT, reason=reason)
    if _settle(row, by=by) == states.REJECTED:
        _close(row, states.REJECTED, by=by, reason=reason)
        announce("queue")
        _record("amendment rejected", row, by=by, detail={"reason": reason})
    return row


def _lock(amendment: Amendment) -> Amendment:
    return Amendment.objects.select_for_update(of=("self",)).select_related("base").get(pk=amendment.pk)


def _lock_siblings(amendment: Amendment) -> list[Amendment]:
    """All that is undecided on the same principle, in one order: an acceptance may close them as obsolete."""
    rows = Amendment.objects.undecided().filter(principle_id=amendment.principle_id)
    return list(rows.select_for_update(of=("self",)).select_related("base", "producer").order_by("pk"))


def _still_undecided(rows: Sequence[Amendment], amendment: Amendment) -> Amendment:
    for row in rows:
        if row.pk == amendment.pk:
            return row
    raise AlreadyDecided(Amendment.objects.select_related("decided_by", "version").get(pk=amendment.pk))


def _review(row: Amendment, *, by: User, seen_digest: str, verdict: Verdict, reason: str) -> None:
    policies.check_can_review(row, by)
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
    operations = row.revisions.order_by("-number")[0].content
    summary = f"{summarise(operations)}: {row.rationale}"
    version = law.publish(base=head, clauses=apply(operations, head.texts()), title=head.title, summary=summary, by=by)
    row.version = version
    _close(row, states.ACCEPTED, by=by, reason="")
    announce("queue")
    _record("amendment accepted", row, by=by, detail={"version": version.number})
    for sibling in siblings:
        if sibling.pk != row.pk and sibling.producer_id:
            _make_obsolete(sibling, version)


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


def _reworded(row: Amendment, text: str) -> Operations:
    """The present operations with another text of the clause that the amendment is about."""
    return reworded(row.revisions.order_by("-number")[0].content, row.base.texts(), row.principle_id, text)


def _check_change(base: Version, operations: Operations) -> int:
    """The highest tier that the operations touch; raises where they do not fit `base` or change nothing."""
    before = base.texts()
    after = apply(operations, before)
    if after == before:
        raise NothingToChange("That is what the constitution says already; change the text or reject the proposal.")
    return highest_tier(before, after)


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
