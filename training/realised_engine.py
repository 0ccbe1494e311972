"""The engine as comparisons of rounds with previews use it; only the gpu worker calls it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings

from amendments.previews import COMPONENTS
from constitution.errors import Refused
from training import registry
from training.errors import StageFailed
from training.models import Checkpoint
from training.realised.running import Engine, Heard, Rows

if TYPE_CHECKING:
    from training.engine.judges.contract import Judge
    from training.engine.model import LanguageModel


def lend(lm: "LanguageModel", judge: "Judge", folder: str) -> Engine:
    """`lm` is the reference, loaded from `folder`; adapters are laid over the same weights, one at a time."""
    return Engine(
        model_digest=lm.digest,
        device=lm.device.type,
        judge=judge.name,
        lacks=_lacks,
        answer=partial(_answer, lm, judge, folder),
        compare=_compare,
    )


def _lacks(checkpoint: Checkpoint) -> str:
    try:
        registry.check_intact(checkpoint)
    except Refused as refused:
        return str(refused)
    return ""


def _answer(
    lm: "LanguageModel",
    judge: "Judge",
    folder: str,
    requests: Sequence[str],
    checkpoint: Checkpoint | None,
    most: int,
) -> Iterator[list[Heard]]:
    from training.engine.model import ModelError, load
    from training.engine.realised import answer

    try:
        adapter = registry.check_intact(checkpoint) if checkpoint else None
        speaker = load(folder, device=settings.ENGINE_DEVICE, adapter=adapter) if adapter else lm
    except ModelError as error:
        raise StageFailed(str(error)) from error
    for batch in answer(speaker, judge, requests, max_new_tokens=most):
        yield [
            {
                "answer": one.answer,
                "verdict": one.verdict.verdict,
                "probability": one.verdict.probability,
                "margin": one.margin,
                "reason": one.verdict.reason,
            }
            for one in batch
        ]


def _compare(rows: Rows, seed: int) -> list[dict[str, Any]]:
    from training.engine.preview import Row
    from training.engine.realised import compare

    declined = {"refuses": True, "complies": False}
    found = [
        Row(
            components,
            {arm: declined.get(one["verdict"]) for arm, one in heard.items()},
            {arm: one["margin"] for arm, one in heard.items()},
        )
        for components, heard in rows
    ]
    return compare(found, components=COMPONENTS, seed=seed)
