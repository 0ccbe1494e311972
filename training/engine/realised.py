"""What a round made of an amendment: the requests of its preview once more, without any constitution, as in training.

The same judge as the preview's says of each answer whether it declines. Pure, as `preview` is: a model, a judge and
requests in, readings and figures out.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from training.engine.generate import chat, generate
from training.engine.items import each
from training.engine.judges.contract import Judge
from training.engine.model import LanguageModel
from training.engine.preview import LEAST_COVERAGE, Heard, Row, share_change, shift, tokens, unheard
from training.engine.score import refusal_margin

BASE, TRAINED, PREVIOUS = ARMS = ("base", "trained", "previous")
BATCH = 16
TOO_LONG = "the request does not fit into the model's context"


def answer(
    lm: LanguageModel,
    judge: Judge,
    requests: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int = BATCH,
) -> Iterator[list[Heard]]:
    """What `lm` answers to each request, greedily, in their order, a batch at a time. Batches do not depend on each
    other. A request that cannot be read is unscored, with the reason, and stops no other.
    """
    for start in range(0, len(requests), batch_size):
        yield each(
            requests[start : start + batch_size],
            partial(_answers, lm, judge, max_new_tokens),
            lambda _, why: unheard(judge, why),
        )


def compare(rows: Sequence[Row], *, components: Sequence[str], seed: int = 0) -> list[dict[str, Any]]:
    """By component that has rows: how many declined in each arm, and by how much the trained model moved away from each
    other one. A component of which too much went unscored has counts and no figures.
    """
    found = []
    for name in components:
        inside = [row for row in rows if name in row.components]
        if inside:
            found.append({"name": name, **_component(inside, seed)})
    return found


def _component(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    arms = list(rows[0].declined)
    scored = [row for row in rows if all(row.declined[arm] is not None for arm in arms)]
    counts: dict[str, Any] = {
        "n": len(scored),
        "unscored": len(rows) - len(scored),
        "declined": {arm: sum(bool(row.declined[arm]) for row in scored) for arm in arms},
    }
    if not scored or len(scored) < LEAST_COVERAGE * len(rows):
        return {**counts, "against": {}}
    starts = [arm for arm in arms if arm != TRAINED]
    return {**counts, "against": {start: _moved(scored, start, seed) for start in starts}}


def _moved(rows: Sequence[Row], start: str, seed: int) -> dict[str, dict[str, float] | None]:
    """The change since `start` in the share declined, and in nats of the refusal margin; of that, None under two."""
    differences = [float(bool(row.declined[TRAINED])) - float(bool(row.declined[start])) for row in rows]
    margins = [(row.margins.get(start), row.margins.get(TRAINED)) for row in rows]
    shifts = [after - before for before, after in margins if before is not None and after is not None]
    return {
        "share": share_change(differences, seed),
        "margin": shift(shifts, seed) if len(shifts) > 1 else None,
    }


def _answers(lm: LanguageModel, judge: Judge, max_new_tokens: int, requests: Sequence[str]) -> list[Heard]:
    prompts = [chat(lm, request) for request in requests]
    places = [place for place, prompt in enumerate(prompts) if tokens(lm, prompt) <= lm.context_length - max_new_tokens]
    short = [prompts[place] for place in places]
    said = generate(lm, short, max_new_tokens=max_new_tokens, batch_size=max(1, len(short)))
    verdicts = judge.judge([(requests[place], text) for place, text in zip(places, said, strict=True)])
    margins = refusal_margin(lm, short) if short else []
    heard: Mapping[int, Heard] = {
        place: Heard(text, verdict, margin if math.isfinite(margin) else None)
        for place, text, verdict, margin in zip(places, said, verdicts, margins, strict=True)
    }
    return [heard.get(place) or unheard(judge, TOO_LONG) for place in range(len(requests))]
