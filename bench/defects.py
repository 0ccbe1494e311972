"""Defects planted in a constitution: does surfacing bring each of them into the first places of the queue?

A fixed set of requests is read under the sound constitution and under each defective one, as the worker does, and the
queue of the second is made as that of a version that follows the first. A defect is found where one of the first
clusters is its own: of its clause, or more than half of requests that the clause settles. Clauses that are worded
otherwise and mean the same stand beside: how often these rise is what a find is worth. What was read is kept, so a run
that was killed goes on.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.survey import ranking
from bench.survey.material import ROOT, Material, imported_law, material, our_law, read_clauses
from bench.survey.ranking import Cards, Ranked
from bench.survey.reading import Found, Surveyor
from config.env import VAR
from constitution.texts import ClauseText
from training.engine.signals import SIGNALS
from training.engine.stats import wilson
from training.mutants import MAKERS, Mutant, mutants, rewordings

SHOWN = 2_000  # characters of a clause that a prompt shows: what is changed after them, no reading can see
BUDGETS = (3, 5, 10)  # told beside the one that was asked for


@dataclass(frozen=True)
class Outcome:
    """What became of one defect. Places count from 1; None: nowhere. `sound` is the place of the same clause's first
    cluster with nothing planted, `longest` the place with the longest request first, `alone` the place of the first of
    its requests by each signal alone, among `requests` of which `own` are its own."""

    constitution: str
    kind: str
    principle: str
    before: str
    after: str
    place: int | None
    through: str
    sound: int | None
    longest: int | None
    clusters: int
    of_defect: int
    alone: dict[str, int | None]
    requests: int
    own: int
    reread: int
    seconds: float

    def is_found(self, budget: int) -> bool:
        return self.place is not None and self.place <= budget

    def is_news(self, budget: int) -> bool:
        """Found, and not where the clause stood already with nothing planted."""
        return self.is_found(budget) and not (self.sound is not None and self.sound <= budget)


@dataclass(frozen=True)
class Sound:
    """A constitution with nothing planted, what it gave, and what is planted in it."""

    name: str
    law: tuple[ClauseText, ...]
    chosen: Material
    cards: Cards
    found: tuple[Found, ...]
    queue: tuple[Ranked, ...]
    planted: tuple[Mutant, ...]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--defects", type=int, default=40, help="in all")
    options.add_argument("--rewordings", type=int, default=12, help="harmless, in each constitution")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--constitution", choices=["seed", "model_spec", "both"], default="both")
    options.add_argument("--budget", type=int, default=20, help="clusters that a reviewer looks at")
    options.add_argument("--each", type=int, default=1, help="pairs and decided requests of each clause that are read")
    options.add_argument("--checked", type=int, default=24, help="settled and hard requests, for the signals' checks")
    chosen = options.parse_args()
    laws = constitutions(chosen.constitution)
    surveyor = Surveyor.default(chosen.var / "models", VAR / "bench")
    outcomes: list[Outcome] = []
    harmless: list[Outcome] = []
    dropped: dict[str, dict[str, str]] = {}
    shares = _shares(chosen.defects, len(laws))
    for (name, law), most in zip(laws.items(), shares, strict=True):
        sound = prepare(surveyor, name, law, most=most, each=chosen.each, checked=chosen.checked, seed=chosen.seed)
        dropped[name] = sound.cards.dropped
        told_of(sound)
        for mutant in sound.planted:
            outcomes.append(plant(surveyor, sound, mutant))
            print(line(outcomes[-1]), flush=True)
        for mutant in rewordings(read_clauses(law), seed=chosen.seed)[: chosen.rewordings]:
            harmless.append(plant(surveyor, sound, mutant))
            print(line(harmless[-1]), flush=True)
    report(outcomes, harmless, chosen.budget)
    print(json.dumps(summary(outcomes, harmless, dropped, chosen.budget, chosen.seed)))


def constitutions(which: str) -> dict[str, list[ClauseText]]:
    """Those asked for, by name; one whose folder is absent is passed over with a word."""
    found = {} if which == "model_spec" else {"seed": our_law()}
    if which != "seed":
        law = imported_law()
        if law is None:
            print("skipped model_spec: there is no folder ../shared/data/model_spec with versions in it")
        else:
            found["model_spec"] = law
    return found


def _shares(most: int, laws: int) -> list[int]:
    return [most // laws + (place < most % laws) for place in range(laws)]


def prepare(
    surveyor: Surveyor, name: str, law: Sequence[ClauseText], *, most: int, each: int, checked: int, seed: int
) -> Sound:
    """Read everything once with nothing planted."""
    chosen = material(law, each=each, checked=checked, seed=seed)
    found = surveyor.survey(law, [*chosen.sample, *chosen.settled, *chosen.hard])
    sample, rest = found[: len(chosen.sample)], found[len(chosen.sample) :]
    cards = ranking.cards(rest[: len(chosen.settled)], rest[len(chosen.settled) :])
    shown = [*ranking.cases(sample, cards), *ranking.contradictions(law)]
    queue = ranking.queue(shown, _tiers(law))
    planted = mutants(read_clauses(law), seed=seed, within=SHOWN)[:most]
    return Sound(name, tuple(law), chosen, cards, tuple(sample), tuple(queue), tuple(planted))


def plant(surveyor: Surveyor, sound: Sound, mutant: Mutant) -> Outcome:
    """Read under the defective constitution, and look where the defect stands."""
    began = time.perf_counter()
    law = mutant.plant(sound.law)
    found = surveyor.survey(law, sound.chosen.sample)
    before = [case for cluster in sound.queue for case in cluster.cases]
    shown = [*ranking.cases(found, sound.cards), *ranking.contradictions(law)]
    queue = ranking.queue(shown, _tiers(law), before)
    is_own = of_defect(mutant)
    place = ranking.place(queue, is_own)
    by_length = sorted(queue, key=lambda one: (-one.longest, one.cases[0].prompt))
    own = [one for one in found if concerns(mutant, one)]
    return Outcome(
        constitution=sound.name,
        kind=mutant.kind,
        principle=mutant.principle,
        before=mutant.before[:200],
        after=mutant.after[:200],
        place=place,
        through=queue[place - 1].signal if place else "",
        sound=ranking.place(sound.queue, is_own),
        longest=ranking.place(by_length, is_own),
        clusters=len(queue),
        of_defect=sum(map(is_own, queue)),
        alone={
            signal: ranking.place(ranking.by_signal(found, signal, sound.cards), lambda one: one in own)
            for signal in SIGNALS
        },
        requests=len(found),
        own=len(own),
        reread=sum(one.principles != old.principles or bool(set(one.principles) & mutant.principles)
                   for one, old in zip(found, sound.found, strict=True)),
        seconds=round(time.perf_counter() - began, 1),
    )  # fmt: skip


def concerns(mutant: Mutant, one: Found) -> bool:
    """Whether a request is the defect's: read first under its clause, or settled by it."""
    return one.request.settled_by == mutant.principle or bool({*one.principles[:1]} & mutant.principles)


def of_defect(mutant: Mutant) -> Callable[[Ranked], bool]:
    def is_own(cluster: Ranked) -> bool:
        settled = sum(case.found.request.settled_by == mutant.principle for case in cluster.cases)
        return cluster.principle in mutant.principles or 2 * settled > len(cluster.cases)

    return is_own


def _tiers(law: Sequence[ClauseText]) -> dict[str, int]:
    return {clause.principle: clause.tier for clause in law}


def told_of(sound: Sound) -> None:
    """What was read with nothing planted, and what became of the signals."""
    print(f"\n{sound.name}: {len(sound.found)} requests, {len(sound.queue)} clusters with nothing planted")
    for signal, card in sound.cards.checks.items():
        auc = "    -" if card.auc is None else f"{card.auc:5.2f} ({card.low:.2f} to {card.high:.2f})"
        print(f"  {signal:<14}{auc}  {card.settled} settled, {card.hard} hard  {card.reason or 'kept'}")
    print(f"  {'kind':<15}{'principle':<34}{'place':>6}{'sound':>6}{'longest':>8}{'of':>4}  through", flush=True)


def line(one: Outcome) -> str:
    places = "".join(f"{place or '-':>{width}}" for place, width in ((one.place, 6), (one.sound, 6), (one.longest, 8)))
    return f"  {one.kind:<15}{one.principle:<34}{places}{one.clusters:>4}  {one.through}  {one.seconds:.0f} s"


def report(outcomes: Sequence[Outcome], harmless: Sequence[Outcome], budget: int) -> None:
    """Recall at several budgets, by kind at the one asked for, beside what chance and length give; and the same of
    harmless rewordings, where what is found is a false alarm."""
    print(f"\n{'clusters looked at':<22}{'found':>22}{'news':>22}{'nothing planted':>22}{'random':>8}{'longest':>22}")
    for size in sorted({*BUDGETS, budget}):
        print(f"{size:<22}{_row(outcomes, size)}")
    print(f"\nAt {budget}, by kind:")
    for kind in MAKERS:
        print(f"{kind:<22}{_row([one for one in outcomes if one.kind == kind], budget)}")
    print("\nHarmless rewordings:")
    for size in sorted({*BUDGETS, budget}):
        print(f"{size:<22}{_row(harmless, size)}")
    print(
        "\nNot found: " + (", ".join(f"{o.kind} {o.principle}" for o in outcomes if not o.is_found(budget)) or "none")
    )


def _row(outcomes: Sequence[Outcome], budget: int) -> str:
    n = len(outcomes)
    found, news, sound, longest = counts(outcomes, budget)
    chance = f"{chance_of(outcomes, budget):>8.0%}"
    return "".join(f"{words(k, n):>22}" for k in (found, news, sound)) + chance + f"{words(longest, n):>22}"


def words(k: int, n: int) -> str:
    low, high = wilson(k, n)
    return f"{k}/{n} ({low:.2f} to {high:.2f})"


def counts(outcomes: Sequence[Outcome], budget: int) -> tuple[int, int, int, int]:
    """Found, found as news, in the first places with nothing planted, and by the longest request."""
    return (
        sum(one.is_found(budget) for one in outcomes),
        sum(one.is_news(budget) for one in outcomes),
        sum(one.sound is not None and one.sound <= budget for one in outcomes),
        sum(one.longest is not None and one.longest <= budget for one in outcomes),
    )


def chance_of(outcomes: Sequence[Outcome], budget: int) -> float:
    """How many a random order of the same queues finds, on average."""
    each = [ranking.by_chance(one.clusters, one.of_defect, budget) for one in outcomes]
    return sum(each) / len(each) if each else 0.0


def share(k: int, n: int) -> dict[str, Any]:
    low, high = wilson(k, n)
    return {"k": k, "n": n, "low": round(low, 3), "high": round(high, 3)}


def summary(
    outcomes: Sequence[Outcome],
    harmless: Sequence[Outcome],
    dropped: dict[str, dict[str, str]],
    budget: int,
    seed: int,
) -> dict[str, Any]:
    """The figures as plain values."""
    n = len(outcomes)
    found, news, sound, longest = counts(outcomes, budget)
    of_kind = {kind: [one for one in outcomes if one.kind == kind] for kind in MAKERS}
    return {
        "bench": "defects",
        "recall": {
            **{kind: share(counts(rows, budget)[0], len(rows)) for kind, rows in of_kind.items()},
            "all": share(found, n),
            "news": share(news, n),
            **{f"at_{size}": share(counts(outcomes, size)[0], n) for size in BUDGETS},
        },
        "harmless": {f"at_{size}": _false_alarms(harmless, size) for size in sorted({*BUDGETS, budget})},
        "by_signal": {signal: _of_signal(outcomes, signal, budget) for signal in SIGNALS},
        "baselines": {
            "nothing planted": share(sound, n),
            "random queue": round(chance_of(outcomes, budget), 3),
            "longest text first": share(longest, n),
            **{f"random queue at {size}": round(chance_of(outcomes, size), 3) for size in BUDGETS},
        },
        "by_constitution": {
            name: share(counts(rows, budget)[0], len(rows))
            for name in Counter(one.constitution for one in outcomes)
            for rows in [[one for one in outcomes if one.constitution == name]]
        },
        "dropped": dropped,
        "n": n,
        "budget": budget,
        "seed": seed,
        "seconds": round(sum(one.seconds for one in outcomes)),
        "defects": [asdict(one) for one in outcomes],
        "rewordings": [asdict(one) for one in harmless],
    }


def _false_alarms(harmless: Sequence[Outcome], budget: int) -> dict[str, Any]:
    found, news, _, _ = counts(harmless, budget)
    return {"found": share(found, len(harmless)), "news": share(news, len(harmless))}


def _of_signal(outcomes: Sequence[Outcome], signal: str, budget: int) -> dict[str, Any]:
    """How many were found through it in the queue; and, with requests in the order of it alone, in how many one of
    the first is the defect's, beside what a random order of requests gives."""
    n = len(outcomes)
    through = sum(one.is_found(budget) and one.through == signal for one in outcomes)
    places = [one.alone[signal] for one in outcomes]
    chances = [ranking.by_chance(one.requests, one.own, budget) for one in outcomes]
    return {
        "in_queue": share(through, n),
        "alone": share(sum(place is not None and place <= budget for place in places), n),
        "alone_random": round(sum(chances) / n, 3) if n else 0.0,
    }


if __name__ == "__main__":
    main()
