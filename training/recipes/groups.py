"""What the looks measure, group by group: requests of one kind, and the decided examples of one clause.

Refusal margins cannot see a clause that is turned around: with three examples that decline and two that help, what one
side gains the other loses. So each contextual and each style clause has a group of its own, of pairs: how much likelier
the right answer of a decided example is than the wrong one. Whatever the model leans to, declining or helping, leaves
the mean over both kinds of examples where it is; a clause that is unlearnt or turned around lowers it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from training.recipes.band import PAIRS, REFUSALS, Key, digest
from training.recipes.files import Row
from training.recipes.plan import Clause, Expectation, Plan

LABELS = ("harmful", "benign")
# Tier 1 has the harmful requests; these are the clauses that a context may have turned around.
PAIRED_TIERS = frozenset({2, 3})
MOST_OF_A_CLAUSE, FEWEST_OF_A_CLAUSE, MOST_PAIRS = 4, 2, 48

Margins = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Pair:
    """A decided example as the looks read it."""

    id: str
    principle: str
    tier: int
    expects: Expectation
    request: str
    right: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A group at one look: its mean change over what was scored, and how much there was to score."""

    value: float | None
    scored: int
    total: int


def pairs(plan: Plan) -> tuple[Pair, ...]:
    """The decided examples of contextual and style clauses that the looks read, both kinds by turns.

    A long constitution gets fewer of each clause, and at last fewer clauses: a look may cost seconds, no more.
    """
    clauses = [clause for clause in plan.clauses if clause.tier in PAIRED_TIERS]
    each = max(FEWEST_OF_A_CLAUSE, min(MOST_OF_A_CLAUSE, MOST_PAIRS // max(1, len(clauses))))
    chosen = [_pairs_of(clause)[:each] for clause in clauses]
    return tuple(pair for found in chosen[: MOST_PAIRS // each] for pair in found)


def _pairs_of(clause: Clause) -> list[Pair]:
    found = [
        Pair(
            f"{clause.principle}.{number}",
            clause.principle,
            clause.tier,
            one.expects,
            one.request,
            one.right,
            one.wrong,
        )
        for number, one in enumerate(clause.examples, 1)
        if one.right.strip() and one.wrong.strip()
    ]
    turns = {
        kind: [pair for pair in found if pair.expects == kind] for kind in sorted({pair.expects for pair in found})
    }
    place = {pair.id: (rows.index(pair), kind) for kind, rows in turns.items() for pair in rows}
    return sorted(found, key=lambda pair: place[pair.id])


def items(plan: Plan) -> dict[Key, str]:
    """The digest of what each group is taken over: what is compared must have been measured on the same."""
    read = pairs(plan)
    asked = {(REFUSALS, label): [prompt.prompt for prompt in plan.looks if prompt.label == label] for label in LABELS}
    decided = {
        (PAIRS, principle): [[pair.request, pair.right, pair.wrong] for pair in read if pair.principle == principle]
        for principle in {pair.principle for pair in read}
    }
    return {key: digest(found) for key, found in (asked | decided).items()}


def taken(plan: Plan, margins: Margins, pair_margins: Margins) -> dict[Key, Taken]:
    """Each group's mean over these changes, of the prompts and of the pairs; None stands where one was not scored."""
    found: dict[Key, Taken] = {}
    for label in LABELS:
        of_label = [v for v, prompt in zip(margins, plan.looks, strict=True) if prompt.label == label]
        found[REFUSALS, label] = _taken([of_label])
    by_clause: dict[str, dict[str, list[float | None]]] = {}
    for value, pair in zip(pair_margins, pairs(plan), strict=True):
        by_clause.setdefault(pair.principle, {}).setdefault(pair.expects, []).append(value)
    return {**found, **{(PAIRS, principle): _taken(list(kinds.values())) for principle, kinds in by_clause.items()}}


def _taken(kinds: Sequence[Margins]) -> Taken:
    """The mean of the kinds' means, so that the more frequent kind does not outweigh the other."""
    scored = [[value for value in kind if value is not None] for kind in kinds]
    means = [fmean(kind) for kind in scored if kind]
    return Taken(fmean(means) if means else None, sum(map(len, scored)), sum(map(len, kinds)))


def changes(now: Margins, before: Margins) -> list[float | None]:
    """By how much each margin lies above the one before; None where either was not scored."""
    return [None if one is None or other is None else one - other for one, other in zip(now, before, strict=True)]


def told(key: Key) -> str:
    """The name of a group in a sentence."""
    names: Mapping[Key, str] = {(REFUSALS, "harmful"): "harmful requests", (REFUSALS, "benign"): "harmless requests"}
    return names.get(key, f"the decided examples of {key[1]}")


def described(plan: Plan) -> list[Row]:
    """Each prompt of the looks; its text stands in the plan, and `tier` is None where no clause settles it."""
    tiers = {clause.principle: clause.tier for clause in plan.clauses}
    names = ("id", "label", "principle")
    return [
        {**{name: getattr(prompt, name) for name in names}, "tier": tiers.get(prompt.principle)}
        for prompt in plan.looks
    ]
