"""What the gpu worker lends to the deeper look and to the keeping of edge cases: signals, their checks, directions.

It reaches the engine inside functions alone, which only the gpu worker calls.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from constitution.errors import Refused
from constitution.texts import ClauseText
from training import registry
from training.deeper import BATCH, Engine, Looked, Question
from training.models import Checkpoint

if TYPE_CHECKING:
    from training.engine.clauses import Clause
    from training.engine.model import LanguageModel
    from training.engine.signals import Probability
    from training.engine.surface import Scenario
    from training.engine.surface_deeper import Decided

log = structlog.get_logger(__name__)


NO_OTHER = "No other model than the reference is there: none of a finished round that could be read on its weights."


def lend(lm: "LanguageModel", name: str, clauses: Sequence[ClauseText], *, folder: str = "") -> Engine:
    """For a version: `name` is what its model is called, `folder` where it was loaded from."""
    from training.engine.prompts import PROMPT_DIGEST, balanced
    from training.engine.sentences import KIND
    from training.engine.signal_checks import standing_out
    from training.engine.signals import ENSEMBLE, SIGNALS
    from training.engine.surface_deeper import Decided

    decided = Decided.of(lm, [_shown(clause) for clause in clauses])
    others = trained(lm.digest) if folder else []
    return Engine(
        model=name,
        checkpoint=lm.digest,
        prompts=PROMPT_DIGEST,
        embedding=KIND,
        signals=SIGNALS,
        look=partial(_look, lm, decided, folder, others),
        check=_check,
        standing_out=standing_out,
        shown=lambda clause: {example.request for example in balanced(_shown(clause).examples)},
        embed=embed,
        lacking={} if others else {ENSEMBLE: NO_OTHER},
    )


def trained(reference: str) -> list[Path]:
    """The adapters of the newest finished round and of the model in use, where they are as their rounds left them and
    belong to the weights `reference`; one where both are the same."""
    newest, used = Checkpoint.objects.order_by("-pk").first(), registry.in_use()
    chosen = {row.pk: row for row in (newest, used.checkpoint if used else None) if row}
    found = []
    for row in chosen.values():
        try:
            folder = registry.check_intact(row)
        except Refused as refused:
            log.info("a model is left out of the ensemble", checkpoint=row.pk, reason=str(refused))
            continue
        if row.base_digest in ("", reference):
            found.append(folder)
    return found


def embed(requests: Sequence[str]) -> list[bytes]:
    """What requests ask for: directions of the kind `sentences.KIND`, packed."""
    from amendments.joining import pack
    from training.engine.sentences import sentence_model

    return [pack(row) for row in sentence_model().directions(requests)]


def _look(
    lm: "LanguageModel", decided: "Decided", folder: str, others: Sequence[Path], asked: Sequence[Question]
) -> Iterator[Looked]:
    from training.engine.surface import Scenario
    from training.engine.surface_deeper import look_deeper

    by_id = {str(place): one for place, one in enumerate(asked)}
    scenarios = [Scenario(key, one.prompt, one.label) for key, one in by_id.items()]  # type: ignore[arg-type]
    shown = {key: [_shown(clause) for clause in one.clauses] for key, one in by_id.items()}
    under = [(one, shown[one.id][0]) for one in scenarios if shown[one.id]]
    elsewhere = _elsewhere(folder, others, under) if others and under else None
    for found in look_deeper(lm, decided, scenarios, lambda one: shown[one.id], batch_size=BATCH, elsewhere=elsewhere):
        yield Looked(by_id[found.scenario_id], found.signals, found.unscored)


def _elsewhere(
    folder: str, others: Sequence[Path], asked: "Sequence[tuple[Scenario, Clause]]"
) -> "dict[str, list[Probability]]":
    """By scenario, what each other model's verdict is: one model at a time in memory. One that cannot be read leaves
    every scenario without its verdict."""
    from training.engine.model import ModelError, load
    from training.engine.surface_deeper import first_verdicts

    found: dict[str, list[Probability]] = {scenario.id: [] for scenario, _ in asked}
    for adapter in others:
        try:
            heard = first_verdicts(load(folder, device=settings.ENGINE_DEVICE, adapter=adapter), asked)
        except (ModelError, OSError, RuntimeError, ValueError) as error:
            log.warning("a model of the ensemble could not be read", error=str(error))
            heard = {}
        for key, verdicts in found.items():
            verdicts.append(heard.get(key))
    return found


def _check(settled: Sequence[float | None], hard: Sequence[float | None]) -> dict[str, Any]:
    from dataclasses import asdict

    from training.engine.signal_checks import check

    return asdict(check(settled, hard))


def _shown(clause: ClauseText) -> "Clause":
    from training.engine.clauses import Clause

    return Clause.of(clause.model_dump())
