"""What a round made of a proposal, as pages show it: beside what its preview foretold, with whether it lies inside."""

from collections.abc import Mapping
from typing import Any

from amendments import states
from amendments.models import Amendment, Preview, Realised
from amendments.views.words import PARTS

PREDICTED = "predicted"
LABELS = {PREDICTED: "Foretold", "base": "Since the base model", "previous": "Since the round before"}
STARTS = ("base", "previous")
# By measure: what it is, in which unit, times what, with how many decimals.
MEASURES = {"share": ("declined", "points", 100.0, 0), "margin": ("lean to declining", "nats", 1.0, 2)}
NO_PREVIEW = "No preview of the accepted text was finished, so there is nothing to compare the round with."
TO_COME = (
    "When a round has trained on it, its model answers these requests without the constitution, and what changed is"
    " shown here beside what was foretold. Of one round the eight newest proposals are compared."
)


def of_proposal(amendment: Amendment, found: list[Preview]) -> dict[str, Any] | None:
    """What its page shows; None for what was not accepted. `found` are the previews of its text."""
    if amendment.state != states.ACCEPTED:
        return None
    rows = amendment.realised.select_related("preview", "version", "run")
    is_measured = any(preview.result for preview in found)
    return {"rows": [shown(row) for row in rows], "empty": TO_COME if is_measured else NO_PREVIEW}


def shown(realised: Realised) -> dict[str, Any]:
    """One comparison for `amendments/realised.html` and its table."""
    return {
        "pk": realised.pk,
        "round_pk": realised.run.round_id,
        "version_number": realised.version.number,
        "done": realised.done,
        "total": realised.total,
        "failure": realised.failure,
        "result": _result(realised, realised.result) if realised.result else None,
    }


def _result(realised: Realised, result: Mapping[str, Any]) -> dict[str, Any]:
    components = [_component(row) for row in result["components"]]
    known = [part["is_inside"] for row in components for part in row["bars"] if part["is_inside"] is not None]
    return {
        "components": components,
        "inside": sum(known),
        "known": len(known),
        "starts": [LABELS[start] for start in STARTS if start in result["arms"]],
        "absent": result["absent"],
        "judge": result["judge"],
        "device": result["device"],
        "requests": realised.preview.total,
        "unscored": result["unscored"],
        "trained_on": max((row["trained_on"] for row in components), default=0),
        "finished_at": realised.finished_at,
    }


def _component(row: Mapping[str, Any]) -> dict[str, Any]:
    against = row["against"]
    changes = {PREDICTED: row["predicted"], **{start: against[start] for start in STARTS if start in against}}
    return {
        "name": row["name"],
        "label": PARTS[row["name"]][0],
        "n": row["n"],
        "unscored": row["unscored"],
        "read": row["n"] + row["unscored"],
        "trained_on": row["trained_on"],
        "declined": row["declined"],
        "bars": [_bar(name, found["share"]) for name, found in changes.items() if found["share"]] if against else [],
        "measures": [_measure(name, changes) for name in MEASURES] if against else [],
    }


def _bar(name: str, change: Mapping[str, Any]) -> dict[str, Any]:
    """A change of the share in percentage points, and where it is drawn: a scale from -100 to 100."""
    return {
        "arm": name,
        "label": LABELS[name],
        "is_inside": change.get("is_inside"),
        **{part: 100 * change[part] for part in ("value", "low", "high")},
        **{f"x_{part}": 50 + 50 * change[part] for part in ("value", "low", "high")},
    }


def _measure(name: str, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A row of the table: what was foretold, then each change with whether it lies inside."""
    label, unit, times, decimals = MEASURES[name]
    cells = [changes.get(start, {}).get(name) for start in (PREDICTED, *STARTS)]
    return {
        "label": f"{label}, {unit}",
        "cells": [
            {"words": _words(cell, times, decimals), "is_inside": cell.get("is_inside")} if cell else None
            for cell in cells
        ],
    }


def _words(change: Mapping[str, float], times: float, decimals: int) -> str:
    value, low, high = (times * change[part] for part in ("value", "low", "high"))
    return f"{value:+.{decimals}f} ({low:+.{decimals}f} to {high:+.{decimals}f})"
