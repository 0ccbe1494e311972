"""Whether a text says nearly the same as one of another set: by the runs of five characters that both have. Pure.

A text is kept as a sketch: the digest of its words, and which of 65,536 numbers its runs fall on. Shares of common
runs are counted, not estimated: for requests of a sentence that is smaller than a MinHash signature of 128 numbers (512
bytes), it has no error where that one's is 0.04, and it also tells a text that stands inside a longer one. A sketch is
not the text, but who guesses it can check the guess, and much of it could be pieced together.

Thresholds are measured on known pairs: docs/measurements.md, "Near-duplicates".
"""

import hashlib
import re
import sys
import unicodedata
import zlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUN = 5
BUCKETS = 1 << 16
# Shares of common runs: of all runs of both texts, and of those of the shorter one, which may stand inside the other.
ALIKE, INSIDE = 0.5, 0.75
# A text of fewer runs says too little to be found inside another; it has to be the same, or alike as a whole.
LEAST_INSIDE = 20
LABELS = ("harmful", "benign")


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is kept of a text: SHA-256 of its normalised words, and the sorted numbers of its runs, two bytes each."""

    digest: str
    marks: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A text of a set: its sketch, whether it is harmful or benign where that is known, and whose it is."""

    sketch: Sketch
    label: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """The entry that is most alike, and the share of common runs; `is_same` where the words are the same."""

    entry: Entry
    share: float
    is_same: bool


def normalise(text: str) -> str:
    """The form in which texts are compared: letters and digits alone, case folded."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


def sketch(text: str) -> Sketch:
    """The sketch of a text. Equal words give equal sketches on every machine."""
    words = normalise(text)
    padded = f" {words} "
    runs = {padded[start : start + RUN] for start in range(max(1, len(padded) - RUN + 1))}
    marks = array("H", sorted({zlib.crc32(run.encode()) % BUCKETS for run in runs}))
    if sys.byteorder == "big":
        marks.byteswap()
    return Sketch(hashlib.sha256(words.encode()).hexdigest(), marks.tobytes())


class Index:
    """The texts of some sets, ready to be asked which of them a text comes near to. Memory: about 6 bytes a run."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        # Loaded where texts are compared: pages have no use for it.
        import numpy as np

        self.entries = tuple(entries)
        self._by_digest: dict[str, list[int]] = {}
        for place, entry in enumerate(self.entries):
            self._by_digest.setdefault(entry.sketch.digest, []).append(place)
        self._sizes = np.array([len(entry.sketch.marks) // 2 for entry in self.entries], dtype=np.int64)
        # The places of the texts that have a mark, mark after mark; `_starts` says where each mark's begin.
        self._starts = np.zeros(BUCKETS + 1, dtype=np.int64)
        for entry in self.entries:
            self._starts[_marks(entry.sketch).astype(np.int64) + 1] += 1
        self._starts = np.cumsum(self._starts)
        self._places = np.empty(int(self._starts[-1]), dtype=np.uint32)
        free = self._starts.copy()
        for place, entry in enumerate(self.entries):
            marks = _marks(entry.sketch)  # each once, so that every one of them finds a free place
            self._places[free[marks]] = place
            free[marks] += 1

    def __len__(self) -> int:
        return len(self.entries)

    def nearest(self, asked: Sketch, *, label: str = "") -> Match | None:
        """The entry that says the same or nearly the same, the most alike first; None where none does.

        A text of the other label is a contrast twin, near on purpose: it counts only where the words are the same.
        Without a label on either side, being near is enough.
        """
        if same := self._by_digest.get(asked.digest):
            return Match(self.entries[same[0]], 1.0, is_same=True)
        if not self.entries:
            return None
        for place, share in self._alike(asked):
            if _may_be_duplicates(label, self.entries[place].label):
                return Match(self.entries[place], share, is_same=False)
        return None

    def _alike(self, asked: Sketch) -> list[tuple[int, float]]:
        """(place, share) of all that are alike, or stand inside one another, the most alike first."""
        import numpy as np

        marks = _marks(asked)
        found = np.concatenate([self._places[self._starts[mark] : self._starts[mark + 1]] for mark in marks.tolist()])
        common = np.bincount(found, minlength=len(self.entries))
        shorter = np.minimum(self._sizes, len(marks))
        whole = common / (self._sizes + len(marks) - common)
        inside = np.where(shorter >= LEAST_INSIDE, common / shorter, 0.0)
        near = np.flatnonzero((whole >= ALIKE) | (inside >= INSIDE))
        shares = [(int(place), float(max(whole[place], inside[place]))) for place in near]
        return sorted(shares, key=lambda pair: (-pair[1], pair[0]))


def _may_be_duplicates(one: str, other: str) -> bool:
    return not (one in LABELS and other in LABELS and one != other)


def _marks(of: Sketch) -> "NDArray[np.uint16]":
    import numpy as np

    return np.frombuffer(of.marks, dtype="<u2")
