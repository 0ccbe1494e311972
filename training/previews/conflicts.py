"""Whether an amendment makes clauses pull apart: the model leans to declining a request under the clause that is
touched and to answering it under the nearest one that is left alone, or the other way round.

Nothing is written for it, only the refusal margin is read: the request is read once more, under the other clause.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amendments.models import Signal
from amendments.opposed import can_clash
from constitution.texts import ClauseText
from training.previews.battery import Laws, Request, beside, clauses_for
from training.signal_records import SignalCard

# By request, under one clause: the margin in nats, None where there is none.
Lean = Callable[[Sequence[tuple[str, ClauseText]]], list[float | None]]
# By arm, whether the clauses pull apart: None where that is unknown.
Apart = Mapping[str, bool | None]
NOT_CHECKED = "It has not been checked here yet whether this tells hard requests from settled ones."


@dataclass(frozen=True, slots=True)
class _Pair:
    """A request, by arm the clause that it is read under, and the other one."""

    place: int
    prompt: str
    clauses: Mapping[str, ClauseText | None]
    other: ClauseText

    def apart(self, margins: Mapping[str, float | None], other: float | None) -> dict[str, bool | None]:
        return {arm: self._is_apart(clause, margins[arm], other) for arm, clause in self.clauses.items()}

    def _is_apart(self, clause: ClauseText | None, margin: float | None, other: float | None) -> bool | None:
        if clause is None or clause.principle == self.other.principle or not can_clash(clause, self.other):
            return False
        return None if margin is None or other is None else (margin >= 0) != (other >= 0)


def measure(
    requests: Sequence[Request],
    margins: Sequence[Mapping[str, float | None]],
    laws: Laws,
    *,
    lean: Lean,
    summarise: Callable[[Sequence[Apart]], dict[str, Any]],
) -> dict[str, Any]:
    """The figures, the requests on which the clauses pull apart afterwards and not before (`made`) or the other way
    round (`ended`), and why the signal behind them is worth little, if it is. `margins` by arm, of each request.
    """
    pairs = _pairs(requests, laws)
    under_other = lean([(pair.prompt, pair.other) for pair in pairs])
    found = [pair.apart(margins[pair.place], other) for pair, other in zip(pairs, under_other, strict=True)]
    moved = [
        {"place": pair.place, "other": pair.other.principle, "is_made": apart["after"]}
        for pair, apart in zip(pairs, found, strict=True)
        if {apart["before"], apart["after"]} == {True, False}
    ]
    return {**summarise(found), "moved": moved, "why_weak": _why_weak()}


def _pairs(requests: Sequence[Request], laws: Laws) -> list[_Pair]:
    found = []
    for place, request in enumerate(requests):
        before, after = clauses_for(request, laws)
        if other := beside(request, laws, (before, after)):
            clauses = {"before": before, "after": after, "null": before}
            found.append(_Pair(place, request.prompt, clauses, other))
    return found


def _why_weak() -> str:
    """Why the newest reading dropped the model's conflict signal; empty where it was kept."""
    card = SignalCard.objects.newest(Signal.CONFLICT)
    return NOT_CHECKED if card is None else card.reason
