"""What an import says about a document: where it could not, or could only partly, say the same."""

from dataclasses import dataclass
from typing import Literal

from constitution.texts import HIDDEN

# unmapped: is in no clause. kept: stays in the text of its clause as it was written. example: became decided examples.
# link: points to a file of examples. reference: points to what is no clause. character: was taken out.
# scope: holds in fewer places than ours can say. release: concerns the release before this one.
Kind = Literal["unmapped", "kept", "example", "link", "reference", "character", "scope", "release"]


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the report. `line` counts from 1 in the imported file; 0 is the file as a whole."""

    kind: Kind
    line: int
    section: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.section or 'no section'}: {self.text}"


def readable(line: str) -> tuple[str, str]:
    """`line` without hidden characters, and the code points that were taken out ("U+202E, U+0007")."""
    found = sorted(set(HIDDEN.findall(line)))
    return HIDDEN.sub("", line), ", ".join(f"U+{ord(mark):04X}" for mark in found)
