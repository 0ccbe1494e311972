"""Which clauses are read together, and which of them stayed while something beside them changed. Pure."""

from collections.abc import Iterator, Sequence

from constitution.diffs import changes
from constitution.texts import ClauseText

Law = Sequence[ClauseText]


def around(law: Law) -> Iterator[tuple[str, set[str]]]:
    """Each principle with those that one reads with it: what it refers to, and what stands before and after it."""
    names = [clause.principle for clause in law]
    for place, clause in enumerate(law):
        yield clause.principle, {*clause.refers_to, *names[max(place - 1, 0) : place], *names[place + 1 : place + 2]}


def shaken(before: Law, after: Law) -> tuple[set[str], set[str]]:
    """The principles that changed between the two, and those that did not while something around them did."""
    changed = {change.principle for change in changes(before, after)}
    beside = {name for law in (before, after) for name, others in around(law) if others & changed}
    return changed, beside - changed


def moved_around(before: Law, after: Law, touched: set[str]) -> list[str]:
    """The principles around `touched` that changed; none where one of `touched` changed itself."""
    changed, beside = shaken(before, after)
    if touched & changed or not touched & beside:
        return []
    near = {
        name for law in (before, after) for principle, names in around(law) if principle in touched for name in names
    }
    return sorted(near & changed)
