"""Where releases lie on a disk: `versions/DATE.md`, `examples/NAME.md` and `CHANGELOG.md` in one folder.

Only plain files that lie in these two folders are read, by their own names: nothing that a document says becomes a
path.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from constitution.errors import BadFile
from constitution.importing.markdown import MAX_BYTES
from constitution.importing.notes import readable

DATED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
NAMED = re.compile(r"[A-Za-z0-9_-]{1,40}")
LOGGED = re.compile(r"^## v?([0-9]{4})[.-]([0-9]{2})[.-]([0-9]{2}) *$")
MAX_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Source:
    """The folder as it was found: dated files, oldest first, and the texts beside them."""

    files: tuple[tuple[date, Path], ...]
    linked: Mapping[str, str]
    summaries: Mapping[date, str]


def open_folder(folder: Path) -> Source:
    """What is to be imported; the releases themselves are read one by one. Raises BadFile where there is none."""
    files = tuple(sorted((_date(path), path) for path in _markdown(folder / "versions", DATED)))
    if not files:
        raise BadFile(f"There is no release in {folder}: it needs files like versions/2025-02-12.md.")
    log = folder / "CHANGELOG.md"
    return Source(
        files=files,
        linked={path.stem: read_text(path) for path in _markdown(folder / "examples", NAMED)},
        summaries=read_change_log(read_text(log)) if log.is_file() else {},
    )


def read_text(path: Path) -> str:
    """The text of a plain file of bounded size. Raises BadFile with the reason where it is none."""
    try:
        if path.is_symlink() or not path.is_file():
            raise BadFile(f"{path} is not a plain file.")
        if path.stat().st_size > MAX_BYTES:
            raise BadFile(f"{path} is larger than {MAX_BYTES:,} bytes.")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path} cannot be read: {error}") from error


def read_change_log(content: str) -> dict[date, str]:
    """What the document's own change log says of each release, by its date: headings `## v2025.02.12`."""
    texts, lines = dict[date, list[str]](), list[str]()
    for raw in content.splitlines():
        line = readable(raw)[0]
        if found := LOGGED.match(line):
            lines = texts.setdefault(_date_of(*found.groups()), [])
        else:
            lines.append(line)
    return {day: "\n".join(said).strip() for day, said in texts.items()}


def _markdown(folder: Path, name: re.Pattern[str]) -> Iterator[Path]:
    paths = sorted(path for path in folder.glob("*.md") if name.fullmatch(path.stem)) if folder.is_dir() else []
    if len(paths) > MAX_FILES:
        raise BadFile(f"{folder} has more than {MAX_FILES:,} files.")
    yield from paths


def _date(path: Path) -> date:
    return _date_of(*path.stem.split("-"))


def _date_of(year: str, month: str, day: str) -> date:
    try:
        return date(int(year), int(month), int(day))
    except ValueError as error:
        raise BadFile(f"{year}-{month}-{day} is not a date.") from error
