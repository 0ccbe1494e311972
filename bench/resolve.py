"""Effective constitutions a second: 500 clauses, 1,000 profiles, random contexts, one process, nothing cached."""

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterator

from bench import served
from constitution.profile_texts import Narrowing, ProfileText
from constitution.resolution import Law, compile_law
from constitution.texts import DIMENSIONS, ClauseText, Dimension, Scope, Tier
from constitution.vocabulary import Context, vocabulary

TIERS: tuple[Tier, ...] = (1, 2, 2, 2, 2, 3, 3)

# Saving one checks and proves it, which is not what is measured here.
API_PROFILES = 20


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--clauses", type=int, default=500)
    options.add_argument("--profiles", type=int, default=1000)
    options.add_argument("--contexts", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=20)
    chosen = options.parse_args()
    dice = random.Random(chosen.seed)  # noqa: S311  # a measurement, nothing secret
    began = time.perf_counter()
    vocabulary().all_lines  # noqa: B018  # read and linked once for the life of the process
    print(f"{'vocabulary read':<28}{1e3 * (time.perf_counter() - began):>10.1f} ms")
    base = [make_clause(dice, f"c_{number}") for number in range(chosen.clauses)]
    profiles = [make_profile(dice, number, base) for number in range(chosen.profiles)]
    # First, and with little in memory: whoever asks shares the time in which this process collects its garbage.
    asked = served.measure(base, profiles[:API_PROFILES], distinct_contexts(dice, chosen.contexts))
    print(f"{'a call that does nothing':<28}{asked.ping_ms:>10.2f} ms {asked.ping_per_s:,.0f} a second")
    print(f"{'an effective constitution':<28}{asked.effective_ms:>10.2f} ms {asked.effective_per_s:,.0f} a second")
    print(f"{'its size':<28}{asked.kilobytes:>10.0f} kB")
    began = time.perf_counter()
    laws = [compile_law(base, profile) for profile in profiles]
    print(f"{'law compiled, each':<28}{1e3 * (time.perf_counter() - began) / len(laws):>10.2f} ms")
    contexts = list(distinct_contexts(dice, chosen.contexts))
    print(json.dumps(report(laws, contexts, chosen.clauses, chosen.seed) | asked.figures()))


def report(laws: list[Law], contexts: list[Context], clauses: int, seed: int) -> dict[str, object]:
    taken, held = measure(laws, contexts)
    per_s = len(taken) / (sum(taken) / 1e9)
    p50, p99 = (statistics.quantiles(taken, n=100)[place] / 1e3 for place in (49, 98))
    print(f"{'clauses, laws, contexts':<28}{clauses:>10,} {len(laws):,} {len(contexts):,}")
    print(f"{'clauses in force, mean':<28}{held / len(contexts):>10.1f}")
    print(f"{'resolved a second':<28}{per_s:>10,.0f}")
    print(f"{'median, p99':<28}{p50:>10.1f} {p99:.1f} us")
    line = {"bench": "resolve", "per_s": round(per_s), "p50_us": round(p50, 1), "p99_us": round(p99, 1)}
    return line | {"contexts": len(contexts), "seed": seed}


def measure(laws: list[Law], contexts: list[Context]) -> tuple[list[int], int]:
    """Nanoseconds for each context, each asked once of one law, and how many clauses were in force in all."""
    taken, held = [], 0
    for number, context in enumerate(contexts):
        law = laws[number % len(laws)]
        began = time.perf_counter_ns()
        found = law.resolve(context).clauses
        taken.append(time.perf_counter_ns() - began)
        held += len(found)
    return taken, held


def values_of(dimension: Dimension) -> list[str]:
    """What a random clause or context names: no subdivisions, which would be nearly all of the regions."""
    return [value for value in vocabulary().nodes[dimension] if dimension != "region" or "-" not in value[:3]]


def make_scope(dice: random.Random, most: int = 2) -> Scope:
    dimensions = dice.sample(DIMENSIONS, dice.randint(1, most))
    return {name: tuple(dice.sample(values_of(name), dice.randint(1, 3))) for name in dimensions}


def make_clause(dice: random.Random, name: str) -> ClauseText:
    tier = dice.choice(TIERS)
    scope = make_scope(dice) if tier > 1 and dice.random() < 0.8 else {}
    precedes = (f"c_{int(name[2:]) + 1}",) if name[0] == "c" and dice.random() < 0.1 else ()
    return ClauseText(
        principle=name,
        tier=tier,
        title=name,
        text=f"The text of {name}.",
        scope=scope,
        precedes=precedes,
        may_narrow=tier > 1 and dice.random() < 0.3,
    )


def make_profile(dice: random.Random, number: int, base: list[ClauseText]) -> ProfileText:
    own = [make_clause(dice, f"p_{place}") for place in range(5)]
    clauses = tuple(clause for clause in own if clause.tier > 1)
    narrowed = dice.sample([clause.principle for clause in base if clause.may_narrow], 3)
    narrowings = tuple(Narrowing(principle=each, scope=make_scope(dice, 1), reason="So.") for each in narrowed)
    return ProfileText(slug=f"profile-{number}", name=f"Profile {number}", clauses=clauses, narrowings=narrowings)


def distinct_contexts(dice: random.Random, number: int) -> Iterator[Context]:
    """Contexts of which no two are the same, over all regions, one or two values for each dimension they name."""
    seen: set[tuple[tuple[Dimension, tuple[str, ...]], ...]] = set()
    values = {name: list(vocabulary().nodes[name]) for name in DIMENSIONS}
    while len(seen) < number:
        named = [name for name in DIMENSIONS if dice.random() < 0.8]
        context = {name: tuple(sorted(dice.sample(values[name], dice.randint(1, 2)))) for name in named}
        key = tuple(context.items())
        if key not in seen:
            seen.add(key)
            yield context


if __name__ == "__main__":
    main()
