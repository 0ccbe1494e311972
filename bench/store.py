"""What a long measurement has found so far: one that was ended goes on where it was."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Store:
    """Entries by key in a file of JSON lines that only grows; a line that a kill cut short is passed over."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._known = path, dict[str, Any]()
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                key, value = json.loads(line)
            except ValueError:
                continue
            self._known[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Any:
        return self._known[key]

    def put(self, entries: Iterable[tuple[str, Any]]) -> None:
        with self.path.open("a") as stream:
            for key, value in entries:
                self._known[key] = value
                stream.write("\n" * (stream.tell() > 0) + json.dumps([key, value]))
