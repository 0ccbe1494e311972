"""Who has what in hand: a lease of some minutes, so that two people who ask for work are not handed the same.

A lease is courtesy, not a lock: whoever has none decides all the same. It is no act of law either, so it leaves no
entry in the ledger.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from amendments import policies
from amendments.errors import RoleMissing
from amendments.models import Amendment, AmendmentQuerySet, Claim
from config.live import publish as announce
from constitution.errors import Refused
from constitution.models import Role, User

LEASE = timedelta(minutes=5)
MOST_IN_HAND = 10


class InOtherHands(Refused):
    """Somebody else has it; says who, and until when."""

    def __init__(self, claim: Claim) -> None:
        who = f"{claim.holder} has it in hand until {claim.until:%H:%M} UTC."
        super().__init__(f"{who} You can decide on it all the same.")


@transaction.atomic
def take_next(*, by: User, among: AmendmentQuerySet) -> Amendment | None:
    """Hand `by` the most pressing of `among` that is in nobody's hands, for `LEASE`; None where there is none.

    Raises RoleMissing, and Refused where they have `MOST_IN_HAND` already.
    """
    if not by.has_role(Role.REVIEWER):
        raise RoleMissing("Only reviewers are handed proposals. An operator can give you the role.")
    now = timezone.now()
    if Claim.objects.filter(holder=by, until__gt=now).count() >= MOST_IN_HAND:
        raise Refused(f"You have {MOST_IN_HAND} proposals in hand. Decide on one, or let one go, then take the next.")
    held = Claim.objects.filter(until__gt=now)
    rows = among.undecided().exclude(author=by).exclude(pk__in=held.values("amendment")).in_queue_order()
    passed: list[int] = []
    # What another took between our reading and our lock is seen once the row is locked: then we go on to the next.
    while row := rows.exclude(pk__in=passed).select_for_update(skip_locked=True, no_key=True, of=("self",)).first():
        if not held.filter(amendment=row).exists():
            _give(row, to=by, until=now + LEASE)
            return row
        passed.append(row.pk)
    return None


@transaction.atomic
def renew(*, amendment: Amendment, by: User) -> Claim:
    """Take `amendment` in hand, or keep it there, for `LEASE` from now.

    Raises InOtherHands, and what keeps `by` from deciding on it at all: RoleMissing, AlreadyDecided, OwnProposal.
    """
    row = _lock(amendment)
    policies.check_can_review(row, by)
    now = timezone.now()
    if other := Claim.objects.filter(amendment=row, until__gt=now).exclude(holder=by).select_related("holder").first():
        raise InOtherHands(other)
    return _give(row, to=by, until=now + LEASE)


@transaction.atomic
def release(*, amendment: Amendment, by: User) -> None:
    """Let it go before the lease runs out. What somebody else holds stays as it is."""
    row = _lock(amendment)
    deleted, _ = Claim.objects.filter(amendment=row, holder=by).delete()
    if deleted:
        announce(f"amendment:{row.pk}")


def live_claim(amendment: Amendment) -> Claim | None:
    """The lease on it that has not run out."""
    return Claim.objects.filter(amendment=amendment, until__gt=timezone.now()).select_related("holder").first()


def _lock(amendment: Amendment) -> Amendment:
    """Leases of a proposal are written under the lock of its row, and of no other."""
    return Amendment.objects.select_for_update(of=("self",), no_key=True).get(pk=amendment.pk)


def _give(row: Amendment, *, to: User, until: datetime) -> Claim:
    before = Claim.objects.filter(amendment=row, holder=to, until__gt=timezone.now()).exists()
    claim, _ = Claim.objects.update_or_create(amendment=row, defaults={"holder": to, "until": until})
    if not before:  # one that is renewed each minute is no news
        announce(f"amendment:{row.pk}")
    return claim
