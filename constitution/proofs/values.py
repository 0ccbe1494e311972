"""Which values of the vocabulary can matter to a set of scopes. Pure.

Values that imply the same ones that matter are alike: one of them stands for all. A context of any values has the
facts that matter of the context of those that stand for them, so nothing is lost by looking at these alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from constitution.texts import DIMENSIONS, Dimension, Scope
from constitution.vocabulary import Node, Vocabulary, facts

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


def matter(scopes: Iterable[Scope], vocabulary: Vocabulary) -> Values:
    """The values that can change whether one of `scopes` holds, and of each dimension one that they do not lead to.

    The latter is for what a profile may narrow to: where any narrowing can take a clause away, one to these values
    can. A value that the vocabulary does not know can never hold: no choice implies it.
    """
    derivations = [
        Derivation(frozenset(rule.when), frozenset(_lines(rule.adds, vocabulary))) for rule in vocabulary.rules
    ]
    atoms = _with_conditions({atom for scope in scopes for atom in _named(scope)}, derivations)
    atoms = _with_conditions(atoms | set(_apart(atoms, derivations, vocabulary)), derivations)
    return Values(
        frozenset(atoms),
        tuple(choice for dimension in DIMENSIONS for choice in _choices(dimension, atoms, vocabulary)),
        tuple(Derivation(each.when, each.adds & atoms) for each in derivations if each.adds & atoms),
    )


def _named(scope: Scope) -> Iterator[Atom]:
    return ((dimension, value) for dimension, values in scope.items() for value in values)


def _lines(added: Iterable[Atom], vocabulary: Vocabulary) -> Iterator[Atom]:
    """What was added and everything that it lies in."""
    return ((dimension, line) for dimension, value in added for line in vocabulary.lines(dimension, value))


def _with_conditions(atoms: set[Atom], derivations: Iterable[Derivation]) -> set[Atom]:
    """`atoms`, and what leads to one of them by the rules, however many it takes."""
    found = set(atoms)
    while more := {atom for each in derivations if each.adds & found for atom in each.when} - found:
        found |= more
    return found


def _apart(atoms: set[Atom], derivations: Iterable[Derivation], vocabulary: Vocabulary) -> Iterator[Atom]:
    """Of each dimension the first value that does not hold where all of `atoms` do, best one that no rule adds."""
    derived = frozenset[Atom]().union(*(each.adds for each in derivations))
    known = {dimension: vocabulary.nodes.get(dimension, {}) for dimension in DIMENSIONS}
    found = facts(
        {name: tuple(value for at, value in atoms if at == name and value in known[name]) for name in known}, vocabulary
    )
    for dimension, nodes in known.items():
        others = [(dimension, value) for value in nodes if value not in found[dimension]]
        yield from sorted(others, key=lambda atom: atom in derived)[:1]


def _choices(dimension: Dimension, atoms: set[Atom], vocabulary: Vocabulary) -> Iterator[Choice]:
    """One value for each set of implied values: one that matters itself, or else the first of the vocabulary."""
    nodes = vocabulary.nodes.get(dimension, {})
    implied = _implied({value for at, value in atoms if at == dimension}, nodes)
    seen: dict[frozenset[str], str] = {}
    for value in sorted(filter(implied.get, nodes), key=lambda value: (dimension, value) not in atoms):
        seen.setdefault(frozenset(implied[value]), value)
    for lines, value in seen.items():
        yield Choice(dimension, value, frozenset((dimension, line) for line in lines))


def _implied(values: set[str], nodes: Mapping[str, Node]) -> dict[str, set[str]]:
    """For each node that is or lies in one of `values`: in which."""
    inside: dict[str, list[str]] = defaultdict(list)
    for node in nodes.values():
        for parent in node.parents:
            inside[parent].append(node.id)
    found: dict[str, set[str]] = defaultdict(set)
    for value in values & nodes.keys():
        below = [value]
        for each in below:
            if value not in found[each]:
                found[each].add(value)
                below += inside.get(each, [])
    return found
