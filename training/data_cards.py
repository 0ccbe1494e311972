"""Of what a round made its training rows: by stage, principle, label and source, with what it dropped and why.

Counted once, when the round ends, from the files that its stages leave.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.db.models.functions import Left

from amendments.models import Scenario
from training.recipes.files import Row, read_json, read_rows
from training.recipes.plan import DECIDED

UNKNOWN = "not recorded"
# The files of each stage: what it kept, and what it dropped with the reason in `why`. Of SFT and DPO, what they learnt.
FILES: Mapping[str, tuple[str, ...]] = {
    "generate": ("plain.jsonl",),
    "revise": ("rows.jsonl",),
    "label": ("pairs.jsonl", "dropped.jsonl"),
    "sft": ("rows.jsonl",),
    "dpo": ("rows.jsonl",),
}
# Plans name scenarios by the beginning of their digest.
ID_LENGTH = 16

Key = tuple[str, str, str]


def read(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of each stage in a run directory, counted; a stage without files has none."""
    found = {stage: _rows(folder / stage, names) for stage, names in FILES.items()}
    sources = _sources({row["id"] for rows in found.values() for row in rows})
    found["generate"] += _left_out(folder)
    return {stage: count(rows, sources) for stage, rows in found.items()}


def count(rows: Iterable[Row], sources: Mapping[str, str]) -> list[dict[str, Any]]:
    """Rows of one stage as {principle, label, source, kept, repeated, dropped {why: how many}}, sorted by these names.

    `repeated` says how many are learnt once more, and only where some are.
    """
    kept: Counter[Key] = Counter()
    repeated: Counter[Key] = Counter()
    dropped: dict[Key, Counter[str]] = {}
    for row in rows:
        key = (row.get("principle", ""), row["label"], _source(row, sources))
        kept[key] += not row.get("why")
        repeated[key] += row.get("times", 1) - 1
        if why := row.get("why"):
            dropped.setdefault(key, Counter())[why] += row.get("count", 1)
    return [
        {
            **dict(zip(("principle", "label", "source"), key, strict=True)),
            "kept": kept[key],
            **({"repeated": repeated[key]} if repeated[key] else {}),
            "dropped": dict(sorted(dropped.get(key, {}).items())),
        }
        for key in sorted(kept)
    ]


def _rows(folder: Path, names: Iterable[str]) -> list[Row]:
    return [row for name in names if (folder / name).exists() for row in read_rows(folder / name)]


def _left_out(folder: Path) -> list[Row]:
    """What the plan left out, as rows that stand for several. An older plan does not say of which kind they were."""
    plan = read_json(folder / "plan.json") if (folder / "plan.json").exists() else {}
    return [{**row, "why": row["reason"]} for row in plan.get("left_out", []) if row.get("source")]


def _source(row: Row, sources: Mapping[str, str]) -> str:
    """Where the request comes from: people who decided an example or rewrote a drafted one, which the row says, or the
    set that the scenario came with."""
    if found := row.get("source"):
        return str(found)
    return DECIDED if row.get("labelled_by") == "people" else sources.get(row["id"], UNKNOWN)


def _sources(ids: set[str]) -> dict[str, str]:
    rows = Scenario.objects.annotate(key=Left("digest", ID_LENGTH)).filter(key__in=ids)
    return dict(rows.values_list("key", "source"))
