"""Points in a row, with intervals and lines across, drawn on the server; a table beside each drawing says the same.

Places across are percents, heights CSS pixels. Points stand at equal distances, whatever lies between their steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

HEIGHT, ROOM = 132, 14
# On the left there is room for the words of the lines across.
LEFT = 14.0
MOST_LABELS = 12


@dataclass(frozen=True, slots=True)
class Mark:
    """One point: `text` is its accessible name, `kind` ok|warn|fail, and `joined` draws a line from the one before."""

    label: str
    value: float
    text: str
    url: str
    kind: str = "ok"
    low: float | None = None
    high: float | None = None
    is_current: bool = False
    joined: bool = True
    # The band that holds at this point, where one does; a side that is open has no edge.
    has_band: bool = False
    edge_low: float | None = None
    edge_high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line across, `name` zero|warn|low, with its value in words."""

    name: str
    value: float
    label: str


Scale = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """From which value to which a drawing reaches, and how high it is."""

    low: float
    high: float
    height: int

    def place(self, value: float) -> float:
        """How far below the upper edge a value stands; what lies outside stands at the edge."""
        share = min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)
        return round(ROOM / 2 + (self.height - ROOM / 2) * (1 - share), 2)


def scale(values: Sequence[float]) -> Scale:
    """From the lowest to the highest value that must be in the picture, with a little room."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = (high - low or 1.0) * 0.06
    return low - room, high + room


def draw(marks: Sequence[Mark], lines: Sequence[Line], within: Scale, *, height: int = HEIGHT) -> dict[str, Any]:
    """For includes of `training/plot.html`."""
    frame = Frame(*within, height)
    places = [_place(number, len(marks)) for number in range(len(marks))]
    every = -(-len(marks) // MOST_LABELS) or 1
    drawn = [
        _mark(mark, place, frame, has_label=not (len(marks) - 1 - number) % every)
        for number, (mark, place) in enumerate(zip(marks, places, strict=True))
    ]
    return {
        "height": height + 2 * ROOM,
        "base": height + 2 * ROOM - 2,
        "marks": drawn,
        "paths": [
            {"x1": was["x"], "y1": was["y"], "x2": now["x"], "y2": now["y"]}
            for was, now in pairwise(drawn)
            if now["joined"]
        ],
        "bands": [
            _band(mark, place, frame, len(marks)) for mark, place in zip(marks, places, strict=True) if mark.has_band
        ],
        "lines": [{"name": line.name, "label": line.label, "y": frame.place(line.value)} for line in lines],
    }


def _place(number: int, count: int) -> float:
    return round(LEFT + (100 - LEFT) * (number + 0.5) / count, 3)


def _band(mark: Mark, x: float, frame: Frame, count: int) -> dict[str, Any]:
    """From edge to edge of the band at a mark; an open side reaches to the end of the picture."""
    top = frame.place(frame.high if mark.edge_high is None else mark.edge_high)
    bottom = frame.place(frame.low if mark.edge_low is None else mark.edge_low)
    width = round((100 - LEFT) / count, 3)
    left = round(x - width / 2, 3)
    edges = [y for y, edge in ((top, mark.edge_high), (bottom, mark.edge_low)) if edge is not None]
    height = round(bottom - top, 2)
    return {"x": left, "x2": round(left + width, 3), "y": top, "width": width, "height": height, "edges": edges}


def _mark(mark: Mark, x: float, frame: Frame, *, has_label: bool) -> dict[str, Any]:
    return {
        "x": x,
        "y": frame.place(mark.value),
        "y_low": None if mark.low is None else frame.place(mark.low),
        "y_high": None if mark.high is None else frame.place(mark.high),
        "label": mark.label if has_label else "",
        "text": mark.text,
        "url": mark.url,
        "kind": mark.kind,
        "is_current": mark.is_current,
        "joined": mark.joined,
    }
