"""Decided examples that contradict each other: one request, to be declined under one clause and helped with under
another where both hold. Pure.

Only requests of the same words count. One that is merely alike may be a contrast twin, decided otherwise on purpose.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from amendments.likeness import normalise
from constitution.resolution import in_force
from constitution.texts import ClauseText, Example

Decided = tuple[ClauseText, Example]


@dataclass(frozen=True, slots=True)
class Opposed:
    """A request, the principle under which it is to be declined, and the one under which it is to be helped with, with
    the `answer` that is right there."""

    request: str
    declined_by: str
    helped_by: str
    answer: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What is decided both ways, and where."""
        return normalise(self.request), self.declined_by, self.helped_by

    @property
    def sentence(self) -> str:
        return f"{self.declined_by} has decided that it is declined, {self.helped_by} that it is helped with."


def opposed(law: Sequence[ClauseText]) -> list[Opposed]:
    """Every such request, once for each pair of clauses. Where one of the two prevails over the other, or they never
    hold in the same place, nothing is contradicted."""
    decided: dict[str, dict[str, list[Decided]]] = defaultdict(lambda: defaultdict(list))
    for clause in law:
        for example in clause.examples:
            decided[normalise(example.request)][example.expects].append((clause, example))
    return [found for ways in decided.values() for found in _both_ways(ways["decline"], ways["help"])]


def opposed_anew(law: Sequence[ClauseText], than: Sequence[ClauseText]) -> list[Opposed]:
    """What `law` decides both ways and `than` does not; another wording of the answer is nothing new."""
    known = {one.key for one in opposed(than)}
    return [one for one in opposed(law) if one.key not in known]


def can_clash(one: ClauseText, other: ClauseText) -> bool:
    """Whether the two can lead to different answers: they can hold together, and neither prevails over the other."""
    return not _is_settled(one, other) and _can_hold_together(one, other)


def _both_ways(declined: Sequence[Decided], helped: Sequence[Decided]) -> Iterator[Opposed]:
    for (one, example), (other, answered) in product(declined, helped):
        if can_clash(one, other):
            yield Opposed(example.request, one.principle, other.principle, answered.right)


def _is_settled(one: ClauseText, other: ClauseText) -> bool:
    return other.principle in one.precedes or one.principle in other.precedes


def _can_hold_together(one: ClauseText, other: ClauseText) -> bool:
    """Whether both hold where either does, in whatever else the other one asks for."""
    contexts = ({**one.scope, **other.scope}, {**other.scope, **one.scope})
    return one == other or any(len(in_force([one, other], context)) == 2 for context in contexts)
