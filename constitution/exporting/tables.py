"""Every change of the history as one row of a table, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Iterator

from constitution.diffs import Change, changes
from constitution.exporting.histories import Published
from constitution.texts import ClauseText

COLUMNS = ("version", "date", "principle", "kind", "changed", "before", "after", "author", "amendment")
FIELDS = tuple(name for name in ClauseText.model_fields if name != "principle")
# A cell that begins with one of these is a formula to a spreadsheet, and could act on the reader's computer.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def changes_csv(versions: Iterable[Published]) -> Iterator[str]:
    """The lines of the table, its heading first. A cell that could be taken for a formula begins with a quote mark."""
    yield line(COLUMNS)
    before: tuple[ClauseText, ...] = ()
    for version in versions:
        for change in changes(before, version.clauses):
            yield line(_cells(version, change))
        before = version.clauses


def _cells(version: Published, change: Change) -> tuple[str, ...]:
    old, new = change.before, change.after
    return (
        str(version.number),
        f"{version.published_at:%Y-%m-%d}",
        change.principle,
        change.kind,
        ", ".join(name for name in FIELDS if old and new and getattr(old, name) != getattr(new, name)),
        old.text if old else "",
        new.text if new else "",
        version.author,
        version.amendment,
    )


def line(cells: Iterable[str]) -> str:
    """One line of a table for spreadsheets, without formulas."""
    written = io.StringIO()
    csv.writer(written).writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells])
    return written.getvalue()
