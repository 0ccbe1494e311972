"""Planted rounds against the band, drawn: one chart for each kind, of the group that left its band furthest."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.planting.course import STAGE, Course
from bench.planting.rows import ROOT
from training.recipes.band import PAIRS, Band, Key
from training.recipes.groups import told

STATIC = ROOT / "static"
DRAW = (Path(__file__).parent / "planted.js").read_text()


@dataclass(frozen=True)
class Panel:
    """One kind of round at each look, over one group; the edges are those at which a round pauses."""

    title: str
    group: str
    unit: str
    planted_at: int
    steps: list[int]
    low: list[float | None]
    high: list[float | None]
    benign: list[list[float]]
    planted: list[list[float]]


def panel(key: Key, band: Band, planted: Sequence[Course], benign: Sequence[Course]) -> Panel:
    """The chart of rounds in which one kind was planted, on this group, with every benign round beside them."""
    steps = [step for step, _ in planted[0].looks]
    edges = [band.edges(key, band.items[key], stage=STAGE, step=step) for step in steps]
    return Panel(
        title=planted[0].name,
        group=told(key),
        unit="nats a token" if key[0] == PAIRS else "nats",
        planted_at=planted[0].planted or 0,
        steps=steps,
        low=[at.low if at else None for at in edges],
        high=[at.high if at else None for at in edges],
        benign=[[values[key] for _, values in course.looks] for course in benign],
        planted=[[values[key] for _, values in course.looks] for course in planted],
    )


def page(panels: Sequence[Panel]) -> str:
    """A page of its own, light or dark as its reader has it, with nothing to load."""
    style = "\n".join((STATIC / name).read_text() for name in ("tokens.css", "vendor/uplot.min.css"))
    script = (STATIC / "vendor" / "uplot.iife.min.js").read_text()
    figures = "".join(
        f"<figure><figcaption><b>{html.escape(one.title)}</b><br>{html.escape(one.group)}, {one.unit}</figcaption>"
        "<div class=plot></div></figure>"
        for one in panels
    )
    data = json.dumps([vars(one) for one in panels]).replace("<", "\\u003c")
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Planted degradations</title>"
        f"<style>{style}{LOOK}</style>"
        f"<main>{figures}<p>{LEGEND}</p></main><script>{script}</script>"
        f"<script>const PANELS = {data};\n{DRAW}</script></html>\n"
    )


LEGEND = (
    "Grey: benign rounds. Red with dots: rounds with something planted at the upright line. "
    "Dashes: where a round pauses. Change against the frozen reference."
)
LOOK = """
body { margin: 0; background: var(--paper); color: var(--ink); font: 13px var(--sans); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 24px; padding: 24px; }
figure, p { margin: 0; line-height: 1.4; }
figcaption { margin-bottom: 8px; }
"""
