"""The history that another installation exported as JSON, read back as the values it was written from."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ValidationError

from constitution.digests import digest
from constitution.errors import BadFile
from constitution.exporting.histories import Published
from constitution.importing.markdown import MAX_BYTES
from constitution.texts import ClauseText, Line, sentences


class Person(BaseModel):
    name: str
    username: str


class Row(BaseModel):
    """A line of versions.jsonl."""

    subject: Line
    number: int
    digest: str
    parent: str | None
    title: Line
    summary: str
    published_at: AwareDatetime
    published_by: Person
    amendment: str
    clauses: list[str]


def read_history(folder: Path) -> Iterator[Published]:
    """The versions in `folder`, oldest first. Raises BadFile at the first line that is not what its digest says."""
    clauses = dict(_clauses(folder / "clauses.jsonl"))
    for place, content in _lines(folder / "versions.jsonl"):
        try:
            row = Row.model_validate(content)
        except ValidationError as error:
            raise BadFile(f"{place}: {sentences(error)}") from error
        yield _published(row, clauses, place)


def _published(row: Row, clauses: Mapping[str, ClauseText], place: str) -> Published:
    if absent := [found for found in row.clauses if found not in clauses]:
        raise BadFile(f"{place}: the clause {absent[0]} is not in clauses.jsonl.")
    if digest(row.clauses) != row.digest:
        raise BadFile(f"{place}: version {row.number} was altered, its digest does not match its clauses.")
    return Published(
        subject=row.subject,
        number=row.number,
        digest=row.digest,
        parent=row.parent,
        title=row.title,
        summary=row.summary,
        published_at=row.published_at,
        author=row.published_by.name,
        username=row.published_by.username,
        amendment=row.amendment,
        clauses=tuple(clauses[found] for found in row.clauses),
    )


def _clauses(path: Path) -> Iterator[tuple[str, ClauseText]]:
    for place, content in _lines(path):
        try:
            clause = ClauseText.model_validate(content.get("content"))
        except ValidationError as error:
            raise BadFile(f"{place}: {sentences(error)}") from error
        if clause.digest != content.get("digest"):
            raise BadFile(f"{place}: this wording of {clause.principle} was altered, its digest does not match it.")
        yield clause.digest, clause


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in a file, one a line, each with its place for a sentence."""
    number = 0
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            while line := file.readline(MAX_BYTES + 1):
                number += 1
                yield f"{path.name}, line {number}", _object(line)
    except (OSError, ValueError, RecursionError) as error:
        raise BadFile(f"{path.name}, line {number}: {error}") from error


def _object(line: str) -> dict[str, Any]:
    """Raises ValueError where the line is longer than it may be, or no JSON object."""
    if len(line) > MAX_BYTES:
        raise ValueError(f"the line is longer than {MAX_BYTES:,} characters")
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("this is not an object")
    return value
