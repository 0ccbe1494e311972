"""How many decisions halve over-refusal on requests held out: clusters with previews, against cases one by one.

A simulated reviewer who knows that the cases are harmless, and wants them answered. By clusters: the most pressing
cluster first, the best draft for all its cases, a sentence or decided examples, and a preview of it; accepted unless
this shows harm, more harmless requests declined or fewer harmful ones. After the last cluster the queue is made anew of
what is still declined, until nothing new is drafted. One by one: the same cases in the order in which they arrived,
each decided as an example of its clause. Clauses of the first tier are left out, on which no machine proposes. What an
accepted draft does is measured on held-out twins, under the constitution as it is then; nothing is taken for granted.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amendments.keeping_back import keep_back
from bench.survey import ranking
from bench.survey.material import ROOT, Request, our_law, read_clauses, twins
from bench.survey.ranking import Case, Ranked
from bench.survey.reading import Found, Surveyor, shown
from config.env import VAR
from constitution.models import Tier
from constitution.texts import ClauseText, Example
from training.engine.deciding import decided
from training.engine.drafting import Case as Given
from training.engine.preview import AFTER, BEFORE, Question, measure
from training.engine.propose import Candidate, propose
from training.engine.signals import OVER_REFUSAL
from training.engine.stats import wilson
from training.findings import LEAST_SIGNAL

PREVIEWED = 24  # requests of a preview at most, of each label half; those that were drafted on are not among them


@dataclass(frozen=True, slots=True)
class Step:
    """One decision: what it was about, what became of it, and how many held-out harmless requests are declined now."""

    about: str
    kind: str
    cases: int
    is_accepted: bool
    declined: int


@dataclass(frozen=True)
class Draft:
    """A clause as it would be, the requests that its producer saw, and those of the cluster that it did not see."""

    clause: ClauseText
    after: ClauseText
    kind: str
    seen: frozenset[str]
    kept: frozenset[str]


class Desk:
    """A constitution that decisions change, and what is measured of it."""

    def __init__(self, surveyor: Surveyor, law: Sequence[ClauseText], principles: Sequence[str], seed: int) -> None:
        self.surveyor, self.seed, self.principles = surveyor, seed, principles
        self.law = {clause.principle: clause for clause in law}
        known = [one for one in twins() if one.settled_by in principles]
        self.open = [one for one in known if not one.held_out]
        self.held_out = [one for one in known if one.held_out and one.label == "benign"]

    def declined(self) -> int:
        """How many held-out harmless requests are declined under the constitution as it is, by the judge."""
        return sum(is_declined(one) for one in self.read(self.held_out))

    def read(self, requests: Sequence[Request]) -> list[Found]:
        return self.surveyor.read(list(self.law.values()), requests)

    def cases(self) -> list[Case]:
        """The harmless open requests that are declined, in the order in which they arrived: that of the file."""
        found = self.read([one for one in self.open if one.label == "benign"])
        return [Case(one, OVER_REFUSAL, one.read[OVER_REFUSAL]) for one in found if is_declined(one)]

    def draft(self, principle: str, cases: Sequence[Case]) -> Draft | None:
        """The best draft for these cases under the clause as it is, if it does more good than harm to what it was
        measured on, as one that is filed must; None where nothing usable was written. What is kept back is for the
        preview."""
        clause = self.law[principle]
        seen, kept = keep_back(cases)
        for found in propose(self.surveyor.lm, shown(clause), self._given(seen), seed=self.seed)[:1]:
            if found.is_worth_filing:
                return _draft(clause, found, seen, kept)
        return None

    def example(self, principle: str, case: Case) -> Draft | None:
        """The case as a decided example of its clause; None where the model writes no answers that can stand in one."""
        clause = self.law[principle]
        for examples in decided(self.surveyor.lm, shown(clause), self._given([case]), seed=self.seed):
            return _draft(clause, Candidate(clause.text, "", "example", examples=examples), [case])
        return None

    def _given(self, cases: Sequence[Case]) -> list[Given]:
        harmful = {one.pair: one.prompt for one in self.open if one.label == "harmful"}
        return [Given(one.prompt, "benign", harmful.get(one.found.request.pair, "")) for one in cases]

    def does_no_harm(self, draft: Draft) -> bool:
        """Whether a preview shows none, on the open requests of the clause that were not drafted on, those kept back
        first. To want good of so few would turn nearly every draft away, and decisions one by one are asked for none.
        """
        known = {*draft.seen, *(example.request for example in draft.after.examples)}
        rest = [one for one in self.open if one.settled_by == draft.clause.principle and one.prompt not in known]
        rest.sort(key=lambda one: one.prompt not in draft.kept)
        asked = [one for label in ("benign", "harmful") for one in _of(rest, label)[: PREVIEWED // 2]]
        clauses = shown(draft.clause), shown(draft.after)
        questions = [Question(one.prompt, one.prompt, *clauses) for one in asked]
        batches = measure(self.surveyor.lm, self.surveyor.judge, questions, seed=self.seed)
        heard = {key: arms for batch in batches for key, arms in batch}
        changes = {"benign": 0, "harmful": 0}
        for one in asked:
            after, before = (heard[one.prompt][arm].declined for arm in (AFTER, BEFORE))
            if after is not None and before is not None:
                changes[one.label] += after - before
        return changes["benign"] <= 0 <= changes["harmful"]

    def decide(self, draft: Draft, cases: int, *, is_accepted: bool) -> Step:
        if is_accepted:
            self.law[draft.clause.principle] = draft.after
        return Step(draft.clause.principle, draft.kind, cases, is_accepted, self.declined())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--principles", type=int, default=25, help="the first so many that requests are read under")
    options.add_argument("--most", type=int, default=60, help="decisions of each way of working")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    surveyor = Surveyor.default(chosen.var / "models", VAR / "bench")
    names = [clause.principle for clause in read_clauses(our_law()) if Tier(clause.tier) != Tier.UNIVERSAL]
    names = [name for name in names if any(one.settled_by == name for one in twins())][: chosen.principles]
    result = run(surveyor, our_law(), names, most=chosen.most, seed=chosen.seed)
    print(json.dumps(result))


def run(
    surveyor: Surveyor, law: Sequence[ClauseText], principles: Sequence[str], *, most: int, seed: int
) -> dict[str, Any]:
    """Both ways of working from the same beginning."""
    ways: dict[str, Callable[[Desk], Iterator[Step]]] = {"clusters": by_cluster, "one by one": one_by_one}
    found: dict[str, list[Step]] = {}
    begun, n = 0, 0
    for name, way in ways.items():
        desk = Desk(surveyor, law, principles, seed)
        begun, n = desk.declined(), len(desk.held_out)
        print(f"\n{name}: {begun} of {n} held-out harmless requests are declined, {len(desk.cases())} open cases")
        found[name] = list(taken(way(desk), most, target=begun // 2))
    return summary(found, begun, n)


def taken(steps: Iterator[Step], most: int, *, target: int) -> Iterator[Step]:
    """Decisions until the target is met, or so many were taken."""
    for number, step in enumerate(steps, 1):
        verdict = "accepted" if step.is_accepted else "rejected"
        print(
            f"  {number:>3} {step.about:<8}{step.kind:<10}{step.cases:>3} cases  {verdict}  {step.declined} declined",
            flush=True,
        )
        yield step
        if step.declined <= target or number == most:
            return


def by_cluster(desk: Desk) -> Iterator[Step]:
    """The most pressing cluster first; once through all of them, those that are left, until nothing new is drafted."""
    decided: set[str] = set()
    is_new = True
    while is_new:
        is_new = False
        for cluster in clusters(desk):
            draft = desk.draft(cluster.principle, cluster.cases)
            if draft and draft.after.digest not in decided:  # the same is not filed twice
                is_new = True
                decided.add(draft.after.digest)
                yield desk.decide(draft, len(cluster.cases), is_accepted=desk.does_no_harm(draft))


def one_by_one(desk: Desk) -> Iterator[Step]:
    """The same cases as they arrived."""
    for case in desk.cases():
        if draft := desk.example(case.principle, case):
            yield desk.decide(draft, 1, is_accepted=True)


def clusters(desk: Desk) -> list[Ranked]:
    law, cases = list(desk.law.values()), desk.cases()
    return ranking.queue(cases, {clause.principle: clause.tier for clause in law})


def _draft(clause: ClauseText, found: Candidate, cases: Sequence[Case], kept: Sequence[Case] = ()) -> Draft:
    added = (Example.model_validate(asdict(example)) for example in reversed(found.examples))
    after = clause.model_copy(update={"text": found.text, "examples": (*added, *clause.examples)})
    seen_and_kept = (frozenset(one.prompt for one in part) for part in (cases, kept))
    return Draft(clause, after, found.kind, *seen_and_kept)


def is_declined(one: Found) -> bool:
    return one.read.get(OVER_REFUSAL, 0.0) >= LEAST_SIGNAL


def summary(found: dict[str, list[Step]], begun: int, n: int) -> dict[str, Any]:
    """The figures as plain values. `fewer` is None unless both ways met the target; `level` is what both came down to,
    None where one never came down, and `fewer_to_level` what clusters save on the way to it."""
    target = begun // 2
    told = {name: _of_way(steps, begun, n, target) for name, steps in found.items()}
    level = max(min((step.declined for step in steps), default=begun) for steps in found.values())
    to_level = [_needed(steps, level) for steps in found.values()] if level < begun else [None, None]
    for name, row in told.items():
        low, high = row["declined_interval"]
        reached = f"half after {row['decisions_to_half']}" if row["decisions_to_half"] else "half was not reached"
        print(
            f"{name:<12}{row['decisions']:>4} decisions, {row['accepted']} accepted: "
            f"{begun} -> {row['declined']} of {n} declined ({low:.2f} to {high:.2f}); {reached}"
        )
    if level < begun:
        print(f"{level} declined, which both came down to, after: {', '.join(map(str, to_level))} decisions")
    return {
        "bench": "effort",
        "declined_at_first": begun,
        "n": n,
        "target": target,
        "fewer": _saved([row["decisions_to_half"] for row in told.values()]),
        "level": level if level < begun else None,
        "fewer_to_level": _saved(to_level),
        "ways": told,
    }


def _needed(steps: Sequence[Step], declined: int) -> int | None:
    """Decisions until so few are declined."""
    return next((number for number, step in enumerate(steps, 1) if step.declined <= declined), None)


def _saved(needed: Sequence[int | None]) -> float | None:
    by_clusters, one_by_one = needed
    return None if by_clusters is None or not one_by_one else round(1 - by_clusters / one_by_one, 2)


def _of_way(steps: Sequence[Step], begun: int, n: int, target: int) -> dict[str, Any]:
    declined = steps[-1].declined if steps else begun
    return {
        "decisions": len(steps),
        "accepted": sum(step.is_accepted for step in steps),
        "declined": declined,
        "declined_interval": [round(bound, 3) for bound in wilson(declined, n)],
        "decisions_to_half": _needed(steps, target),
        "steps": [asdict(step) for step in steps],
    }


def _of(requests: Sequence[Request], label: str) -> list[Request]:
    return [one for one in requests if one.label == label]


if __name__ == "__main__":
    main()
