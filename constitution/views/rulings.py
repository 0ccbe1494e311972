"""A clause as pages show it: what it says, whether it holds and why, and the clauses that it speaks of."""

from collections.abc import Collection, Iterable
from typing import Any

from constitution.resolution import BASE, Ruling

RELATIONS = (
    ("points to", "refers_to"),
    ("prevails over", "precedes"),
    ("never together with", "exclusive_with"),
)


def card(ruling: Ruling, here: Collection[str], *, is_asked: bool = True) -> dict[str, Any]:
    """A ruling for includes/clause.html; `here` are the ids that stand on its page. Unasked, it says no verdict."""
    clause = ruling.clause
    own = "" if ruling.source == BASE else f"{ruling.source}/"
    return {
        "id": ruling.id,
        "clause": clause,
        "source": "" if ruling.source == BASE else ruling.source,
        "in_force": ruling.in_force if is_asked else None,
        "reason": ruling.reason if is_asked else "",
        "relations": [
            {"label": label, "clauses": _links(getattr(clause, name), own, here)}
            for label, name in RELATIONS
            if getattr(clause, name)
        ],
    }


def _links(names: Iterable[str], own: str, here: Collection[str]) -> list[dict[str, str]]:
    """Each clause with where it stands on the page: the base's first, then that of the same profile; else nowhere."""
    found = ((name, next((each for each in (name, own + name) if each in here), "")) for name in names)
    return [{"id": place or name, "url": f"#{place}" if place else ""} for name, place in found]
