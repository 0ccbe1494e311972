"""What contexts and profiles there can be, for the solver: everything is read off the vocabulary and the scopes.

A situation is one context: a formula for each value that it can name, and for each value that matters the formula
that says whether it holds by what was named, by the hierarchy and by the rules. This imports z3: who serves pages
imports it inside the function that proves.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import z3

from constitution.proofs.values import Atom, Choice, Values
from constitution.texts import DIMENSIONS, Dimension, Scope
from constitution.vocabulary import Context

Formula = Any  # z3 has no types: a Boolean expression of the model's own z3 context
# What one call of the solver may use, in its own unit: about two seconds. Unlike a time limit it takes no thread, and
# a busy machine proves the same.
CALL_EFFORT = 5_000_000
# The place of what a profile narrows to, beside the situations 0 and 1.
NARROWING = -1


class Unfinished(Exception):
    """The solver had no answer in time."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way for a formula to be true: a context for each situation, what the profile narrows to, and the rest."""

    contexts: tuple[Context, ...]
    narrowing: Scope
    valuation: Any

    def has(self, formula: Formula) -> bool:
        """Whether `formula` is true in this case. What the solver left open is false, as in the contexts."""
        return bool(z3.is_true(self.valuation.eval(formula, model_completion=True)))


class Model:
    """All contexts, in two situations of which the second knows at least as much, and any narrowing of a profile.

    One narrowing is enough: each claim fails, if it fails, by the narrowing of one clause. Its methods raise
    Unfinished where a call of the solver takes more than CALL_EFFORT, or begins after `until` (`time.monotonic`).
    """

    def __init__(self, values: Values, *, until: float) -> None:
        self._values = values
        self._until = until
        # A z3 context of its own: two threads that share one crash.
        self._z3 = z3.Context()
        self._solver = z3.SimpleSolver(ctx=self._z3)
        self._solver.set("ctrl_c", False)  # the process keeps its own handler
        self._solver.set("rlimit", CALL_EFFORT)
        self._solver.set("phase_selection", 0)  # a value is named only for a reason: cases start out small
        self._meanings: dict[str, tuple[int, Atom]] = {}
        # What the first situation names, choice by choice.
        self.given = {choice: self._free(0, (choice.dimension, choice.value)) for choice in values.choices}
        more = {choice: self._free(1, (choice.dimension, choice.value)) for choice in values.choices}
        second = {choice: z3.Or(free, more[choice]) for choice, free in self.given.items()}
        self._facts = (self._facts_of(self.given), self._facts_of(second))
        self._names = {atom: self._free(NARROWING, atom) for atom in sorted(values.atoms)}
        self._known: dict[tuple[int, str], Formula] = {}
        self._narrowed: dict[int, list[Formula]] = {}

    def holds(self, scope: Scope, situation: int = 0) -> Formula:
        """`scope` is met: of each of its dimensions some value holds."""
        key = (situation, repr(scope))
        if key not in self._known:
            facts = self._facts[situation]
            self._known[key] = self.all(
                self.any(facts[dimension, value] for value in values) for dimension, values in scope.items()
            )
        return self._known[key]

    def is_narrowing_met(self, situation: int = 0) -> list[Formula]:
        """What a profile narrows to is met, for each dimension. Which values it names is for the solver to choose."""
        if situation not in self._narrowed:
            self._narrowed[situation] = [self._narrowing_met(dimension, situation) for dimension in DIMENSIONS]
        return self._narrowed[situation]

    def any(self, formulas: Iterable[Formula]) -> Formula:
        return z3.Or(*formulas, self._z3)

    def all(self, formulas: Iterable[Formula]) -> Formula:
        return z3.And(*formulas, self._z3)

    def negate(self, formula: Formula) -> Formula:
        return z3.Not(formula)

    def smallest(self, formula: Formula, preferred: Collection[Atom] = ()) -> Case | None:
        """A case of `formula` that names as few values as any; of these one that names only `preferred` ones, if any.

        None where there is no case: the formula is false in every context, whatever a profile narrows. Where finding a
        smaller one takes too long, the smallest that was found.
        """
        self._solver.push()
        try:
            self._solver.add(formula)
            valuation = self._check()
            return None if valuation is None else self._case(self._shrunk(valuation, formula, preferred))
        finally:
            self._solver.pop()

    def _shrunk(self, valuation: Any, formula: Formula, preferred: Collection[Atom]) -> Any:
        """The smallest valuation of the formula that was added, starting from any."""
        named = {name: free for name, free in _variables(formula).items() if name in self._meanings}

        def used(found: Any) -> set[str]:
            return {name for name, free in named.items() if z3.is_true(found[free])}

        strange = {name for name in named if self._meanings[name][1] not in preferred}
        known = [z3.Not(named[name]) for name in strange]
        with suppress(Unfinished):
            while used(valuation):
                fewer = self._check(self._at_most(len(used(valuation)) - 1, named.values()))
                if fewer is None:
                    break
                valuation = fewer
            if not used(valuation).isdisjoint(strange):
                familiar = self._check(self._at_most(len(used(valuation)), named.values()), *known)
                valuation = valuation if familiar is None else familiar
        return valuation

    def _free(self, place: int, atom: Atom) -> Formula:
        name = f"{place} {'='.join(atom)}"
        self._meanings[name] = (place, atom)
        return z3.Bool(name, self._z3)

    def _facts_of(self, given: dict[Choice, Formula]) -> dict[Atom, Formula]:
        """For each atom the formula that says whether it holds: the least set that the rules are content with.

        Each pass applies every rule whose conditions changed in the one before. A rule that can ever apply does so
        in as many passes as there are rules, so what rules would only hold up between themselves stays out.
        """
        inside: dict[Atom, list[Formula]] = {atom: [] for atom in self._values.atoms}
        for choice, free in given.items():
            for atom in choice.implies:
                inside[atom].append(free)
        facts = {atom: self.any(frees) for atom, frees in inside.items()}
        changed: Collection[Atom] = facts
        for place, _ in enumerate(self._values.derivations):
            fired: dict[Atom, list[Formula]] = {}
            for each in self._values.derivations:
                if place == 0 or not each.when.isdisjoint(changed):
                    fires = self.all(facts[atom] for atom in sorted(each.when))
                    for atom in each.adds:
                        fired.setdefault(atom, []).append(fires)
            facts |= {atom: self.any([facts[atom], *fires]) for atom, fires in fired.items()}
            changed = fired
        return facts

    def _narrowing_met(self, dimension: Dimension, situation: int) -> Formula:
        names = {atom: free for atom, free in self._names.items() if atom[0] == dimension}
        met = [z3.And(free, self._facts[situation][atom]) for atom, free in names.items()]
        return self.any([self.negate(self.any(names.values())), *met])

    def _at_most(self, size: int, frees: Iterable[Formula]) -> Formula:
        """A literal that allows at most `size` of `frees`; it lasts until what was added last is taken back."""
        cap = z3.FreshBool("cap", self._z3)
        self._solver.add(z3.Implies(cap, z3.AtMost(*frees, size)))
        return cap

    def _check(self, *assumed: Formula) -> Any:
        """The solver's valuation under which all of `assumed` are true, or None. (An empty one is false in Python.)"""
        if monotonic() > self._until:
            raise Unfinished
        answer = self._solver.check(*assumed)
        if answer == z3.unknown:
            raise Unfinished
        return self._solver.model() if answer == z3.sat else None

    def _case(self, valuation: Any) -> Case:
        true = [declared.name() for declared in valuation.decls() if z3.is_true(valuation[declared])]
        named = [self._meanings[name] for name in true if name in self._meanings]
        return Case(
            tuple(_scope(atom for place, atom in named if 0 <= place <= situation) for situation in (0, 1)),
            _scope(atom for place, atom in named if place == NARROWING),
            valuation,
        )


def _variables(formula: Formula) -> dict[str, Formula]:
    """The free variables of `formula` by name, each shared part looked at once."""
    found: dict[str, Formula] = {}
    parts, seen = [formula], {formula.get_id()}
    for part in parts:
        if z3.is_const(part) and not (z3.is_true(part) or z3.is_false(part)):
            found[part.decl().name()] = part
        for child in part.children():
            if child.get_id() not in seen:
                seen.add(child.get_id())
                parts.append(child)
    return found


def _scope(atoms: Iterable[Atom]) -> Scope:
    found: dict[Dimension, tuple[str, ...]] = {}
    for dimension, value in sorted(set(atoms), key=lambda atom: (DIMENSIONS.index(atom[0]), atom[1])):
        found[dimension] = (*found.get(dimension, ()), value)
    return found
