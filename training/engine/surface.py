"""Surfacing: what a model does with scenarios under the clauses that apply to them, and the signals this gives.

Pure: texts, a model and a judge in, readings out. The caller keeps them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Literal

from training.engine.clauses import Clause
from training.engine.forward import Heads
from training.engine.generate import generate
from training.engine.items import each
from training.engine.judges.contract import Judge, Verdict
from training.engine.model import LanguageModel
from training.engine.prompts import STOP, follow, follow_head
from training.engine.signals import CONFLICT, OVER_REFUSAL

REPETITION_PENALTY = 1.2  # small models go round in circles, and a circle settles nothing
READ_UNDER = 2  # the most applicable clauses that a scenario is read under
MOST_HEADS = 32  # clauses whose beginnings are held at a time: 14 MB each with the default model


@dataclass(frozen=True)
class Scenario:
    """A prompt, and what people have said of whether it asks for harm."""

    id: str
    prompt: str
    label: Literal["harmful", "benign", "unknown"]
    principle: str = ""


Chosen = tuple[Scenario, tuple[Clause, ...]]


@dataclass(frozen=True)
class Sampling:
    """How responses are written."""

    max_new_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True)
class Reading:
    """One scenario under its clauses, in the order given (most applicable first); the keys are principles.

    `signals` run from 0 to 1. A signal is absent where the verdicts that it needs are unscored; such principles are
    in `unscored` with the reason, and nothing follows from them, least of all that the scenario is settled.
    """

    scenario_id: str
    responses: dict[str, str]
    verdicts: dict[str, Verdict]
    signals: dict[str, float]
    unscored: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Readings with one signal under one principle: what one amendment could settle. Strongest first."""

    signal: str
    principle: str
    readings: tuple[Reading, ...]


def read_scenarios(
    lm: LanguageModel,
    judge: Judge,
    scenarios: Sequence[Scenario],
    clauses_for: Callable[[Scenario], Sequence[Clause]],
    *,
    batch_size: int = 16,
    max_new_tokens: int = 32,
    temperature: float = 0.0,
    seed: int = 0,
) -> Iterator[Reading]:
    """Yield a reading per scenario, `batch_size` scenarios at a time, so that the caller can keep what is done and
    call again with the rest. Scenarios under the same clauses are read together, so the order is not the caller's; a
    clause and its examples go through the model once, not once in every batch.

    `clauses_for` gives the applicable clauses, most applicable first; the first two are used. A scenario to which no
    clause applies yields a reading with nothing in it; one that cannot be read is unscored under each clause, with
    the reason, and stops no other.
    """
    chosen = [(scenario, tuple(clauses_for(scenario)[:READ_UNDER])) for scenario in scenarios]
    chosen.sort(key=lambda pair: [clause.principle for clause in pair[1]])
    distinct = {clause.principle: clause for _, found in chosen for clause in found}.values()
    heads = Heads(lm, [follow_head(clause) for clause in distinct], most=MOST_HEADS)
    settings = Sampling(max_new_tokens, temperature, seed)
    for start in range(0, len(chosen), batch_size):
        yield from each(
            chosen[start : start + batch_size],
            partial(_readings, lm, judge, heads, settings),
            partial(_unread, judge),
        )


def _readings(
    lm: LanguageModel, judge: Judge, heads: Heads, sampling: Sampling, batch: Sequence[Chosen]
) -> list[Reading]:
    jobs = [(scenario, clause) for scenario, clauses in batch for clause in clauses]
    responses = generate(
        lm,
        [follow(clause, scenario.prompt) for scenario, clause in jobs],
        max_new_tokens=sampling.max_new_tokens,
        temperature=sampling.temperature,
        seed=sampling.seed,
        batch_size=max(1, len(jobs)),  # what a step costs hardly grows with its rows
        stop=STOP,
        repetition_penalty=REPETITION_PENALTY,
        heads=heads,
    )
    items = [(scenario.prompt, response) for (scenario, _), response in zip(jobs, responses, strict=True)]
    outcomes = iter(zip(responses, judge.judge(items), strict=True))
    return [reading(scenario, {clause.principle: next(outcomes) for clause in clauses}) for scenario, clauses in batch]


def _unread(judge: Judge, one: Chosen, why: str) -> Reading:
    scenario, clauses = one
    unscored = Verdict("unscored", None, judge.name, reason=why)
    return reading(scenario, {clause.principle: ("", unscored) for clause in clauses})


def reading(scenario: Scenario, outcomes: dict[str, tuple[str, Verdict]]) -> Reading:
    """The reading of a scenario from its (response, verdict) under each principle, most applicable first."""
    verdicts = {principle: verdict for principle, (_, verdict) in outcomes.items()}
    return Reading(
        scenario_id=scenario.id,
        responses={principle: response for principle, (response, _) in outcomes.items()},
        verdicts=verdicts,
        signals=_signals(scenario, list(verdicts.values())),
        unscored={principle: v.reason for principle, v in verdicts.items() if not v.is_scored},
    )


def group(readings: Iterable[Reading], *, least: float = 0.5) -> list[Group]:
    """Readings whose signal is at least `least`, grouped by signal and most applicable principle.

    Largest group first; a reading with two signals is in two groups.
    """
    found: dict[tuple[str, str], list[Reading]] = {}
    for item in readings:
        for signal, value in item.signals.items():
            if value >= least:
                found.setdefault((signal, next(iter(item.verdicts))), []).append(item)
    groups = [
        Group(signal, principle, tuple(sorted(items, key=lambda r: -r.signals[signal])))
        for (signal, principle), items in found.items()
    ]
    return sorted(groups, key=lambda g: (-len(g.readings), g.signal, g.principle))


def _signals(scenario: Scenario, verdicts: Sequence[Verdict]) -> dict[str, float]:
    """over-refusal: the probability that a benign scenario is refused under its most applicable clause.
    conflict: where two clauses lead to different verdicts, how decided the less decided of the two is.
    """
    signals: dict[str, float] = {}
    if scenario.label == "benign" and verdicts and verdicts[0].probability is not None:
        signals[OVER_REFUSAL] = verdicts[0].probability
    for one, other in combinations([v for v in verdicts if v.probability is not None], 2):
        decided = min(_decidedness(one), _decidedness(other)) if one.verdict != other.verdict else 0.0
        signals[CONFLICT] = max(decided, signals.get(CONFLICT, 0.0))
    return signals


def _decidedness(verdict: Verdict) -> float:
    """|d|: how far the probability is from even, 0 to 1."""
    return abs(2 * verdict.probability - 1) if verdict.probability is not None else 0.0
