"""Files that are either whole or absent, and digests that say which bytes they hold."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def write_text(path: Path, text: str) -> None:
    """Replace `path` in one step: a reader, or a start after a kill, sees the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    partial.replace(path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, all of them or none."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Row:
    """Read one JSON object; anything else is a ValueError that names the file."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"{path.name} does not hold a JSON object.")
    return value


def read_rows(path: Path) -> list[Row]:
    """Read the rows that `write_rows` wrote. Splits on line feeds only: a text may hold U+2028."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def digest_file(path: Path) -> str:
    """SHA-256 of the bytes, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def digest_folder(folder: Path, pattern: str = "*") -> str:
    """SHA-256 over the names and digests of the matching files directly inside `folder`."""
    lines = [f"{path.name} {digest_file(path)}" for path in sorted(folder.glob(pattern)) if path.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
