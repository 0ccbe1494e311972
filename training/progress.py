"""What a running recipe tells, taken over into rows: each line once, however often it is read."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from config.live import publish as announce
from training import leases, pace
from training.models import Look, Round, RoundPoint

MOST_BYTES = 1_000_000

Event = Mapping[str, Any]


def drain(round_: Round, file: Path) -> bool:
    """Take over what stands in `file` behind the row's offset; whether there was anything. Raises LeaseLost."""
    events, offset = read(file, round_.progress_offset)
    if not events:
        return False
    with leases.fenced(round_) as row:
        _write_points(row, [event for event in events if event["kind"] == "point"])
        _write_looks(row, [event for event in events if event["kind"] == "look"])
        for event in events:
            if event["kind"] == "progress":
                row.stage, row.step, row.total = event["stage"], event["step"], event["total"]
        row.progress_offset = offset
        row.save(update_fields=["stage", "step", "total", "progress_offset"])
        if any(event["kind"] == "progress" for event in events):
            pace.note(row)
        announce(f"round:{row.pk}")
        announce("rounds")
    round_.progress_offset = offset
    return True


def read(file: Path, offset: int) -> tuple[list[Event], int]:
    """The whole lines behind `offset`, and where the next ones will begin. A torn last line is left for later."""
    if not file.exists():
        return [], offset
    with file.open("rb") as stream:
        stream.seek(offset)
        content = stream.read(MOST_BYTES)
    whole = content[: content.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole)


def _write_points(row: Round, events: Iterable[Event]) -> None:
    points = {
        (event["stage"], event["series"], event["step"]): RoundPoint(
            round=row, **{name: event[name] for name in ("stage", "series", "step", "value")}
        )
        for event in events
    }
    RoundPoint.objects.bulk_create(
        points.values(),
        update_conflicts=True,
        unique_fields=["round", "stage", "series", "step"],
        update_fields=["value"],
    )


def _write_looks(row: Round, events: Iterable[Event]) -> None:
    names = ("stage", "step", "measure", "group", "value", "low", "high", "state")
    looks = {
        (event["step"], event["measure"], event["group"]): Look(
            round=row, detail=event.get("detail", {}), **{name: event[name] for name in names}
        )
        for event in events
    }
    Look.objects.bulk_create(
        looks.values(),
        update_conflicts=True,
        unique_fields=["round", "step", "measure", "group"],
        update_fields=["stage", "value", "low", "high", "state", "detail"],
    )
