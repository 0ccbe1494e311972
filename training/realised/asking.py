"""Which amendments of a finished round are compared with their previews, and what becomes of that work.

Each verb is one transaction, with its ledger entry. What a worker writes is fenced: where the work is not its own any
more it raises LeaseLost and writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from amendments import previews
from amendments.models import Amendment, Preview, Realised
from config.live import publish as announce
from constitution import ledger
from constitution.models import User
from training import leases, policies
from training.actions import COORDINATOR, LONGEST_ERROR, WORKER
from training.models import Checkpoint, RealisedRun, Round
from training.states import DONE, FAILED, QUEUED, REALISED

# Of one round, so that no round is followed by more of this than of training.
MOST_PER_ROUND = 8
MOST_LISTED = 50
NO_PREVIEW = "Not comparable: the text that was accepted has no finished preview."
OTHER_WEIGHTS = "Not comparable: its preview was measured with other weights than the round began with."
ONE_TOO_MANY = f"Left out: of one round at most {MOST_PER_ROUND} are compared, the newest first."


@dataclass(frozen=True, slots=True)
class Candidate:
    """An amendment that a round was the first to train on, and its preview, or why it cannot be compared."""

    amendment: Amendment
    preview: Preview | None
    why_not: str


def before(round_: Round) -> Round | None:
    """The last finished round on an earlier version; None where this is the first."""
    rows = Round.objects.filter(state=DONE, version__constitution=round_.version.constitution_id)
    earlier = rows.filter(version__number__lt=round_.version.number, pk__lt=round_.pk)
    return earlier.select_related("version", "checkpoint").defer("plan").order_by("-version__number", "-pk").first()


def candidates(round_: Round) -> list[Candidate]:
    """The amendments of the versions since the last trained one, the newest first; MOST_LISTED of them."""
    since = before(round_)
    rows = Amendment.objects.filter(
        version__constitution=round_.version.constitution_id,
        version__number__lte=round_.version.number,
        version__number__gt=since.version.number if since else 0,
    )
    found = list(rows.select_related("base", "version", "principle").order_by("-version__number")[:MOST_LISTED])
    measured = _previews(found)
    chosen: list[Candidate] = []
    for amendment in found:
        one = _candidate(amendment, measured.get((amendment.base.digest, amendment.digest), []), round_.checkpoint)
        taken = sum(candidate.preview is not None for candidate in chosen)
        chosen.append(Candidate(amendment, None, ONE_TOO_MANY) if one.preview and taken >= MOST_PER_ROUND else one)
    return chosen


@transaction.atomic
def ask_for_lacking() -> int:
    """Queue what the newest finished round can be compared with, once; how many were queued."""
    rows = Round.objects.filter(state=DONE, checkpoint__isnull=False).select_related("version", "checkpoint")
    round_ = rows.defer("plan").order_by("-pk").first()
    if round_ is None or RealisedRun.objects.filter(round=round_).exists():
        return 0
    found = [(one.amendment, one.preview) for one in candidates(round_) if one.preview]
    for amendment, preview in found:
        _ask(amendment, preview, round_)
    return len(found)


def finish(*, run: RealisedRun, result: Mapping[str, Any], read: int) -> Realised:
    """Write down what was found in `read` answers. All of it, once, or nothing."""
    with leases.fenced(run) as row:
        realised = row.realised
        realised.result, realised.finished_at = dict(result), timezone.now()
        realised.total = realised.done = read
        realised.save(update_fields=["result", "finished_at", "total", "done"])
        _leave(row, DONE, by=WORKER, read=read, unscored=result["unscored"])
    return realised


def fail(*, run: RealisedRun, error: str) -> Realised:
    """Stop with an error, which the pages show."""
    with leases.fenced(run) as row:
        row.error = error[-LONGEST_ERROR:]
        row.realised.failure = (error.strip().splitlines() or ["It stopped, and nobody knows why."])[-1]
        row.realised.save(update_fields=["failure"])
        _leave(row, FAILED, by=WORKER, error=row.realised.failure)
    return row.realised


@transaction.atomic
def retry(*, run: RealisedRun, by: User, note: str) -> RealisedRun:
    """Queue a failed one again: what was read is not read again."""
    row = RealisedRun.objects.select_for_update(of=("self",)).select_related("realised").get(pk=run.pk)
    policies.check_can_retry_realised(row, by)
    row.realised.failure = ""
    row.realised.save(update_fields=["failure"])
    row.error, row.tries = "", 0
    _leave(row, QUEUED, by=by, note=policies.check_note(note))
    return row


def tell(run: RealisedRun) -> None:
    """Have the open pages that show it fetch themselves again."""
    announce(previews.topic(run.realised.preview.content))
    announce(f"round:{run.round_id}")


def _previews(amendments: list[Amendment]) -> dict[tuple[str, str], list[Preview]]:
    """The finished previews by (digest of the base, content), the one of the most requests first."""
    rows = Preview.objects.filter(
        base_digest__in={row.base.digest for row in amendments},
        content__in={row.digest for row in amendments},
        finished_at__isnull=False,
    )
    found: dict[tuple[str, str], list[Preview]] = {}
    for preview in rows.order_by("-total", "-pk"):
        found.setdefault((preview.base_digest, preview.content), []).append(preview)
    return found


def _candidate(amendment: Amendment, measured: list[Preview], checkpoint: Checkpoint) -> Candidate:
    same = [preview for preview in measured if preview.model_digest == checkpoint.base_digest]
    if same:
        return Candidate(amendment, same[0], "")
    return Candidate(amendment, None, OTHER_WEIGHTS if measured else NO_PREVIEW)


def _ask(amendment: Amendment, preview: Preview, round_: Round) -> None:
    checkpoint, since = round_.checkpoint, before(round_)
    realised, is_new = Realised.objects.get_or_create(
        amendment=amendment,
        checkpoint=checkpoint.digest,
        defaults={"preview": preview, "version": round_.version},
    )
    if is_new:
        previous = getattr(since, "checkpoint", None)
        run = RealisedRun.objects.create(
            realised=realised,
            version=round_.version,
            round=round_,
            previous=since if previous and previous.base_digest == checkpoint.base_digest else None,
            seed=round_.seed,
        )
        _record("realised effect asked", run, by=COORDINATOR)


def _leave(run: RealisedRun, state: str, *, by: User | str, **detail: object) -> None:
    """Move the row out of its state, off its lease, and write the move down."""
    move = REALISED.move(run.state, state)
    run.state, run.lease_until = move.target, None
    run.finished_at = timezone.now() if state in (DONE, FAILED) else None
    run.save()
    _record(move.action, run, by=by, **detail)


def _record(action: str, run: RealisedRun, *, by: User | str, **detail: object) -> None:
    tell(run)
    about = {"proposal": run.realised.amendment_id, "preview": run.realised.preview_id, "round": run.round_id}
    ledger.append(action=action, by=by, subject=f"realised:{run.realised_id}", detail={**about, **detail})
