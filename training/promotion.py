"""Putting a model into use, and bringing an earlier one back: a person's word, one row, one ledger entry."""

from django.db import connection, transaction

from config.live import publish as announce
from constitution import ledger
from constitution.models import User
from training import alerts, registry
from training import promotion_policies as policies
from training.models import Checkpoint
from training.promotion_records import Promotion

# One decision after the other: the second sees what the first came to.
PROMOTION_LOCK = 0x70726F6D  # "prom"


@transaction.atomic
def promote(*, checkpoint: Checkpoint, by: User, seen: int | None, note: str = "", override: bool = False) -> Promotion:
    """Put a model into use in place of the one that is. `seen` is the promotion that `by` saw as the newest.

    Raises NotAllowed, MeanwhilePromoted, FilesChanged, and Refused where a gate is open, or asks and is not overridden.
    """
    wait_for_turn()
    row, current = _load(checkpoint), registry.in_use()
    policies.check_can_promote(row, by, current)
    policies.check_nothing_happened(current, seen)
    gates = policies.gates(row, files=policies.files_read(row))
    overridden = policies.check_gates(gates, override=override)
    made = Promotion.objects.create(
        checkpoint=row,
        replaces=current,
        by=by,
        note=policies.check_note(note, needed=bool(overridden)),
        gates=[gate.as_json() for gate in gates],
        overridden=overridden,
    )
    _tell("model promoted", made)
    return made


@transaction.atomic
def roll_back(
    *, checkpoint: Checkpoint, by: User, seen: int | None, note: str = "", override: bool = False
) -> Promotion:
    """Bring a model back that was in use before, in place of the one that is, and say why.

    Its gates stand as they stood then; that its files are unchanged is looked at anew. Raises as `promote` does.
    """
    wait_for_turn()
    row, current = _load(checkpoint), registry.in_use()
    policies.check_can_roll_back(row, by, current)
    policies.check_nothing_happened(current, seen)
    overridden = policies.check_gates([policies.files_read(row)], override=override)
    earlier = row.promotions.order_by("-pk")[0]
    made = Promotion.objects.create(
        checkpoint=row,
        replaces=current,
        restores=earlier,
        by=by,
        note=policies.check_note(note, needed=True),
        gates=earlier.gates,
        overridden=overridden,
    )
    _tell("model rolled back", made)
    return made


def wait_for_turn() -> None:
    """Until the end of the transaction nobody else promotes, rolls back or removes a model."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [PROMOTION_LOCK])


def _load(checkpoint: Checkpoint) -> Checkpoint:
    return registry.registered().get(pk=checkpoint.pk)


def _tell(action: str, made: Promotion) -> None:
    for topic in ("models", "rounds", f"round:{made.checkpoint.round_id}"):
        announce(topic)
    detail = {
        "round": made.checkpoint.round_id,
        "digest": made.checkpoint.digest,
        "replaces": made.replaces.checkpoint.digest if made.replaces else None,
        "overridden": made.overridden,
        "note": made.note,
    }
    alerts.promoted(made)
    ledger.append(action=action, by=made.by, subject=f"model:{made.checkpoint_id}", detail=detail)
