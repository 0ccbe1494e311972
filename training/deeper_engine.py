"""What the gpu worker lends to the deeper look and to the keeping of edge cases: signals, their checks, directions.

It reaches the engine inside functions alone, which only the gpu worker calls.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from constitution.digests import digest
from constitution.models import Tier
from constitution.texts import ClauseText
from training.deeper import BATCH, Engine, Looked, Question

if TYPE_CHECKING:
    from training.engine.clauses import Clause
    from training.engine.model import LanguageModel
    from training.engine.surface_deeper import Decided


def lend(lm: "LanguageModel", name: str, clauses: Sequence[ClauseText]) -> Engine:
    """For a version: `name` is what its model is called."""
    from training.engine.prompts import PROMPT_DIGEST, balanced
    from training.engine.signal_checks import standing_out
    from training.engine.signals import SIGNALS
    from training.engine.surface_deeper import Decided

    decided = Decided.of(lm, [_shown(clause) for clause in clauses])
    return Engine(
        model=name,
        checkpoint=lm.digest,
        prompts=PROMPT_DIGEST,
        embedding=embedding(lm, clauses),
        signals=SIGNALS,
        look=partial(_look, lm, decided),
        check=_check,
        standing_out=standing_out,
        shown=lambda clause: {example.request for example in balanced(_shown(clause).examples)},
        embed=embedder(lm, clauses, decided),
    )


def embedding(lm: "LanguageModel", clauses: Sequence[ClauseText]) -> str:
    """The kind of the directions that `embedder` gives: of these weights, seen from these decided requests."""
    from training.engine.embed import name

    requests = sorted(e.request for clause in clauses if Tier(clause.tier) != Tier.STYLE for e in clause.examples)
    return f"{name(lm)}:{digest(requests)[:16]}"


def embedder(
    lm: "LanguageModel", clauses: Sequence[ClauseText], decided: "Decided | None" = None
) -> Callable[[Sequence[str]], list[bytes]]:
    """What gives directions of requests, packed. The decided requests are read when it is first asked for any."""
    known = [decided] if decided else []

    def embed(requests: Sequence[str]) -> list[bytes]:
        from amendments.joining import pack
        from training.engine.embed import request_states, units
        from training.engine.surface_deeper import Decided

        if not known:
            known.append(Decided.of(lm, [_shown(clause) for clause in clauses]))
        return [pack(row) for row in units(request_states(lm, requests), known[0].centre)]

    return embed


def _look(lm: "LanguageModel", decided: "Decided", asked: Sequence[Question]) -> Iterator[Looked]:
    from training.engine.surface import Scenario
    from training.engine.surface_deeper import look_deeper

    by_id = {str(place): one for place, one in enumerate(asked)}
    scenarios = [Scenario(key, one.prompt, one.label) for key, one in by_id.items()]  # type: ignore[arg-type]
    shown = {key: [_shown(clause) for clause in one.clauses] for key, one in by_id.items()}
    for found in look_deeper(lm, decided, scenarios, lambda one: shown[one.id], batch_size=BATCH):
        yield Looked(by_id[found.scenario_id], found.signals, found.unscored)


def _check(settled: Sequence[float | None], hard: Sequence[float | None]) -> dict[str, Any]:
    from dataclasses import asdict

    from training.engine.signal_checks import check

    return asdict(check(settled, hard))


def _shown(clause: ClauseText) -> "Clause":
    from training.engine.clauses import Clause

    return Clause.of(clause.model_dump())
