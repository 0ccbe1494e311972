"""The verbs of training. Each is one transaction and leaves its ledger entry.

What a worker writes is fenced: it raises LeaseLost where the job is not its own any more, and writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from config.live import publish as announce
from constitution import ledger
from constitution.errors import Refused
from constitution.models import User, Version
from training import alerts, leases, policies, rolling_back
from training.models import Checkpoint, Evaluation, Job, Round, SurfacingRun, Transcript
from training.plans import data_digest
from training.recipes.plan import Plan
from training.states import ABORTED, DONE, FAILED, PAUSED, QUEUED, ROUND, SURFACING

COORDINATOR = "coordinator"
WORKER = "gpu worker"
LONGEST_ERROR = 4000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished round brought: unsaved rows, and the result and data card as values."""

    result: Mapping[str, Any]
    data_card: Sequence[Mapping[str, Any]]
    evaluations: Sequence[Evaluation]
    transcripts: Sequence[Transcript]
    checkpoint: Checkpoint


@transaction.atomic
def open_surfacing(*, version: Version, seed: int, by: ledger.Actor = COORDINATOR) -> SurfacingRun:
    """Queue the reading of the scenarios under a version."""
    run = SurfacingRun.objects.create(version=version, seed=seed)
    announce("queue")
    ledger.append(action="surfacing opened", by=by, subject=f"surfacing:{run.pk}", detail=_of(version))
    return run


@transaction.atomic
def open_round(
    *, version: Version, plan: Plan, covers: Sequence[int] = (), by: ledger.Actor = COORDINATOR, note: str = ""
) -> Round:
    """Queue a round for a version, with its plan frozen. `covers`: earlier versions without a round of their own."""
    digest = data_digest(plan)
    row = Round.objects.create(version=version, seed=plan.seed, plan=plan.as_json(), data_digest=digest)
    leases.announce(row)
    said = {
        "covers": list(covers),
        "preset": plan.preset,
        "set": {one.setting: one.chosen for one in plan.overrides},
        "note": note,
    }
    ledger.append(
        action="round opened",
        by=by,
        subject=f"round:{row.pk}",
        detail={
            **_of(version),
            "data": digest,
            "seed": plan.seed,
            **{name: value for name, value in said.items() if value},
        },
    )
    return row


def pause(*, round_: Round, pause: Mapping[str, Any], by: str = WORKER) -> Round:
    """A constitutional checkpoint tripped: hold the round until an overseer decides."""
    with leases.fenced(round_) as row:
        row.pause, row.paused_at = dict(pause), timezone.now()
        alerts.paused(row)
        _leave(row, PAUSED, by=by, detail={name: pause[name] for name in ("stage", "step", "reason")})
    return row


def finish(*, round_: Round, outcome: Outcome, by: str = WORKER) -> Round:
    """Write down what the round brought. All of it, once, or nothing."""
    with leases.fenced(round_) as row:
        row.result, row.data_card = dict(outcome.result), [dict(part) for part in outcome.data_card]
        Evaluation.objects.bulk_create(outcome.evaluations)
        Transcript.objects.bulk_create(outcome.transcripts)
        outcome.checkpoint.save(force_insert=True)
        rates = [
            {"measure": found.measure, "arm": found.arm, "k": found.k, "n": found.n, "unscored": found.unscored}
            for found in outcome.evaluations
        ]
        alerts.finished(row, outcome.evaluations)
        _leave(row, DONE, by=by, detail={"checkpoint": outcome.checkpoint.digest, "measures": rates})
    return row


def finish_surfacing(*, run: SurfacingRun, message: str, by: str = WORKER) -> SurfacingRun:
    """The scenarios are read and what they showed is proposed."""
    with leases.fenced(run) as row:
        row.message = message
        _leave(row, DONE, by=by, detail={"read": row.read, "message": message})
    return row


def fail(*, job: Job, error: str, by: str = WORKER) -> Job:
    """Stop with an error, for an operator to read."""
    with leases.fenced(job) as row:
        row.error = error[-LONGEST_ERROR:]
        if isinstance(row, Round):
            alerts.failed(row)
        _leave(row, FAILED, by=by, detail={"error": row.error.strip().splitlines()[-1:]})
    return row


@transaction.atomic
def resume(*, round_: Round, by: User, note: str) -> Round:
    """Let a paused round go on from where it stopped."""
    row = _lock(round_)
    policies.check_can_resume(row, by)
    return _decide(row, QUEUED, by=by, note=note)


@transaction.atomic
def roll_back(*, round_: Round, by: User, note: str, step: int) -> Round:
    """Have the stage that paused end at an earlier look that was within its band; the round goes on from there.

    What was measured after that step is no longer part of the round, and the next stage counts its steps on from there.
    """
    row = _lock(round_)
    policies.check_can_roll_back(row, by)
    if step not in rolling_back.steps(row):
        raise Refused("Choose one of the looks that were within their band.")
    pause = {**(row.pause or {}), "back_to": step}
    rolling_back.forget_after(row, stage=pause["stage"], step=step)
    row.pause = pause
    detail = {"stage": pause["stage"], "paused_at": pause["step"], "step": step}
    return _decide(row, QUEUED, by=by, note=note, action="round rolled back", detail=detail)


@transaction.atomic
def abort(*, round_: Round, by: User, note: str) -> Round:
    """End a round for good. A worker that holds it loses its lease by this and stops."""
    row = _lock(round_)
    policies.check_can_abort(row, by)
    return _decide(row, ABORTED, by=by, note=note)


@transaction.atomic
def retry(*, round_: Round, by: User, note: str) -> Round:
    """Queue a failed round again: it goes on from its last complete step."""
    row = _lock(round_)
    policies.check_can_retry(row, by)
    return _decide(row, QUEUED, by=by, note=note)


@transaction.atomic
def retry_surfacing(*, run: SurfacingRun, by: User, note: str) -> SurfacingRun:
    """Queue a failed reading again: what was read is not read again."""
    row = SurfacingRun.objects.select_for_update().get(pk=run.pk)
    policies.check_can_retry_surfacing(row, by)
    row.tries = 0
    _leave(row, QUEUED, by=by, detail={"note": policies.check_note(note)})
    return row


def _lock(round_: Round) -> Round:
    return Round.objects.select_for_update().get(pk=round_.pk)


def _decide(
    row: Round, state: str, *, by: User, note: str, action: str = "", detail: Mapping[str, Any] | None = None
) -> Round:
    row.note = policies.check_note(note)
    row.decided_by, row.decided_at, row.tries = by, timezone.now(), 0
    _leave(row, state, by=by, detail={"note": row.note, **(detail or {})}, action=action)
    return row


def _leave(row: Job, state: str, *, by: User | str, detail: Mapping[str, Any], action: str = "") -> None:
    """Move the row out of its state, off its lease, and write the move down, as `action` where the table's is wider."""
    is_round = isinstance(row, Round)
    move = (ROUND if is_round else SURFACING).move(row.state, state)
    row.state, row.lease_until = move.target, None
    row.error = row.error if state == FAILED else ""
    row.finished_at = timezone.now() if state in (DONE, FAILED, ABORTED) else None
    row.save()
    leases.announce(row)
    ledger.append(
        action=action or move.action, by=by, subject=f"{'round' if is_round else 'surfacing'}:{row.pk}", detail=detail
    )


def _of(version: Version) -> dict[str, Any]:
    return {"version": version.number, "digest": version.digest}
