"""Under which clauses a request is read, and how what that shows is told. Pure: values in, values out."""

import re
from collections.abc import Iterable
from typing import Any

from amendments.joining import Place
from amendments.models import Signal
from constitution.digests import digest
from constitution.texts import ClauseText

# A word says what a request is about from this length on.
SHORTEST_WORD = 4
READ_UNDER = 2


def applicable(request: str, settled_by: str, in_force: Iterable[ClauseText]) -> list[ClauseText]:
    """The clause that should settle a request, then the one whose decided examples come nearest to it.

    Where the first is unknown, the two nearest. Clauses of style are left out: they say how to help, not whether.
    """
    ranked = sorted(
        (clause for clause in in_force if clause.tier != 3 and clause.examples),
        key=lambda clause: (clause.principle != settled_by, -_nearness(request, clause), clause.principle),
    )
    return ranked[:READ_UNDER]


def nearest(request: str, settled_by: str, clauses: Iterable[ClauseText]) -> ClauseText | None:
    """Of these clauses the one that should settle a request, else the one whose decided examples come nearest to it."""
    return min(clauses, key=lambda clause: (clause.principle != settled_by, -_nearness(request, clause)), default=None)


def priority_reason(signal: str, *, cases: int, read: int) -> str:
    """What a proposal rests on, in words. `read`: how many requests of that kind were read."""
    if signal == Signal.OVER_REFUSAL:
        return f"Under this clause the model declined {cases} of {read} harmless requests that it read."
    if signal == Signal.CONFLICT:
        return f"Under this clause and another the model gave opposite answers to {cases} of {read} requests."
    return f"{cases} of {read} requests under this clause stand out: {Signal(signal).meaning}"


def digest_of(request: str) -> str:
    """What tells a decided request from others."""
    return digest(["decided", request])


def near_of(found: Place) -> dict[str, Any]:
    """For an edge case's detail: which case asks nearly the same."""
    return {"near": {"case": found.near, "cosine": round(found.cosine, 3)}} if found.near else {}


def _nearness(request: str, clause: ClauseText) -> float:
    """The largest share of words that the request has in common with an example, from 0 to 1."""
    words = _words(request)
    pairs = [(words, _words(example.request)) for example in clause.examples]
    return max((len(one & other) / len(one | other) for one, other in pairs if one | other), default=0.0)


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"\w+", text.lower()) if len(word) >= SHORTEST_WORD)
