"""One table per state machine; the guard, the database triggers, the tests and the drawn diagram derive from it."""

from dataclasses import dataclass
from functools import cached_property

import pgtrigger

from constitution.errors import IllegalMove


@dataclass(frozen=True, slots=True)
class Move:
    """A legal move, who makes it, and the ledger action it leaves."""

    source: str
    target: str
    owner: str
    action: str


@dataclass(frozen=True)
class StateTable:
    """The states a row can be in. A row is born in `initial`; a state without a way out is final."""

    name: str
    initial: str
    moves: tuple[Move, ...]

    @cached_property
    def states(self) -> tuple[str, ...]:
        found = dict.fromkeys([self.initial])
        for move in self.moves:
            found |= dict.fromkeys([move.source, move.target])
        return tuple(found)

    @cached_property
    def final(self) -> frozenset[str]:
        return frozenset(self.states) - {move.source for move in self.moves}

    @property
    def live(self) -> frozenset[str]:
        return frozenset(self.states) - self.final

    def move(self, source: str, target: str) -> Move:
        """The move from `source` to `target`; raises IllegalMove where the table has none."""
        for move in self.moves:
            if (move.source, move.target) == (source, target):
                return move
        raise IllegalMove(f"{self.name}: no way from “{source}” to “{target}”.")

    def triggers(self) -> list[pgtrigger.Trigger]:
        """The same table for PostgreSQL: rows are born in `initial` and only move as listed."""
        return [
            pgtrigger.FSM(
                name="legal_moves", field="state", transitions=[(move.source, move.target) for move in self.moves]
            ),
            pgtrigger.Trigger(
                name="born_initial",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                condition=pgtrigger.Q(new__state__df=self.initial),
                func=f"RAISE EXCEPTION '{self.name}: a row is born in state {self.initial}';",
            ),
        ]

    def mermaid(self) -> str:
        """The diagram that docs/states.md shows."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        lines += [f"    {move.source} --> {move.target}: {move.action} ({move.owner})" for move in self.moves]
        lines += [f"    {state} --> [*]" for state in self.states if state in self.final]
        return "\n".join(lines)
