"""What people decide of a producer: how much it may leave open, quarantine, and rejecting together what it left.

Each verb is one transaction and leaves its ledger entries. The rejecting is many short ones: `clear` goes on with
whatever was ordered and is not done, and may be killed at any moment.
"""

import time
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from amendments import notices, policies, states
from amendments.errors import InQuarantine, QuotaReached, RoleMissing
from amendments.models import (
    Amendment,
    AmendmentQuerySet,
    BoardVote,
    Claim,
    Clearance,
    HiddenMention,
    Notice,
    NoticeKind,
    Producer,
    ProducerStanding,
    PromptSet,
    Review,
)
from amendments.shares import Share
from config.live import RESYNC
from config.live import publish as announce
from constitution import ledger
from constitution.errors import Refused
from constitution.models import Role, User
from constitution.texts import written

DEFAULT_QUOTA, LARGEST_QUOTA = 200, 100_000
# Rejected in one transaction, so that other decisions wait behind the ledger for some hundredths of a second; and then
# all others have the database for themselves, for so many times as long as that took.
BATCH = 50
REST = 1.0
LONGEST_NOTE = 2000
WORKER = "cpu worker"
# What people came to by reading it: withdrawn is its author's, obsolete the system's.
JUDGED = (states.ACCEPTED, states.REJECTED, states.DUPLICATE)


def judged(rows: AmendmentQuerySet) -> AmendmentQuerySet:
    """Those that people decided on one by one; what was rejected together in quarantine is left out."""
    return rows.real().filter(state__in=JUDGED, cleared_in=None)


def record(producer: Producer) -> str:
    """What came of its proposals, in one line: "12 of 31 accepted (39 %, 24 to 56)"."""
    found = judged(Amendment.objects.filter(producer=producer)).aggregate(
        n=Count("pk"), k=Count("pk", filter=Q(state=states.ACCEPTED))
    )
    return record_words(Share(**found))


def record_words(share: Share) -> str:
    return f"{share.k} of {share.n} accepted ({share})" if share.n else "nothing of it decided yet"


def know_prompts(prompts: str, templates: Sequence[tuple[str, str]]) -> None:
    """Write down which prompts a digest stands for, once: producers carry the digest alone. It is no act of law."""
    listed = [list(template) for template in templates]
    PromptSet.objects.bulk_create([PromptSet(digest=prompts, templates=listed)], ignore_conflicts=True)


def prompts_of(producer: Producer) -> list[tuple[str, str]]:
    """Name and version, and digest, of each prompt that it wrote with; none where that was not written down."""
    known = PromptSet.objects.filter(digest=producer.prompts).first()
    return [(name, found) for name, found in known.templates] if known else []


def standing(producer: Producer) -> ProducerStanding:
    """What people decided of it; unsaved where they decided nothing."""
    return ProducerStanding.objects.filter(pk=producer.pk).select_related("quarantined_by").first() or ProducerStanding(
        producer=producer
    )


def quota(found: ProducerStanding) -> int:
    """The most of its proposals that may be open at once."""
    return DEFAULT_QUOTA if found.quota is None else found.quota


def check_may_file(producer: Producer) -> None:
    """Raise InQuarantine or QuotaReached where nothing new of it is filed.

    Holds the producer until the commit: neither a quarantine nor another proposal comes in between.
    """
    _hold(producer)
    found = standing(producer)
    if found.quarantined_at:
        raise InQuarantine(f"{producer} is in quarantine since {found.quarantined_at:%-d %B %Y}: {found.note}")
    most = quota(found)
    if _open(producer).real()[:most].count() >= most:
        raise QuotaReached(f"{producer} has {most} proposals open, which is the most it may have.")


def check_can_restrain(by: User) -> None:
    """Raise RoleMissing for who may not set a quota or put a producer in quarantine."""
    if not by.has_role(Role.REVIEWER, Role.OPERATOR):
        raise RoleMissing("Reviewers and operators set quotas and quarantines. An operator can give you such a role.")


def check_can_clear(found: ProducerStanding, by: User) -> None:
    """Raise the typed refusal where `by` may not order that all its open proposals are rejected.

    It is a decision, so it takes a reviewer; and a second person where a tier that they touch asks for several.
    """
    if not by.has_role(Role.REVIEWER):
        raise RoleMissing("Only reviewers reject proposals. An operator can give you the role.")
    if not found.quarantined_at:
        raise Refused("Only what a producer in quarantine left open is rejected together.")
    tiers = _open(found.producer).order_by().values_list("tier", flat=True).distinct()
    several = any(policies.rule_for(tier).reviewers > 1 for tier in tiers)
    if several and found.quarantined_by_id == by.pk:
        raise Refused("Some of them take two reviewers, and you ordered the quarantine: another reviewer rejects them.")


@transaction.atomic
def set_quota(*, producer: Producer, most: int | None, by: User) -> ProducerStanding:
    """Let at most so many of its proposals be open at once; None for what is usual."""
    check_can_restrain(by)
    if most is not None and not 1 <= most <= LARGEST_QUOTA:
        raise Refused(f"Between 1 and {LARGEST_QUOTA:,}; to have none at all, put it in quarantine.")
    _hold(producer)
    found, _ = ProducerStanding.objects.update_or_create(producer=producer, defaults={"quota": most})
    _record("producer quota set", producer, by=by, most=most)
    return found


@transaction.atomic
def quarantine(*, producer: Producer, note: str, by: User) -> ProducerStanding:
    """From here on nothing new of it is filed. What is open stays, until somebody decides on it."""
    check_can_restrain(by)
    note = written(note)
    if not note:
        raise Refused("Say why: whoever finds its proposals missing wants to know.")
    _hold(producer)
    if standing(producer).quarantined_at:
        raise Refused("It is in quarantine already.")
    values = {"quarantined_at": timezone.now(), "quarantined_by": by, "note": note[:LONGEST_NOTE]}
    found, _ = ProducerStanding.objects.update_or_create(producer=producer, defaults=values)
    _record("producer quarantined", producer, by=by, note=found.note)
    return found


@transaction.atomic
def lift(*, producer: Producer, by: User) -> ProducerStanding:
    """End the quarantine: it proposes again. A rejecting that is under way stops where it is."""
    check_can_restrain(by)
    _hold(producer)
    found = standing(producer)
    if not found.quarantined_at:
        raise Refused("It is not in quarantine.")
    for row in Clearance.objects.select_for_update().filter(producer=producer, ended_at=None):
        _end(row, by=by)
    found.quarantined_at = found.quarantined_by = None
    found.note = ""
    found.save()
    _record("producer quarantine lifted", producer, by=by)
    return found


@transaction.atomic
def order_clearance(*, producer: Producer, reason: str, by: User) -> Clearance:
    """Have all that it left open rejected for `reason`, in the name of `by`. A worker does it, see `clear`."""
    _hold(producer)
    check_can_clear(standing(producer), by)
    reason = written(reason)
    if not reason:
        raise Refused("Say why: it is the reason that each of them is rejected with.")
    if Clearance.objects.filter(producer=producer, ended_at=None).exists():
        raise Refused("Its open proposals are being rejected already.")
    total = _open(producer).count()
    if not total:
        raise Refused("Nothing of it is open.")
    row = Clearance.objects.create(producer=producer, ordered_by=by, reason=reason[:LONGEST_NOTE], total=total)
    _record("clearance ordered", producer, by=by, clearance=row.pk, reason=row.reason, total=total)
    return row


def clear(*, seconds: float) -> bool:
    """Go on with what was ordered, for so long at most. True where more is to be done and nobody else does it."""
    end = time.monotonic() + seconds
    while (began := time.monotonic()) < end:
        waiting = Clearance.objects.filter(ended_at=None).order_by("pk").first()
        if waiting is None or not clear_batch(clearance=waiting, by=WORKER):
            return False
        time.sleep(REST * (time.monotonic() - began))
    return True


@transaction.atomic
def clear_batch(*, clearance: Clearance, by: str) -> int:
    """Reject the next of them; 0 where that is done, or all that is left is in somebody's hands just now.

    Set by set, and to the same laws: the triggers check each row's move, each has a date, a person and a reason, each
    has its ledger entry, and who voted on one is told. What somebody else is writing to is passed over until they are
    done.
    """
    row = Clearance.objects.select_for_update(skip_locked=True).filter(pk=clearance.pk, ended_at=None).first()
    if row is None:
        return 0
    free = _open(row.producer).in_queue_order().select_for_update(skip_locked=True)
    batch = dict(free.values_list("pk", "digest")[:BATCH])
    if not batch:
        if not _open(row.producer).exists():
            _end(row, by=by)
        return 0
    known = _reject(row, list(batch))
    announce(f"producer:{row.producer_id}")
    about = [
        (f"amendment:{pk}", {"content": content, "clearance": row.pk, **known.get(pk, {})})
        for pk, content in batch.items()
    ]
    ledger.append_each(action="amendment rejected", by=row.ordered_by, about=about)
    return len(batch)


def _reject(row: Clearance, batch: list[int]) -> dict[int, dict[str, Any]]:
    """Close the `batch` and tell whom it concerns; of each known item in it, what the ledger says by now."""
    now = timezone.now()
    Claim.objects.filter(amendment__in=batch).delete()
    Notice.objects.filter(amendment__in=batch, kind=NoticeKind.TURN, read_at=None).update(read_at=now)
    Amendment.objects.filter(pk__in=batch).update(
        state=states.REJECTED,
        decided_at=now,
        decided_by=row.ordered_by,
        reason=row.reason,
        cleared_in=row,
    )
    row.rejected += len(batch)
    row.save(update_fields=["rejected"])
    concerned = list(_of_concern(batch))
    for amendment in concerned:
        notices.after(amendment, by=row.ordered_by)
    return {amendment.pk: found for amendment in concerned if (found := notices.known_detail(amendment))}


def _of_concern(batch: list[int]) -> AmendmentQuerySet:
    """Those of which somebody has to hear: most of what is rejected together nobody has voted on."""
    reviewed, voted = (Exists(kind.objects.filter(amendment=OuterRef("pk"))) for kind in (Review, BoardVote))
    mentioned = Exists(HiddenMention.objects.filter(comment__amendment=OuterRef("pk")))
    rows = Amendment.objects.filter(Q(reviewed) | Q(voted) | Q(mentioned) | ~Q(known_verdict=""), pk__in=batch)
    return rows.order_by("pk")


def _end(row: Clearance, *, by: User | str) -> None:
    row.ended_at = timezone.now()
    row.save(update_fields=["ended_at"])
    # Not one message for each: whoever has one of them open fetches it again now.
    announce(RESYNC)
    _record("clearance ended", row.producer, by=by, clearance=row.pk, rejected=row.rejected)


def _open(producer: Producer) -> AmendmentQuerySet:
    return Amendment.objects.undecided().filter(producer=producer)


def _hold(producer: Producer) -> None:
    Producer.objects.select_for_update(no_key=True).get(pk=producer.pk)


def _record(action: str, producer: Producer, *, by: User | str, **detail: object) -> None:
    announce(f"producer:{producer.pk}")
    ledger.append(action=action, by=by, subject=f"producer:{producer.pk}", detail=detail)
