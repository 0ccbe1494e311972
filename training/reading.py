"""What to read under which clauses, and how pressing what it shows is. Pure: values in, values out."""

import math
import random
import re
from collections.abc import Iterable, Sequence

from amendments.models import EdgeCase, Label, Scenario, Signal
from constitution.texts import ClauseText

# A word says what a request is about from this length on.
SHORTEST_WORD = 4
RANDOM_SHARE = 0.1
READ_UNDER = 2
TIER_WEIGHTS = {1: 3.0, 2: 2.0, 3: 1.0}


def choose(scenarios: Iterable[Scenario], *, seed: int, most: int) -> list[Scenario]:
    """Up to `most` scenarios: a tenth drawn from all, for an unbiased view, the others harmless ones first.

    Harmless requests show over-refusal, and where a clause of tier 2 should settle them, a machine may propose. Those
    that a clause of style settles show little: nobody asks whether to help with them.
    """
    chance = random.Random(seed)  # noqa: S311 - a reproducible order
    rows = sorted(scenarios, key=lambda row: row.digest)
    chance.shuffle(rows)
    drawn = rows[: max(1, round(most * RANDOM_SHARE))]
    rest = sorted(rows[len(drawn) :], key=lambda row: (row.label != Label.BENIGN, row.settled_by[:1] in ("U", "T")))
    return [*drawn, *rest[: most - len(drawn)]]


def applicable(request: str, settled_by: str, in_force: Iterable[ClauseText]) -> list[ClauseText]:
    """The clause that should settle a request, then the one whose decided examples come nearest to it.

    Where the first is unknown, the two nearest. Clauses of style are left out: they say how to help, not whether.
    """
    ranked = sorted(
        (clause for clause in in_force if clause.tier != 3 and clause.examples),
        key=lambda clause: (clause.principle != settled_by, -_nearness(request, clause), clause.principle),
    )
    return ranked[:READ_UNDER]


def keep_back(cases: Sequence[EdgeCase]) -> tuple[list[EdgeCase], list[EdgeCase]]:
    """Those to propose on, at least one of them, and about a third that whoever proposes never sees: by them it is
    measured what the proposal does to further cases of the kind. What decides is the scenario's digest.
    """
    kept = [case for case in cases[1:] if int(case.scenario.digest[:8], 16) % 3 == 0]
    return [case for case in cases if case not in kept], kept


def nearest(request: str, settled_by: str, clauses: Iterable[ClauseText]) -> ClauseText | None:
    """Of these clauses the one that should settle a request, else the one whose decided examples come nearest to it."""
    return min(clauses, key=lambda clause: (clause.principle != settled_by, -_nearness(request, clause)), default=None)


def priority(tier: int, scores: Sequence[float]) -> float:
    """Place in the queue: tier weight x severity (mean score) x log(1 + size)."""
    return TIER_WEIGHTS[tier] * sum(scores) / len(scores) * math.log(1 + len(scores))


def priority_reason(signal: str, *, cases: int, read: int) -> str:
    """Why a proposal stands where it does, in words. `read`: how many requests of that kind were read."""
    if signal == Signal.OVER_REFUSAL:
        return f"Under this clause the model declined {cases} of {read} harmless requests that it read."
    return f"Under this clause and another the model gave opposite answers to {cases} of {read} requests."


def _nearness(request: str, clause: ClauseText) -> float:
    """The largest share of words that the request has in common with an example, from 0 to 1."""
    words = _words(request)
    pairs = [(words, _words(example.request)) for example in clause.examples]
    return max((len(one & other) / len(one | other) for one, other in pairs if one | other), default=0.0)


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"\w+", text.lower()) if len(word) >= SHORTEST_WORD)
