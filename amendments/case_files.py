"""Edge cases that come in a file: JSON lines or csv, read as they are stored, and taken whole or not at all."""

import codecs
import csv
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from django.db import transaction
from pydantic import ValidationError

from amendments.cases import CaseText, Filing, Row, check_may_add
from amendments.reserved import Reserved, registered_entries
from amendments.scenarios import BATCH, Refusal, Report, ScenarioText, json_value, reader
from config.live import publish as announce
from constitution import ledger
from constitution.errors import BadFile, Refused
from constitution.models import User
from constitution.texts import sentences

MOST_BYTES = 10 * 1024 * 1024
# Beyond these nobody reads on: the file is another one than was meant.
MOST_REFUSED = 1000


class RowsRefused(Refused):
    """Some rows cannot be used, and the person wanted all or none: see `report`."""

    status = 422

    def __init__(self, report: Report) -> None:
        self.report = report
        count = len(report.refusals)
        super().__init__(f"{count} row{'s' if count > 1 else ''} cannot be used, so nothing was added.")


@transaction.atomic
def import_cases(*, stream: IO[bytes], name: str, by: User, is_valid_only: bool = False) -> Report:
    """Add the edge cases of a file, in the name of `by`. A row without a response is a request that is to be read.

    A request of a registered evaluation set cannot be used: what proposes on it could not be measured by it.
    Raises RowsRefused where a row cannot be used, unless `is_valid_only`; BadFile where the file cannot be read. Then
    nothing is added.
    """
    check_may_add(by)
    try:
        format_name, rows = _rows(name, stream)
        report = Report(format=format_name)
        filing = Filing(by=by, source=name)
        registered = Reserved(registered_entries())
        while batch := list(islice(rows, BATCH)):
            filing.keep(list(_checked(batch, report, registered)), report)
            _check_worth_it(report)
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadFile(f"{name} cannot be read as text: {error}") from error
    report.refusals.sort(key=lambda refusal: refusal.line)
    report.duplicates.sort()
    if report.refusals and not is_valid_only:
        raise RowsRefused(report)
    if report.accepted:
        _record(report, name=name, by=by)
    return report


def _rows(name: str, stream: IO[bytes]) -> tuple[str, Iterator[tuple[int, Any]]]:
    if name.lower().endswith((".jsonl", ".ndjson")):
        return "JSON lines", _json_lines(stream)
    return reader(name, codecs.iterdecode(stream, "utf-8-sig"))


def _json_lines(stream: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Each line by itself: one that is no JSON, or no text, is refused and the others are read."""
    for number, line in enumerate(stream, start=1):
        if line.strip():
            yield number, json_value(line.removeprefix(codecs.BOM_UTF8))


def _checked(batch: list[tuple[int, Any]], report: Report, registered: Reserved) -> Iterator[Row]:
    """The usable rows of a batch; the others go into the report."""
    for line, content in batch:
        try:
            text = _text(content)
            if reason := registered.why(text.prompt):
                raise ValueError(reason.sentence)
            yield line, text
        except ValidationError as error:
            report.refusals.append(Refusal(line, sentences(error).replace("\n", "; ")))
        except ValueError as error:
            report.refusals.append(Refusal(line, str(error)))


def _text(content: Any) -> CaseText | ScenarioText:
    if isinstance(content, ValueError):
        raise content
    if not isinstance(content, dict):
        raise ValueError("is no edge case: a line is an object with a prompt, a response, a principle and why")
    return CaseText.model_validate(content) if content.get("response") else ScenarioText.model_validate(content)


def _check_worth_it(report: Report) -> None:
    if len(report.refusals) > MOST_REFUSED:
        first = report.refusals[0]
        raise BadFile(
            f"More than {MOST_REFUSED:,} rows cannot be used, the first in line {first.line}: {first.reason}. "
            "Nothing was added."
        )


def _record(report: Report, *, name: str, by: User) -> None:
    counts = {"accepted": report.accepted, "duplicate": len(report.duplicates), "refused": len(report.refusals)}
    ledger.append(action="edge cases imported", by=by, subject=f"file:{name}"[:100], detail=counts)
    announce("queue")
