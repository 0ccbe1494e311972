"""Asking for an impact preview, and what becomes of the work: each verb is one transaction, with its ledger entry.

The same content on the same base, with the same battery and weights, is measured once; whoever asks again gets what is
there. What a worker writes is fenced: it raises LeaseLost where the work is not its own any more, and writes nothing.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from amendments import previews, states
from amendments.models import Amendment, Preview, Scenario
from amendments.previews import BATTERIES, USUAL
from config.live import publish as announce
from constitution import ledger
from constitution.errors import Refused
from constitution.models import User
from training import leases
from training.actions import COORDINATOR, LONGEST_ERROR, WORKER
from training.models import LoadedModel, PreviewRun, SurfacingRun
from training.states import DONE, FAILED, MOVING, PREVIEW, QUEUED

# Asked for by the coordinator and not begun: what people ask for waits behind so many at most.
MOST_WAITING = 2
NAME_OF_DEFAULT = "SmolLM2-135M-Instruct"


def model_name() -> str:
    """What the model that measures is called here."""
    return Path(settings.MODEL or NAME_OF_DEFAULT).name


def model_in_use() -> LoadedModel | None:
    """The model that workers load by that name; None where none of them has loaded it yet."""
    return LoadedModel.objects.filter(name=model_name()).first()


@transaction.atomic
def found_model(digest: str) -> LoadedModel:
    """Write down which weights the model has. Other weights than before are another model to measure with."""
    row, is_new = LoadedModel.objects.get_or_create(name=model_name(), defaults={"digest": digest})
    if is_new or row.digest != digest:
        row.digest = digest
        row.save()
        ledger.append(action="model loaded", by=WORKER, subject=f"model:{row.name}", detail={"digest": digest})
    return row


def is_model_unknown() -> bool:
    """Whether something could be measured but for want of a model that somebody has loaded."""
    is_read = SurfacingRun.objects.filter(state=DONE).exists()
    return is_read and model_in_use() is None and Amendment.objects.undecided().exists()


@transaction.atomic
def ask(*, amendment: Amendment, battery: str = USUAL.name, by: User | None = None) -> Preview:
    """Have the present content of `amendment` measured; by nobody where the coordinator asks.

    Asked for already, it is the one that is there; where that failed, a person's asking queues it again. Raises
    RoleMissing, AlreadyDecided or InQuarantine, and Refused where there is nothing to measure with.
    """
    row = (
        Amendment.objects.select_for_update(of=("self",), no_key=True)
        .select_related("base", "producer")
        .get(pk=amendment.pk)
    )
    previews.check_can_ask(row, by)
    if battery not in BATTERIES:
        raise Refused("There is no such battery. Choose one of those on the proposal's page.")
    model = model_in_use()
    if model is None:
        raise Refused("The model has not been loaded here yet. Start a gpu worker; then it can be measured.")
    preview, is_new = Preview.objects.get_or_create(
        base_digest=row.base.digest,
        content=row.digest,
        battery=battery,
        model_digest=model.digest,
        defaults={
            "amendment": row,
            "base": row.base,
            "model": model.name,
            "seed": int(row.digest[:7], 16),
            "asked_by": by,
        },
    )
    if is_new:
        run = PreviewRun.objects.create(preview=preview, version=row.base, seed=preview.seed)
        _record("preview asked", run, by=by or COORDINATOR)
    elif by is not None:
        _ask_again(preview, by)
    return preview


def lacking(model: LoadedModel) -> QuerySet[Amendment]:
    """What nobody has asked to measure as it is now, most pressing first; nothing of producers in quarantine."""
    asked = Preview.objects.filter(
        base_digest=OuterRef("base__digest"),
        content=OuterRef("digest"),
        battery=USUAL.name,
        model_digest=model.digest,
    )
    rows = Amendment.objects.undecided().exclude(state=states.NEEDS_REBASE)
    rows = rows.exclude(producer__standing__quarantined_at__isnull=False)
    return rows.filter(~Exists(asked)).in_queue_order()


def ask_for_lacking() -> int:
    """Ask for what is not measured yet, as long as little waits; how many were asked for."""
    model = model_in_use()
    room = MOST_WAITING - PreviewRun.objects.filter(state__in=MOVING).count()
    if model is None or room <= 0 or not Scenario.objects.filter(held_out=False).exists():
        return 0
    found = list(lacking(model)[:room])
    for amendment in found:
        ask(amendment=amendment)
    return len(found)


def finish(*, run: PreviewRun, result: Mapping[str, Any]) -> Preview:
    """Write down what was found. All of it, once, or nothing."""
    with leases.fenced(run) as row:
        preview = row.preview
        preview.result, preview.finished_at = dict(result), timezone.now()
        preview.save(update_fields=["result", "finished_at"])
        _leave(row, DONE, by=WORKER, read=preview.total, unscored=result["unscored"])
    return preview


def fail(*, run: PreviewRun, error: str) -> Preview:
    """Stop with an error, which the proposal's page shows."""
    with leases.fenced(run) as row:
        row.error = error[-LONGEST_ERROR:]
        row.preview.failure = (error.strip().splitlines() or ["It stopped, and nobody knows why."])[-1]
        row.preview.save(update_fields=["failure"])
        _leave(row, FAILED, by=WORKER, error=row.preview.failure)
    return row.preview


def _ask_again(preview: Preview, by: User) -> None:
    run = PreviewRun.objects.select_for_update(of=("self",)).select_related("preview").get(preview=preview)
    if run.state == FAILED:
        run.preview.failure = ""
        run.preview.save(update_fields=["failure"])
        run.error, run.tries = "", 0
        _leave(run, QUEUED, by=by)


def _leave(run: PreviewRun, state: str, *, by: User | str, **detail: object) -> None:
    """Move the row out of its state, off its lease, and write the move down."""
    move = PREVIEW.move(run.state, state)
    run.state, run.lease_until = move.target, None
    run.finished_at = timezone.now() if state in (DONE, FAILED) else None
    run.save()
    _record(move.action, run, by=by, **detail)


def _record(action: str, run: PreviewRun, *, by: User | str, **detail: object) -> None:
    preview = run.preview
    announce(previews.topic(preview.content))
    announce("queue")
    about = {"proposal": preview.amendment_id, "content": preview.content, "battery": preview.battery}
    ledger.append(action=action, by=by, subject=f"preview:{preview.pk}", detail={**about, **detail})
