"""Pairs of bars along a line of time, drawn on the server; each drawing stands beside a table that says the same."""

from collections.abc import Sequence
from typing import Any

HEIGHT, ROOM = 96, 14


def pairs(rows: Sequence[tuple[str, int, int]]) -> dict[str, Any]:
    """For includes of `insights_bars.html`: each row is a label, and how high its two bars are.

    Places across are percents, heights CSS pixels.
    """
    most = max((max(first, second) for _, first, second in rows), default=0)
    return {
        "height": HEIGHT,
        "base": HEIGHT + ROOM,
        "most": most,
        "groups": [_group(place, len(rows), row, most) for place, row in enumerate(rows)],
    }


def _group(place: int, count: int, row: tuple[str, int, int], most: int) -> dict[str, Any]:
    label, *values = row
    step = 100 / count
    width = min(step * 0.38, 3.0)
    start = step * place + step / 2 - width
    bars = [_bar(start + index * width, width, value, most) for index, value in enumerate(values)]
    return {"label": label, "first": values[0], "second": values[1], "bars": bars}


def _bar(x: float, width: float, value: int, most: int) -> dict[str, float]:
    height = HEIGHT * value / most if most else 0
    return {
        "x": round(x, 3),
        "width": round(width, 3),
        "y": round(HEIGHT + ROOM - height, 2),
        "height": round(height, 2),
    }
