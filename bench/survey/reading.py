"""The worker's reading and its deeper look, with a store: what was read once is not read again, also after a kill.

A request is read anew only where one of its clauses changed. What depends on all decided requests at once is computed
anew for all (`gap`); `precedent` keeps what it was when the request was last read.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.store import Store
from bench.survey.material import Request, our_law
from constitution.digests import digest
from constitution.resolution import in_force
from constitution.texts import ClauseText
from training.engine.clauses import Clause
from training.engine.judge import ProbeJudge, calibration_set
from training.engine.judges.contract import Judge
from training.engine.model import LanguageModel, ensure_default_model, load
from training.engine.prompts import FOLLOW
from training.engine.signals import GAP
from training.engine.surface import Scenario, read_scenarios
from training.engine.surface_deeper import DEEPER_VERSION, Decided, look_deeper
from training.reading import applicable

BATCH = 16
LOOK = f"look {DEEPER_VERSION}"


@dataclass(frozen=True, slots=True)
class Found:
    """What a request gave. `read` are the signals of the reading, `looked` those of the deeper look, None where one
    could not be had; `answer` is the one under the most applicable clause."""

    request: Request
    principles: tuple[str, ...]
    answer: str
    read: Mapping[str, float]
    looked: Mapping[str, float | None]


@dataclass
class Surveyor:
    """A model with its judge, and what they have read so far."""

    lm: LanguageModel
    judge: Judge
    store: Store

    @classmethod
    def default(cls, models: Path, results: Path) -> "Surveyor":
        """The default model with the probe judge of our constitution. Both are made once and kept."""
        lm = load(ensure_default_model(models), device=os.environ.get("ENGINE_DEVICE", "auto"))
        results.mkdir(parents=True, exist_ok=True)
        kept = results / f"judge-{lm.digest[:16]}.json"
        if kept.exists():
            judge = ProbeJudge.load(lm, kept)
        else:
            judge = ProbeJudge.fit(lm, calibration_set(shown(clause) for clause in our_law()))
            judge.save(kept)
        return cls(lm, judge, Store(results / "readings.jsonl"))

    def survey(self, law: Sequence[ClauseText], requests: Sequence[Request]) -> list[Found]:
        """What each request gives under this law, in their order."""
        under = {one.prompt: clauses_of(law, one) for one in requests}
        decided = Decided.of(self.lm, [shown(clause) for clause in law])
        keys = {one.prompt: self._key(one, under[one.prompt]) for one in requests}
        centre = digest([self.lm.digest, *decided.requests, *map(str, decided.declines)])
        self._read([one for one in requests if f"read {keys[one.prompt]}" not in self.store], under, keys)
        self._look([one for one in requests if f"{LOOK} {keys[one.prompt]}" not in self.store], under, keys, decided)
        self._gaps(requests, decided, centre)
        looked = {
            one.prompt: {**self.store[f"{LOOK} {keys[one.prompt]}"], GAP: self.store[f"gap {centre} {one.digest}"]}
            for one in requests
        }
        return [self._found(one, under[one.prompt], keys[one.prompt], looked[one.prompt]) for one in requests]

    def read(self, law: Sequence[ClauseText], requests: Sequence[Request]) -> list[Found]:
        """The reading alone, without the deeper look."""
        under = {one.prompt: clauses_of(law, one) for one in requests}
        keys = {one.prompt: self._key(one, under[one.prompt]) for one in requests}
        self._read([one for one in requests if f"read {keys[one.prompt]}" not in self.store], under, keys)
        return [self._found(one, under[one.prompt], keys[one.prompt], {}) for one in requests]

    def _key(self, one: Request, clauses: Sequence[ClauseText]) -> str:
        by = [self.lm.digest, self.judge.name, f"{FOLLOW.name} {FOLLOW.version}"]
        return digest([*by, one.prompt, one.label, *(clause.digest for clause in clauses)])

    def _read(self, asked: Sequence[Request], under: "Under", keys: Mapping[str, str]) -> None:
        clauses_for = _clauses_for(under)
        for found in read_scenarios(self.lm, self.judge, _scenarios(asked), clauses_for, batch_size=BATCH):
            answer = next(iter(found.responses.values()), "")
            self.store.put([(f"read {keys[found.scenario_id]}", {"answer": answer, "signals": dict(found.signals)})])

    def _look(self, asked: Sequence[Request], under: "Under", keys: Mapping[str, str], decided: Decided) -> None:
        for found in look_deeper(self.lm, decided, _scenarios(asked), _clauses_for(under), batch_size=BATCH):
            signals = {**dict.fromkeys(found.unscored), **found.signals}
            self.store.put([(f"{LOOK} {keys[found.scenario_id]}", signals)])

    def _gaps(self, requests: Sequence[Request], decided: Decided, centre: str) -> None:
        """Without a clause the deeper look gives the gap alone, and no prompt is read for it."""
        asked = [one for one in requests if f"gap {centre} {one.digest}" not in self.store]
        digests = {one.prompt: one.digest for one in asked}
        for found in look_deeper(self.lm, decided, _scenarios(asked), lambda _scenario: (), batch_size=BATCH):
            self.store.put([(f"gap {centre} {digests[found.scenario_id]}", found.signals.get(GAP))])

    def _found(
        self, one: Request, clauses: Sequence[ClauseText], key: str, looked: Mapping[str, float | None]
    ) -> Found:
        read = self.store[f"read {key}"]
        return Found(one, tuple(clause.principle for clause in clauses), read["answer"], read["signals"], looked)


Under = Mapping[str, Sequence[ClauseText]]


def clauses_of(law: Sequence[ClauseText], one: Request) -> list[ClauseText]:
    """What the worker reads a request under."""
    return applicable(one.prompt, one.settled_by, law if one.context is None else in_force(law, dict(one.context)))


def shown(clause: ClauseText) -> Clause:
    """As the model sees it."""
    return Clause.of(clause.model_dump())


def _scenarios(asked: Sequence[Request]) -> list[Scenario]:
    return [Scenario(one.prompt, one.prompt, one.label, one.settled_by) for one in asked]


def _clauses_for(under: Under) -> Callable[[Scenario], list[Clause]]:
    return lambda scenario: [shown(clause) for clause in under[scenario.id]]
