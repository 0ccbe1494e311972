"""The verbs that tidy the desk: put a proposal off, close it as a duplicate, hand it to somebody."""

from datetime import date, datetime, time

from django.db import transaction
from django.utils import timezone

from amendments import policies, states
from amendments.actions.calibrating import disclose
from amendments.actions.records import close, lock, record
from amendments.errors import CoversNothing
from amendments.models import Amendment
from config.live import publish as announce
from constitution.models import User
from constitution.texts import written


@transaction.atomic
def defer(*, amendment: Amendment, by: User, until: date, reason: str) -> Amendment:
    """Put `amendment` off until the morning of a day, with a reason. It comes back to the queue by itself."""
    reason = policies.check_says_why(reason)
    row = lock(amendment)
    policies.check_can_defer(row, by)
    policies.check_can_defer_until(until)
    row.deferred_until = datetime.combine(until, time.min, tzinfo=timezone.get_current_timezone())
    row.save(update_fields=["deferred_until"])
    _announce(row)
    record("amendment deferred", row, by=by, detail={"until": until.isoformat(), "reason": reason})
    return row


@transaction.atomic
def bring_back(*, amendment: Amendment, by: User) -> Amendment:
    """End a deferral now. Changes nothing where there is none."""
    row = lock(amendment)
    policies.check_can_defer(row, by)
    if row.deferred_until is None:
        return row
    row.deferred_until = None
    row.save(update_fields=["deferred_until"])
    _announce(row)
    record("amendment brought back", row, by=by)
    return row


def mark_duplicate(*, amendment: Amendment, by: User, of: Amendment, reason: str) -> Amendment:
    """Close `amendment` because `of`, which is open or accepted, covers it.

    A known item covers nothing. Who hears that has been told what it is, and that is kept, beside the refusal.
    """
    reason = written(reason)
    try:
        return _mark_duplicate(amendment, by, of, reason)
    except CoversNothing:
        disclose(amendment=of, by=by)
        raise


@transaction.atomic
def _mark_duplicate(amendment: Amendment, by: User, of: Amendment, reason: str) -> Amendment:
    rows = Amendment.objects.select_for_update(of=("self",)).select_related("base").order_by("pk")
    locked = {row.pk: row for row in rows.filter(pk__in={amendment.pk, of.pk})}
    row, other = locked[amendment.pk], locked[of.pk]
    policies.check_can_mark_duplicate(row, by, of=other)
    row.duplicate_of = other
    close(row, states.DUPLICATE, by=by, reason=reason)
    announce("queue")
    record("amendment duplicate", row, by=by, detail={"of": other.pk, "reason": reason})
    return row


@transaction.atomic
def assign(*, amendment: Amendment, by: User, to: User | None) -> Amendment:
    """Hand `amendment` to a reviewer, or to nobody. The same again changes nothing."""
    row = lock(amendment)
    policies.check_can_assign(row, by, to=to)
    if row.assignee_id == (to.pk if to else None):
        return row
    row.assignee = to
    row.save(update_fields=["assignee"])
    _announce(row)
    record("amendment assigned", row, by=by, detail={"to": str(to) if to else None})
    return row


def _announce(row: Amendment) -> None:
    announce("queue")
    announce(f"amendment:{row.pk}")
