"""Evaluation sets: registered as digests and sketches, without their texts, so that nothing trains on them."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from django.db import transaction
from django.utils import timezone

from amendments.likeness import Sketch, normalise, sketch
from amendments.models import EvaluationPrompt, EvaluationSet, Label
from amendments.scenarios import BATCH, Rows, json_value, reader
from constitution import ledger
from constitution.digests import digest
from constitution.errors import BadFile, Refused
from constitution.models import User

MOST_PROMPTS = 200_000
# Under these names public sets keep what a model is asked; the first that a row has counts.
PROMPT_FIELDS = ("prompt", "goal", "forbidden_prompt", "behavior", "question", "instruction", "turns", "en")


class SetRefused(Refused):
    """An evaluation set that cannot be registered or retired."""

    status = 422


@transaction.atomic
def register(*, path: Path, name: str, by: User | str, field: str = "") -> EvaluationSet:
    """Keep digests and sketches of the prompts of a file, under `name`; nothing trains on them from now on.

    Formats: csv of XSTest, HarmBench, AdvBench, StrongREJECT, MultiJail and the like, JSON lines, a JSON list; `field`
    names the column or key where they are told apart by no usual name. The same content under the same name again
    changes nothing. Raises BadFile, and SetRefused where the name is taken by another content or nothing was found.
    """
    found = _read(path, field)
    if not found:
        raise SetRefused(f"{path.name} has no prompt that could be registered. Name the column with --field.")
    whole = digest(sorted(found))
    known = EvaluationSet.objects.select_for_update().filter(name=name).first()
    if known is not None:
        return _again(known, whole)
    made = EvaluationSet.objects.create(
        name=name,
        source=path.name[:200],
        digest=whole,
        count=len(found),
        registered_by=by if isinstance(by, User) else None,
    )
    EvaluationPrompt.objects.bulk_create(
        (
            EvaluationPrompt(set=made, digest=key, marks=made_of.marks, label=label)
            for key, (made_of, label) in found.items()
        ),
        batch_size=BATCH,
    )
    _record("evaluation set registered", made, by=by)
    return made


@transaction.atomic
def retire(*, name: str, by: User | str) -> EvaluationSet:
    """From now on this set keeps nothing out. Raises SetRefused where there is none, or it is retired already."""
    found = EvaluationSet.objects.select_for_update().filter(name=name).first()
    if found is None or found.retired_at:
        raise SetRefused(f"There is no evaluation set {name} that could be retired.")
    found.retired_at = timezone.now()
    found.save(update_fields=["retired_at"])
    _record("evaluation set retired", found, by=by)
    return found


def _again(known: EvaluationSet, whole: str) -> EvaluationSet:
    if known.digest != whole:
        raise SetRefused(f"Another evaluation set is called {known.name}: choose another name.")
    if known.retired_at:
        raise SetRefused(f"The evaluation set {known.name} was retired: register it under another name.")
    return known


def _record(action: str, row: EvaluationSet, *, by: User | str) -> None:
    detail = {"digest": row.digest, "count": row.count, "source": row.source}
    ledger.append(action=action, by=by, subject=f"evaluation-set:{row.name}", detail=detail)


def _read(path: Path, field: str) -> dict[str, tuple[Sketch, str]]:
    """The prompts of a file by digest, each once, with their labels."""
    found: dict[str, tuple[Sketch, str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for prompt, label in _prompts(path, stream, field):
                if normalise(prompt):
                    made = sketch(prompt)
                    found.setdefault(made.digest, (made, label))
                if len(found) > MOST_PROMPTS:
                    raise SetRefused(f"{path.name} has more than {MOST_PROMPTS:,} prompts: register it in parts.")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"{path.name} cannot be read as text: {error}") from error
    return found


def _prompts(path: Path, stream: IO[str], field: str) -> Iterator[tuple[str, str]]:
    suffix = path.suffix.lower()
    if suffix == ".json":
        rows: Iterable[Any] = _json_list(path, stream)
    elif suffix in {".jsonl", ".ndjson"}:
        rows = _json_lines(stream)
    elif field or not _is_known_format(path):
        rows = csv.DictReader(stream, strict=True)
    else:
        yield from _known(reader(path.name, stream)[1])
        return
    pick = partial(_pick, field=field)
    yield from ((prompt, label) for prompt, label in map(pick, rows) if prompt)


def _is_known_format(path: Path) -> bool:
    """Whether the readers of scenarios know this csv: they also know which of its rows are harmful."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            reader(path.name, stream)
        except BadFile:
            return False
    return True


def _known(rows: Rows) -> Iterator[tuple[str, str]]:
    for _, content in rows:
        yield str(content.get("prompt") or ""), str(content.get("label") or "")


def _json_list(path: Path, stream: IO[str]) -> list[Any]:
    try:
        content = json.load(stream)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadFile(f"{path.name} is not JSON: {error}") from error
    return content if isinstance(content, list) else [content]


def _json_lines(stream: IO[str]) -> Iterator[Any]:
    for number, line in enumerate(stream, start=1):
        content = json_value(line) if line.strip() else {}
        if isinstance(content, ValueError):
            raise BadFile(f"Line {number} {content}.") from content
        yield content


def _pick(row: Any, *, field: str) -> tuple[str, str]:
    """(prompt, label) of a row; of several turns the first. The prompt is empty where the row has none."""
    if not isinstance(row, Mapping):
        return (row, "") if isinstance(row, str) else ("", "")
    cells = {str(name).strip().casefold(): value for name, value in row.items()}
    names = [field.casefold()] if field else PROMPT_FIELDS
    value = next((cells[name] for name in names if cells.get(name)), "")
    while isinstance(value, list):
        value = value[0] if value else ""
    label = str(cells.get("label", ""))
    return (value, label if label in {Label.HARMFUL, Label.BENIGN} else "") if isinstance(value, str) else ("", "")
