"""Which clauses hold in a context, and why. Pure: values in, values out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from constitution.texts import ClauseText, Dimension, Scope

Context = Mapping[Dimension, str]


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a clause is in force in a context, with the reason as a sentence."""

    clause: ClauseText
    in_force: bool
    reason: str


def resolve(clauses: Iterable[ClauseText], context: Context) -> list[Ruling]:
    """Every clause with its ruling, in the order given. A universal clause is in force in every context."""
    return [_rule(clause, context) for clause in clauses]


def in_force(clauses: Iterable[ClauseText], context: Context) -> list[ClauseText]:
    """The clauses that hold in `context`, in the order given."""
    return [ruling.clause for ruling in resolve(clauses, context) if ruling.in_force]


def _rule(clause: ClauseText, context: Context) -> Ruling:
    if clause.tier == 1:
        return Ruling(clause, True, "Universal: it holds everywhere.")
    if not clause.scope:
        return Ruling(clause, True, "It names no scope: it holds everywhere unless a universal clause says otherwise.")
    unmet = _unmet(clause.scope, context)
    if unmet:
        return Ruling(clause, False, f"It holds only for {unmet}.")
    met = ", ".join(f"{dimension} {context[dimension]}" for dimension in clause.scope)
    return Ruling(clause, True, f"Its scope is met: {met}.")


def _unmet(scope: Scope, context: Context) -> str:
    """The first condition that `context` does not meet, in words; empty where all are met."""
    for dimension, values in scope.items():
        if context.get(dimension) not in values:
            return f"{dimension} {' or '.join(values)}"
    return ""
