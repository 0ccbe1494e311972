"""What scenarios are asked about: single principles, the edges of their scopes, and pairs that can pull apart. Pure."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, product

from amendments.generation.cores import Core, pair_cores, single_cores
from amendments.generation.frames import Frames
from constitution.resolution import Law, compile_law
from constitution.texts import ClauseText, Dimension
from constitution.vocabulary import vocabulary

# With several hundred clauses there are more pairs than anybody asks about.
MOST_PAIRS = 2000
MOST_TRIED = 9
OTHER_VALUES = 3

Where = Mapping[Dimension, str]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to ask about: its kind ("single", "in scope", "out of scope", "pair: exclusive" ...) and principles."""

    kind: str
    principles: tuple[str, ...]
    cores: tuple[Core, ...]
    # Where the context is what is asked about, no clothing may change it.
    is_placed: bool = False

    @property
    def name(self) -> str:
        return f"{' and '.join(self.principles)} ({self.kind})"


@dataclass(frozen=True)
class Asked:
    """A version as targets are made of it. `only` names the principle that all of them must be about."""

    clauses: Sequence[ClauseText]
    frames: Frames
    seed: int
    only: str = ""
    law: Law = field(init=False)
    places: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "law", compile_law(self.clauses))
        object.__setattr__(self, "places", {text.principle: place for place, text in enumerate(self.clauses)})

    def holds(self, where: Where, *clauses: ClauseText) -> bool:
        """Whether all these clauses are in force there."""
        found = self.law.resolve({dimension: (value,) for dimension, value in where.items()})
        return all(found.is_held(self.places[clause.principle]) for clause in clauses)


def targets(asked: Asked, *, held_out: bool) -> dict[str, list[Target]]:
    """All targets of one side that have something to ask, by group: single, scope, pair."""
    mine = [clause for clause in asked.clauses if asked.only in ("", clause.principle)]
    cores = partial(single_cores, frames=asked.frames, held_out=held_out)
    found = {
        "single": [Target("single", (clause.principle,), tuple(cores(clause))) for clause in mine],
        "scope": [target for clause in mine if clause.scope for target in _placed(asked, clause, cores(clause))],
        "pair": list(_pairs(asked, held_out=held_out)),
    }
    return {group: [target for target in some if target.cores] for group, some in found.items()}


def _placed(asked: Asked, clause: ClauseText, cores: Sequence[Core]) -> Iterator[Target]:
    """The edge of a scope: the same questions where the clause holds, and where it does not."""
    inside: list[Core] = []
    outside: list[Core] = []
    for where in _contexts(asked, clause):
        side = inside if asked.holds(where, clause) else outside
        side += [core.at(where, asked.frames) for core in cores]
    yield Target("in scope", (clause.principle,), tuple(inside), is_placed=True)
    yield Target("out of scope", (clause.principle,), tuple(outside), is_placed=True)


def _contexts(asked: Asked, clause: ClauseText) -> list[Where]:
    """Contexts around a scope: each of its values, values beside them, and what may imply a regulation."""
    base: dict[Dimension, str] = {dimension: values[0] for dimension, values in clause.scope.items()}
    found: list[Where] = []
    for dimension, values in clause.scope.items():
        found += [{**base, dimension: value} for value in [*values, *_beside(asked.frames, dimension, values)]]
    if "regulation" in base:
        rest = {dimension: value for dimension, value in base.items() if dimension not in ("regulation", "region")}
        found += [{**rest, "region": value} for value in _beside(asked.frames, "region", ())]
    return [dict(pairs) for pairs in dict.fromkeys(tuple(sorted(where.items())) for where in found)]


def _beside(frames: Frames, dimension: Dimension, values: Sequence[str]) -> list[str]:
    """Values of a dimension other than these: those that clothing names, else the first of the vocabulary."""
    worn = [clothing.context.get(dimension) for each in frames.dimensions.values() for clothing in each]
    named = list(dict.fromkeys(value for value in worn if value and value not in values))
    known = [value for value in vocabulary().nodes.get(dimension, {}) if value not in values]
    return named or known[:OTHER_VALUES]


def _pairs(asked: Asked, *, held_out: bool) -> Iterator[Target]:
    chance = random.Random(f"{asked.seed} pairs")  # noqa: S311 - a reproducible order
    pairs = list(combinations(asked.clauses, 2))
    chance.shuffle(pairs)
    pairs.sort(key=lambda pair: not _declared(*pair))
    given = 0
    for one, other in pairs:
        if asked.only not in ("", one.principle, other.principle):
            continue
        where = _shared(asked, one, other)
        reason = _declared(one, other) or (_undeclared(one, other) if where is not None else "")
        if not reason:
            continue
        first, second = (other, one) if one.principle in other.precedes else (one, other)
        cores = tuple(pair_cores(first, second, frames=asked.frames, held_out=held_out, context=where or {}))
        yield Target(f"pair: {reason}", (first.principle, second.principle), cores, is_placed=True)
        given += 1
        if given == MOST_PAIRS:
            return


def _declared(one: ClauseText, other: ClauseText) -> str:
    """What the clauses say of one another, the strongest first; empty where they say nothing."""
    for relation in ("exclusive_with", "precedes", "refers_to"):
        if other.principle in getattr(one, relation) or one.principle in getattr(other, relation):
            return {"exclusive_with": "exclusive", "precedes": "precedence", "refers_to": "reference"}[relation]
    return ""


def _undeclared(one: ClauseText, other: ClauseText) -> str:
    if one.tier != other.tier:
        return "two tiers"
    return "two scopes" if one.scope != other.scope else ""


def _shared(asked: Asked, one: ClauseText, other: ClauseText) -> Where | None:
    """A context of one value for each dimension in which both hold; None where none was found."""
    names = sorted({*one.scope, *other.scope})
    choices = [dict.fromkeys([*one.scope.get(name, ()), *other.scope.get(name, ())]) for name in names]
    for tried, values in enumerate(product(*choices)):
        where: dict[Dimension, str] = dict(zip(names, values, strict=True))
        if asked.holds(where, one, other):
            return where
        if tried == MOST_TRIED:
            break
    return None
