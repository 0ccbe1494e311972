"""Few outfits in which every two values of different dimensions meet: pairwise, not the full product. Pure.

The first value of a dimension adds nothing. An outfit has a few others, so that a scenario reads like a request.
"""

import random
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

Outfit = Mapping[str, str]
Meeting = tuple[tuple[str, str], tuple[str, str]]
Dimensions = Mapping[str, Sequence[str]]

MOST_WORN = 4
# Of so many candidates for the next outfit, the one with most new meetings is taken.
CANDIDATES = 8


def plain(dimensions: Dimensions) -> dict[str, str]:
    """The outfit that adds nothing."""
    return {name: values[0] for name, values in dimensions.items()}


def meetings(outfit: Outfit, dimensions: Dimensions) -> frozenset[Meeting]:
    """Every two values of an outfit that add something."""
    worn = sorted((name, value) for name, value in outfit.items() if value != dimensions[name][0])
    return frozenset(combinations(worn, 2))


def all_meetings(dimensions: Dimensions, never: Collection[frozenset[str]] = ()) -> frozenset[Meeting]:
    """Every two values of different dimensions that add something; of `never`, the two do not go together."""
    pairs = combinations(sorted(dimensions), 2)
    return frozenset(
        ((a, x), (b, y))
        for a, b in pairs
        for x in dimensions[a][1:]
        for y in dimensions[b][1:]
        if frozenset((x, y)) not in never
    )


def covering(dimensions: Dimensions, seed: str, never: Collection[frozenset[str]] = ()) -> list[dict[str, str]]:
    """Outfits in which all meetings happen, in an order in which each adds as many new ones as was found."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible choice
    allowed = all_meetings(dimensions, never)
    missing = dict.fromkeys(sorted(allowed))
    rows: list[dict[str, str]] = []
    while missing:
        begun = [dict(chance.choice(list(missing))) for _ in range(CANDIDATES)]
        candidates = [_completed(dimensions, row, missing, allowed, chance) for row in begun]
        best = max(candidates, key=lambda row: sum(pair in missing for pair in combinations(sorted(row.items()), 2)))
        for pair in combinations(sorted(best.items()), 2):
            missing.pop(pair, None)
        rows.append({**plain(dimensions), **best})
    return rows


def _completed(
    dimensions: Dimensions,
    row: dict[str, str],
    missing: Collection[Meeting],
    allowed: Collection[Meeting],
    chance: random.Random,
) -> dict[str, str]:
    """`row` with further values, one after the other, as long as they go with it and bring new meetings."""
    order = [name for name in sorted(dimensions) if name not in row]
    chance.shuffle(order)
    for name in order:
        if len(row) == MOST_WORN:
            break
        values = {
            value: _with(row, name, value) for value in chance.sample(dimensions[name][1:], len(dimensions[name]) - 1)
        }
        new = {
            value: sum(meeting in missing for meeting in found)
            for value, found in values.items()
            if all(meeting in allowed for meeting in found)
        }
        if any(new.values()):
            row[name] = max(new, key=new.__getitem__)
    return row


def _with(row: Mapping[str, str], name: str, value: str) -> list[Meeting]:
    added = (name, value)
    return [(min(added, other), max(added, other)) for other in row.items()]
