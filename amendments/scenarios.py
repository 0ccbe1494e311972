"""Scenarios as they come in: from our own file of contrast twins and from public formats. Streaming, all or nothing."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import yaml
from django.db import transaction
from pydantic import AfterValidator, Field, ValidationError

from amendments.models import Label, Scenario
from amendments.reserved import Reserved, registered_entries
from constitution import ledger
from constitution.digests import digest
from constitution.errors import BadFile
from constitution.texts import DIMENSIONS, Dimension, Line, PrincipleId, Prose, Value, sentences
from constitution.vocabulary import UnknownContext, read_context

BATCH = 500
XSTEST_LABELS = {"safe": Label.BENIGN, "unsafe": Label.HARMFUL}


def _in_words_we_know(context: dict[Dimension, str]) -> dict[Dimension, str]:
    """The context in ids of the vocabulary; raises ValueError, with near matches, for values that are not in it."""
    try:
        return {dimension: values[0] for dimension, values in read_context(context).items()}
    except UnknownContext as error:
        raise ValueError(str(error)) from error


ScenarioContext = Annotated[dict[Dimension, Line], AfterValidator(_in_words_we_know)]


class ScenarioText(Value):
    """A scenario as a value. Two with the same words, whatever their case and spacing, are the same scenario."""

    prompt: Prose
    label: Label = Label.UNKNOWN
    pair: str = Field(default="", max_length=60)
    principle: PrincipleId | None = None
    context: ScenarioContext = {}
    held_out: bool = False

    @property
    def digest(self) -> str:
        return digest(" ".join(self.prompt.casefold().split()))

    def row(self, source: str) -> Scenario:
        """As it is stored; `source` says where it comes from."""
        content = self.model_dump(mode="json")
        settled_by = content.pop("principle") or ""
        return Scenario(digest=self.digest, settled_by=settled_by, source=source[:200], **content)


class TwinsText(Value):
    """A harmful request and a benign one that looks alike."""

    pair: str = Field(min_length=1, max_length=60)
    principle: PrincipleId
    context: ScenarioContext = {}
    held_out: bool
    harmful: Prose
    benign: Prose

    def scenarios(self) -> list[ScenarioText]:
        shared = self.model_dump(exclude={"harmful", "benign"})
        return [
            ScenarioText(prompt=self.harmful, label=Label.HARMFUL, **shared),
            ScenarioText(prompt=self.benign, label=Label.BENIGN, **shared),
        ]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was not taken, and why."""

    line: int
    reason: str


@dataclass(slots=True)
class Report:
    """What became of each row of a file."""

    format: str
    accepted: int = 0
    duplicates: list[int] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


Row = tuple[int, dict[str, Any]]
Rows = Iterator[Row]


@transaction.atomic
def import_file(path: Path, *, by: ledger.Actor, held_out: bool = False) -> Report:
    """Add the scenarios of a file: JSON lines, or the csv of XSTest, HarmBench or AdvBench.

    Rows are read as they are stored, so that memory does not grow with the file. A row that cannot be used is
    reported with its line and the others are kept; a file that cannot be read raises BadFile and changes nothing.
    What stands in a registered evaluation set, word for word or nearly, is taken only if it is held out.
    """
    registered = None if held_out else Reserved(registered_entries())
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            name, rows = reader(path.name, stream)
            report = _store(name, rows, source=path.name, held_out=held_out, registered=registered)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"{path.name} cannot be read as text: {error}") from error
    _record(report, source=path.name, by=by)
    return report


@transaction.atomic
def import_twins(path: Path, *, by: ledger.Actor) -> Report:
    """Add the contrast twins of a YAML file of ours. Raises BadFile where one of them is wrong: then none is added."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        twins = [TwinsText.model_validate(pair) for pair in content["scenarios"]]
    except (yaml.YAMLError, ValidationError, TypeError, KeyError, OSError) as error:
        raise BadFile(f"{path.name}: {error}") from error
    rows = ((number, text.model_dump()) for number, pair in enumerate(twins, start=1) for text in pair.scenarios())
    report = _store("twins", rows, source=path.name, held_out=False)
    _record(report, source=path.name, by=by)
    return report


def _record(report: Report, *, source: str, by: ledger.Actor) -> None:
    if not report.accepted:
        return
    counts = {
        "accepted": report.accepted,
        "duplicate": len(report.duplicates),
        "refused": len(report.refusals),
    }
    ledger.append(action="scenarios added", by=by, subject=f"file:{source}"[:100], detail=counts)


def _store(name: str, rows: Rows, *, source: str, held_out: bool, registered: Reserved | None = None) -> Report:
    report = Report(format=name)
    while batch := list(islice(rows, BATCH)):
        found = _checked(batch, report, held_out=held_out)
        _store_batch(_unregistered(found, report, registered), report, source=source)
    report.refusals.sort(key=lambda refusal: refusal.line)
    report.duplicates.sort()
    return report


def _checked(batch: list[Row], report: Report, *, held_out: bool) -> dict[str, tuple[int, ScenarioText]]:
    """The usable rows of a batch by digest; the others go into the report."""
    found: dict[str, tuple[int, ScenarioText]] = {}
    for line, content in batch:
        try:
            text = ScenarioText.model_validate({"held_out": held_out, **content})
        except ValidationError as error:
            report.refusals.append(Refusal(line, sentences(error).replace("\n", "; ")))
            continue
        if text.digest in found:
            report.duplicates.append(line)
            continue
        found[text.digest] = (line, text)
    return found


def _unregistered(
    found: dict[str, tuple[int, ScenarioText]], report: Report, registered: Reserved | None
) -> dict[str, tuple[int, ScenarioText]]:
    """Those that no registered evaluation set has, or that are held out; the others go into the report."""
    if not registered:
        return found
    kept = {}
    for key, (line, text) in found.items():
        reason = None if text.held_out else registered.why(text.prompt, text.label)
        if reason:
            report.refusals.append(Refusal(line, f"{reason.sentence}: import it as held out"))
        else:
            kept[key] = (line, text)
    return kept


def _store_batch(found: dict[str, tuple[int, ScenarioText]], report: Report, *, source: str) -> None:
    known = set(Scenario.objects.filter(digest__in=found).values_list("digest", flat=True))
    report.duplicates += [line for key, (line, _) in found.items() if key in known]
    fresh = [text.row(source) for key, (_, text) in found.items() if key not in known]
    report.accepted += len(Scenario.objects.bulk_create(fresh))


def reader(file: str, stream: Any) -> tuple[str, Rows]:
    """Tell the format by what the file looks like; raises BadFile where it looks like none."""
    suffix = Path(file).suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        return "JSON lines", _json_lines(stream)
    if suffix != ".csv":
        raise BadFile(f"{file}: a .csv or a .jsonl file is expected.")
    cells = csv.reader(stream, strict=True)
    header = next(cells, None)
    if not header:
        raise BadFile(f"{file} is empty.")
    columns = {name.strip().casefold(): place for place, name in enumerate(header)}
    for name, needed, read in CSV_FORMATS:
        if needed <= columns.keys():
            return name, _csv_rows(cells, columns, read)
    if len(header) == 1:
        return "AdvBench", _one_column(header, cells)
    raise BadFile(f"{file}: the columns {', '.join(header)[:200]} are those of no format that is known here.")


def _json_lines(stream: Any) -> Rows:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        content = json_value(line)
        if isinstance(content, ValueError):
            raise BadFile(f"Line {number} {content}.") from content
        yield number, content if isinstance(content, dict) else {"prompt": None}


def json_value(line: str | bytes) -> Any:
    """What a line of JSON says; a ValueError with the reason, not raised, where it is none."""
    try:
        content = json.loads(line)
        json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        return ValueError(f"is not JSON: {error.msg}")
    except UnicodeDecodeError:
        return ValueError("is not text in UTF-8")
    except UnicodeEncodeError:
        return ValueError("has half a character, such as \\ud800, which is no text")
    except RecursionError:
        return ValueError("is not JSON that can be read: it is nested too deep")
    return content


def _csv_rows(lines: Any, columns: dict[str, int], read: Callable[[dict[str, str]], dict[str, Any]]) -> Rows:
    for cells in lines:
        row = {name: cells[place] if place < len(cells) else "" for name, place in columns.items()}
        yield lines.line_num, read(row)


def _one_column(header: list[str], lines: Any) -> Rows:
    """AdvBench as it is passed around: one harmful request a line and no header."""
    yield 1, {"prompt": header[0], "label": Label.HARMFUL}
    for cells in lines:
        yield lines.line_num, {"prompt": cells[0] if cells else "", "label": Label.HARMFUL}


def _xstest(row: dict[str, str]) -> dict[str, Any]:
    return {"prompt": row["prompt"], "label": XSTEST_LABELS.get(row["label"], row["label"])}


def _harmbench(row: dict[str, str]) -> dict[str, Any]:
    parts = [row.get("contextstring", ""), row["behavior"]]
    return {"prompt": "\n\n".join(part for part in parts if part), "label": Label.HARMFUL}


def _advbench(row: dict[str, str]) -> dict[str, Any]:
    return {"prompt": row["goal"], "label": Label.HARMFUL}


def _edge_case(row: dict[str, str]) -> dict[str, Any]:
    """The columns of an edge case are its fields, those of its context among them; empty cells say nothing."""
    found: dict[str, Any] = {name: row[name] for name in EDGE_CASE_COLUMNS if row.get(name, "").strip()}
    context = {name: row[name] for name in DIMENSIONS if row.get(name, "").strip()}
    return {**found, "context": context} if context else found


EDGE_CASE_COLUMNS = ("prompt", "response", "signal", "principle", "why", "label")
CSV_FORMATS: tuple[tuple[str, set[str], Callable[[dict[str, str]], dict[str, Any]]], ...] = (
    ("edge cases", {"prompt", "response", "principle"}, _edge_case),
    ("XSTest", {"prompt", "label", "type"}, _xstest),
    ("HarmBench", {"behavior", "semanticcategory"}, _harmbench),
    ("AdvBench", {"goal"}, _advbench),
)
