"""A markdown document as sections: headings of the form `## Title {#section_id authority=level tags=a,b}`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from constitution.importing.notes import Note, readable

FENCE = re.compile(r"^ {0,3}(~{3,}|`{3,})")


class Row(NamedTuple):
    """A line of the file and its number, from 1."""

    number: int
    text: str


@dataclass(slots=True)
class Section:
    """What stands between one heading and the next. `authority` is empty where the heading names none."""

    id: str
    title: str
    line: int
    authority: str = ""
    tags: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(row.text for row in self.rows).strip()


class FenceWatch:
    """Knows while lines go by whether they stand inside a fenced block, where `#` begins no heading."""

    def __init__(self) -> None:
        self.mark = ""

    def is_inside(self, line: str) -> bool:
        """Whether `line` belongs to a fenced block, its first and last line included."""
        found = FENCE.match(line)
        if not self.mark:
            self.mark = found[1] if found else ""
            return bool(found)
        if found and found[1].startswith(self.mark) and not line.strip().strip(self.mark[0]):
            self.mark = ""
        return True


def read_sections(content: str) -> tuple[list[Section], list[Note]]:
    """The sections in order, and notes on characters taken out, headings without an id and a block left open.

    What stands before the first heading is a section without id or title.
    """
    sections, notes = [Section(id="", title="", line=1)], list[Note]()
    fence = FenceWatch()
    for row in _rows(content, notes):
        heading = None if fence.is_inside(row.text) or not row.text.startswith("#") else _heading(row)
        if heading is None:
            sections[-1].rows.append(row)
        elif heading.id:
            sections.append(heading)
        else:
            sections[-1].rows.append(row)
            notes.append(Note("kept", row.number, sections[-1].id, f"The heading “{heading.title}” has no id."))
    if fence.mark:
        notes.append(Note("kept", 0, sections[-1].id, f"A block that begins with {fence.mark} is never closed."))
    return [section for section in sections if section.id or section.text], notes


def _rows(content: str, notes: list[Note]) -> Iterator[Row]:
    for number, raw in enumerate(content.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        text, hidden = readable(raw)
        if hidden:
            notes.append(Note("character", number, "", f"Hidden characters were taken out: {hidden}."))
        yield Row(number, text)


def _heading(row: Row) -> Section:
    """The heading as an empty section; without an id where it has no `{#id ...}` at its end."""
    title, line = row.text.lstrip("#"), row.text.rstrip()
    opening = line.rfind("{#")
    if opening < 0 or not line.endswith("}"):
        return Section(id="", title=title.strip(), line=row.number)
    words = line[opening + 2 : -1].split()
    named = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    return Section(
        id=words[0] if words else "",
        title=line[:opening].lstrip("#").strip(),
        line=row.number,
        authority=named.get("authority", ""),
        tags=tuple(tag for tag in named.get("tags", "").split(",") if tag),
    )
