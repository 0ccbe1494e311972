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
        self._rank = {name: {value: rank for rank, value in enumerate(nodes)} for name, nodes in self._nodes.items()}
        self._inside: dict[Atom, list[str]] = defaultdict(list)
        for node in vocabulary.each():
            for parent in node.parents:
                self._inside[node.dimension, parent].append(node.id)
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
            others = [(dimension, value) for value in nodes if value not in found[dimension]]
            yield from [atom for atom in others if atom not in self._derived][:1] or others[:1]

    def _choices(self, dimension: Dimension, atoms: set[Atom]) -> Iterator[Choice]:
        """One value for each set of implied values: one that matters itself, or else the first of the vocabulary."""
        implied = self._implied(dimension, {value for at, value in atoms if at == dimension})
        rank = self._rank[dimension]
        seen: dict[frozenset[str], str] = {}
        for value in sorted(implied, key=lambda value: ((dimension, value) not in atoms, rank[value])):
            seen.setdefault(frozenset(implied[value]), value)
        for lines, value in seen.items():
            yield Choice(dimension, value, frozenset((dimension, line) for line in lines))

    def _implied(self, dimension: Dimension, values: set[str]) -> dict[str, set[str]]:
        """For each value that is or lies in one of `values`: in which."""
        found: dict[str, set[str]] = defaultdict(set)
        for value in values & self._nodes[dimension].keys():
            below = [value]
            for each in below:
                if value not in found[each]:
                    found[each].add(value)
                    below += self._inside.get((dimension, each), [])
        return found
