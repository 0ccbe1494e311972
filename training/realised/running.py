"""Measuring what a round made of an amendment. It may be killed at any moment: what was read is not read again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from amendments.models import PreviewItem, Realised, RealisedItem
from constitution.errors import Refused
from constitution.texts import ClauseText
from training import leases
from training.errors import StageFailed
from training.models import Checkpoint, RealisedRun
from training.realised import asking
from training.recipes.plan import normalise

BASE, TRAINED, PREVIOUS = "base", "trained", "previous"
MEASURES = ("share", "margin")

Tell = Callable[[str], None]
# Answer, verdict, probability, margin, reason; as plain values.
Heard = Mapping[str, Any]
Rows = Sequence[tuple[tuple[str, ...], Mapping[str, Heard]]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Engine:
    """What the gpu worker lends. `answer` yields what a model (None: the base) says to requests, batch by batch in
    their order; `compare` gives the figures of (components, what was heard by arm) by component; `lacks` says why the
    weights of a round are not to be had, nothing where they are.
    """

    model_digest: str
    device: str
    judge: str
    lacks: Callable[[Checkpoint], str]
    answer: Callable[[Sequence[str], Checkpoint | None, int], Iterator[list[Heard]]]
    compare: Callable[[Rows, int], list[dict[str, Any]]]


EngineFor = Callable[[Sequence[ClauseText], Tell], Engine]


def run(claimed: RealisedRun, *, engine_for: EngineFor, stop_asked: Callable[[], bool]) -> None:
    """Work on a claimed comparison until it is finished, failed or taken away, or until `stop_asked`."""
    leases.work_on(
        claimed,
        partial(_run, engine_for),
        stop_asked=stop_asked,
        fail=lambda job, error: asking.fail(run=job, error=error),
        faults=(StageFailed, Refused),
    )


def _run(engine_for: EngineFor, claimed: RealisedRun, check: leases.Check) -> None:
    realised = Realised.objects.select_related("preview__base").get(pk=claimed.realised_id)
    preview = realised.preview
    engine = engine_for(preview.base.texts(), lambda message: log.info("realised", pk=realised.pk, doing=message))
    _check_comparable(engine, realised)
    items = list(preview.items.order_by("place"))
    models, absent = _models(claimed, engine)
    total = len(items) * len(models)
    most = int(claimed.round.plan["stages"]["evaluate"]["max_new_tokens"])
    for arm, checkpoint in models.items():
        done = realised.items.filter(arm=arm).count()
        for batch in engine.answer([item.prompt for item in items[done:]], checkpoint, most) if items[done:] else ():
            _keep(claimed, arm, items[done : done + len(batch)], batch, total=total, arms=list(models))
            done += len(batch)
            check()
    result = _result(claimed, items, tuple(models), engine)
    asking.finish(run=claimed, result={**result, "absent": absent}, read=total)


def _check_comparable(engine: Engine, realised: Realised) -> None:
    """Raise StageFailed where the figures would be of something else than those of the preview."""
    preview = realised.preview
    if engine.model_digest != preview.model_digest:
        raise StageFailed("Not comparable: the model's weights are others by now than its preview was measured with.")
    if preview.result and engine.judge != preview.result["judge"]:
        raise StageFailed("Not comparable: another judge is in use by now than the one that judged its preview.")


def _models(claimed: RealisedRun, engine: Engine) -> tuple[dict[str, Checkpoint | None], str]:
    """Whose answers are read, by arm, and why those of the last round's model are not. Raises StageFailed without the
    trained one.
    """
    trained = claimed.round.checkpoint
    if why := engine.lacks(trained):
        raise StageFailed(why)
    models: dict[str, Checkpoint | None] = {BASE: None, TRAINED: trained}
    if claimed.previous is None:
        return models, "No round before it trained the same weights."
    if why := engine.lacks(claimed.previous.checkpoint):
        return models, why
    return {**models, PREVIOUS: claimed.previous.checkpoint}, ""


def _keep(
    claimed: RealisedRun,
    arm: str,
    items: Sequence[PreviewItem],
    batch: Sequence[Heard],
    *,
    total: int,
    arms: Sequence[str],
) -> None:
    """Write down a batch; all of it, or nothing."""
    with leases.fenced(claimed) as row:
        RealisedItem.objects.bulk_create(
            RealisedItem(realised=row.realised, item=item, arm=arm, heard=heard)
            for item, heard in zip(items, batch, strict=True)
        )
        row.realised.total, row.realised.done = total, row.realised.items.filter(arm__in=arms).count()
        row.realised.save(update_fields=["total", "done"])
        asking.tell(row)


def _result(
    claimed: RealisedRun, items: Sequence[PreviewItem], arms: tuple[str, ...], engine: Engine
) -> dict[str, Any]:
    """The figures of all that was read, each beside what was foretold, and what they rest on."""
    realised = claimed.realised
    heard: dict[int, dict[str, Heard]] = {item.pk: {} for item in items}
    for row in realised.items.order_by("pk"):
        heard[row.item_id][row.arm] = row.heard
    rows = [(tuple(item.components), {arm: heard[item.pk][arm] for arm in arms}) for item in items]
    seen = {normalise(prompt["prompt"]) for prompt in claimed.round.plan["train"]}
    trained_on = {item.pk for item in items if normalise(item.prompt) in seen}
    foretold = {row["name"]: row for row in (realised.preview.result or {})["components"]}
    return {
        "components": [
            _beside(row, foretold[row["name"]])
            | {"trained_on": sum(item.pk in trained_on and row["name"] in item.components for item in items)}
            for row in engine.compare(rows, claimed.seed)
        ],
        "unscored": sum(any(one["verdict"] == "unscored" for one in found.values()) for _, found in rows),
        "arms": list(arms),
        "judge": engine.judge,
        "device": engine.device,
    }


def _beside(row: dict[str, Any], foretold: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a component with, for each change, what was foretold and whether it lies in that interval; None
    where one of the two is not known.
    """
    predicted = {name: (foretold[name] or {}).get("after") for name in MEASURES}
    against = {
        start: {name: _placed(change, predicted[name]) for name, change in changes.items()}
        for start, changes in row["against"].items()
    }
    return {**row, "predicted": predicted, "against": against}


def _placed(change: dict[str, float] | None, predicted: Mapping[str, float] | None) -> dict[str, Any] | None:
    if change is None:
        return None
    is_inside = None if predicted is None else predicted["low"] <= change["value"] <= predicted["high"]
    return {**change, "is_inside": is_inside}
