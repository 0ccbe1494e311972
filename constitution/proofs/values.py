"""Which values of the vocabulary can matter to a set of scopes. Pure.

Values that imply the same ones that matter are alike: one of them stands for all. A context of any values has the
facts that matter of the context of those that stand for them, so nothing is lost by looking at these alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from constitution.texts import DIMENSIONS, Dimension, Scope
from constitution.vocabulary import Vocabulary, facts

Atom = tuple[Dimension, str]


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a context can name, and what holds by it before any rule: itself and what it lies in."""

    dimension: Dimension
    value: str
    implies: frozenset[Atom]


@dataclass(frozen=True, slots=True)
class Derivation:
    """A rule, as far as it matters: where all of `when` hold, all of `adds` hold too."""

    when: frozenset[Atom]
    adds: frozenset[Atom]


@dataclass(frozen=True, slots=True)
class Values:
    """All that matters (`atoms`), what a context can name to make it hold, and the rules between."""

    atoms: frozenset[Atom]
    choices: tuple[Choice, ...]
    derivations: tuple[Derivation, ...]


class Atlas:
    """A vocabulary, laid out so that many sets of scopes can be looked up in it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._nodes = {dimension: vocabulary.nodes.get(dimension, {}) for dimension in DIMENSIONS}
        self._inner: dict[Dimension, list[tuple[str, frozenset[str]]]] = {name: [] for name in DIMENSIONS}
        # Values that nothing lies in, by what they lie in: unless one is named, all of them are alike.
        self._outer: dict[Dimension, dict[frozenset[str], list[str]]] = {name: defaultdict(list) for name in DIMENSIONS}
        parents = {(node.dimension, parent) for node in vocabulary.each() for parent in node.parents}
        for node in vocabulary.each():
            if (node.dimension, node.id) in parents:
                self._inner[node.dimension].append((node.id, frozenset(vocabulary.lines(node.dimension, node.id))))
            else:
                self._outer[node.dimension][frozenset(node.parents)].append(node.id)
        self._derivations = [Derivation(frozenset(rule.when), self._lines(rule.adds)) for rule in vocabulary.rules]
        self._derived = frozenset[Atom]().union(*(each.adds for each in self._derivations))

    def matter(self, scopes: Iterable[Scope]) -> Values:
        """The values that can change whether one of `scopes` holds, and of each dimension one they do not lead to.

        The latter is for what a profile may narrow to: where any narrowing can take a clause away, one to these
        values can. A value that the vocabulary does not know can never hold: no choice implies it.
        """
        named = {(dimension, value) for scope in scopes for dimension, values in scope.items() for value in values}
        atoms = self._with_conditions(named)
        atoms = self._with_conditions(atoms | set(self._apart(atoms)))
        return Values(
            frozenset(atoms),
            tuple(choice for dimension in DIMENSIONS for choice in self._choices(dimension, atoms)),
            tuple(Derivation(each.when, each.adds & atoms) for each in self._derivations if each.adds & atoms),
        )

    def _lines(self, added: Iterable[Atom]) -> frozenset[Atom]:
        """What was added and everything that it lies in."""
        return frozenset((name, line) for name, value in added for line in self._vocabulary.lines(name, value))

    def _with_conditions(self, atoms: set[Atom]) -> set[Atom]:
        """`atoms`, and what leads to one of them by the rules, however many it takes."""
        found = set(atoms)
        while more := {atom for each in self._derivations if each.adds & found for atom in each.when} - found:
            found |= more
        return found

    def _apart(self, atoms: set[Atom]) -> Iterator[Atom]:
        """Of each dimension the first value that does not hold where all of `atoms` do, best one that no rule adds."""
        everything: dict[Dimension, tuple[str, ...]] = {
            name: tuple(value for at, value in atoms if at == name and value in nodes)
            for name, nodes in self._nodes.items()
        }
        found = facts(everything, self._vocabulary)
        for dimension, nodes in self._nodes.items():
            others = ((dimension, value) for value in nodes if value not in found[dimension])
            first = next(others, None)
            if first in self._derived:
                first = next((atom for atom in others if atom not in self._derived), first)
            yield from [first] if first else []

    def _choices(self, dimension: Dimension, atoms: set[Atom]) -> Iterator[Choice]:
        """One value for each set of implied values: one that matters itself, or else a broad one."""
        values = {value for at, value in atoms if at == dimension}
        seen: dict[frozenset[str], str] = {}
        for value, lines in self._candidates(dimension, values):
            if implied := lines & values:
                seen.setdefault(implied, value)
        for implied, value in seen.items():
            yield Choice(dimension, value, frozenset((dimension, line) for line in implied))

    def _candidates(self, dimension: Dimension, named: set[str]) -> Iterator[tuple[str, frozenset[str]]]:
        """Every value with what it lies in, itself included; of those that are alike for `named`, one."""
        lines = self._vocabulary.lines
        for value in sorted(named & self._nodes[dimension].keys()):
            yield value, frozenset(lines(dimension, value))
        yield from self._inner[dimension]
        for parents, alike in self._outer[dimension].items():
            value = next((value for value in alike if value not in named), None)
            if value and parents:
                yield value, frozenset(lines(dimension, value))
