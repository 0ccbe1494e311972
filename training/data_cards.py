"""Of what a round made its training rows: by stage, principle, label and source, with what it dropped and why.

Counted once, when the round ends, from the files that its stages leave.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.db.models.functions import Left

from amendments.models import Scenario
from training.recipes.files import Row, read_rows

DECIDED = "decided example"
UNKNOWN = "not recorded"
# The files of each stage: what it kept, and what it dropped with the reason in `why`.
FILES: Mapping[str, tuple[str, ...]] = {
    "generate": ("plain.jsonl",),
    "revise": ("rows.jsonl",),
    "label": ("pairs.jsonl", "dropped.jsonl"),
}
# Plans name scenarios by the beginning of their digest.
ID_LENGTH = 16

Key = tuple[str, str, str]


def read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each stage in a run directory, counted; a stage without files has none."""
    found = {stage: _rows(folder / stage, names) for stage, names in FILES.items()}
    sources = _sources({row["id"] for rows in found.values() for row in rows})
    return {stage: count(rows, sources) for stage, rows in found.items()}


def count(rows: Iterable[Row], sources: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of one stage as {principle, label, source, kept, dropped {why: how many}}, sorted by these names."""
    kept: Counter[Key] = Counter()
    dropped: dict[Key, Counter[str]] = {}
    for row in rows:
        key = (row.get("principle", ""), row["label"], _source(row, sources))
        kept[key] += not row.get("why")
        if why := row.get("why"):
            dropped.setdefault(key, Counter())[why] += 1
    return [
        {
            **dict(zip(("principle", "label", "source"), key, strict=True)),
            "kept": kept[key],
            "dropped": dict(sorted(dropped.get(key, {}).items())),
        }
        for key in sorted(kept)
    ]


def _rows(folder: Path, names: Iterable[str]) -> list[Row]:
    return [row for name in names if (folder / name).exists() for row in read_rows(folder / name)]


def _source(row: Row, sources: Mapping[str, str]) -> str:
    """Where the request comes from: people who decided an example or rewrote a drafted one, which the row says, or the
    set that the scenario came with."""
    if found := row.get("source"):
        return str(found)
    return DECIDED if row.get("labelled_by") == "people" else sources.get(row["id"], UNKNOWN)


def _sources(ids: set[str]) -> dict[str, str]:
    rows = Scenario.objects.annotate(key=Left("digest", ID_LENGTH)).filter(key__in=ids)
    return dict(rows.values_list("key", "source"))
