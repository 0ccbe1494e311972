"""Whether a text says nearly the same as one of another set: by the runs of five characters that both have. Pure.

A text is kept as a sketch: the digest of its words, and which of 65,536 numbers its runs fall on. Shares of common
runs are counted, not estimated: for requests of a sentence that is smaller than a MinHash signature of 128 numbers (512
bytes), it has no error where that one's is 0.04, and it also tells a text that stands inside a longer one. A sketch is
not the text, but who guesses it can check the guess, and much of it could be pieced together.

Thresholds are measured on known pairs: docs/measurements.md, "Near-duplicates".
"""

import hashlib
import math
import re
import sys
import unicodedata
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN = 5
BUCKETS = 1 << 16
# Shares of common runs: of all runs of both texts, and of those of the shorter one, which may stand inside the other.
ALIKE, INSIDE = 0.5, 0.75
# A text of fewer runs says too little to be found inside another; it has to be the same, or alike as a whole.
LEAST_INSIDE = 20
LABELS = ("harmful", "benign")
# How much longer the texts of a band may be than its shortest, and how many lists are read beyond the fewest that would
# do: with more of them fewer texts have to be compared.
BAND, SPARE = 1.25, 12


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is kept of a text: SHA-256 of its normalised words, and the sorted numbers of its runs, two bytes each."""

    digest: str
    marks: bytes

    @property
    def size(self) -> int:
        """How many different runs it has."""
        return len(self.marks) // 2


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
    """The texts of some sets, ready to be asked which of them a text comes near to. Memory: about 6 bytes a run.

    Most texts are never compared. What is near must have so many runs in common, by both sizes, that it has some even
    of those that the fewest texts have; so texts of about one size stand together, and only the lists of the rarest
    runs are read. Nothing that comparing with each would find is missed.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)
        self._by_digest: dict[str, list[int]] = {}
        bands: dict[int, list[int]] = {}
        for place, entry in enumerate(self.entries):
            self._by_digest.setdefault(entry.sketch.digest, []).append(place)
            bands.setdefault(_band(entry.sketch.size), []).append(place)
        self._bands = [_Band(self.entries, bands[number]) for number in sorted(bands)]

    def __len__(self) -> int:
        return len(self.entries)

    def nearest(self, asked: Sketch, *, label: str = "") -> Match | None:
        """The entry that says the same or nearly the same, the most alike first; None where none does.

        A text of the other label is a contrast twin, near on purpose: it counts only where the words are the same.
        Without a label on either side, being near is enough.
        """
        if same := self._by_digest.get(asked.digest):
            return Match(self.entries[same[0]], 1.0, is_same=True)
        for place, share in self._alike(asked):
            if _may_be_duplicates(label, self.entries[place].label):
                return Match(self.entries[place], share, is_same=False)
        return None

    def _alike(self, asked: Sketch) -> list[tuple[int, float]]:
        """(place, share) of all that are alike, or stand inside one another, the most alike first."""
        marks = _marks(asked)
        is_asked = np.zeros(BUCKETS, dtype=bool)
        is_asked[marks] = True
        found: list[tuple[int, float]] = []
        for place in (place for band in self._bands for place in band.candidates(marks)):
            entry = self.entries[place].sketch
            share = _share(asked.size, entry.size, int(np.count_nonzero(is_asked[_marks(entry)])))
            if share is not None:
                found.append((place, share))
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))


class _Band:
    """Texts of about one size."""

    def __init__(self, entries: Sequence[Entry], places: Sequence[int]) -> None:
        sizes = [entries[place].sketch.size for place in places]
        self.least = min(sizes)
        self.count = len(places)
        self._global = np.array(places, dtype=np.uint32)
        marks = np.frombuffer(b"".join(entries[place].sketch.marks for place in places), dtype="<u2")
        # The texts that have a mark, mark after mark; `_starts` says where each mark's begin.
        self._texts = np.repeat(np.arange(len(places), dtype=np.uint32), sizes)[np.argsort(marks, kind="stable")]
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(marks, minlength=BUCKETS))])

    def candidates(self, marks: NDArray[np.uint16]) -> list[int]:
        """Places of all texts that could be near one with these marks, and few others."""
        starts, ends = self._starts[marks], self._starts[marks.astype(np.int64) + 1]
        often = ends - starts
        known = int(np.count_nonzero(often))
        needed = _needed(len(marks), self.least)
        if known < needed:
            return []
        # Of `needed` common runs at most so many are among those whose lists are not read.
        unread = max(0, needed - 1 - SPARE)
        rarest = np.argsort(often, kind="stable")[len(marks) - known : len(marks) - unread]
        read = np.concatenate([self._texts[starts[i] : ends[i]] for i in rarest.tolist()])
        enough = np.flatnonzero(np.bincount(read, minlength=self.count) >= needed - unread)
        return [int(place) for place in self._global[enough]]


def _band(size: int) -> int:
    """The number of the band for texts of so many runs: each is a quarter wider than the one before, and what is too
    short to be found inside another stands by itself."""
    size = max(size, 1)
    return int(math.log(size, BAND)) if size < LEAST_INSIDE else 1000 + int(math.log(size / LEAST_INSIDE, BAND))


def _needed(one: int, other: int) -> int:
    """How many runs a text of `one` has at least in common with any that is near it and has `other` or, being in the
    same band, more."""
    needed = (one + other) * ALIKE / (1 + ALIKE)
    if min(one, other) >= LEAST_INSIDE:
        needed = min(needed, min(one, other) * INSIDE)
    return max(1, math.ceil(needed - 1e-6))


def _share(one: int, other: int, common: int) -> float | None:
    """The share of common runs of two texts with so many each; None where they are not near."""
    whole = common / (one + other - common)
    shorter = min(one, other)
    inside = common / shorter if shorter >= LEAST_INSIDE else 0.0
    return max(whole, inside) if whole >= ALIKE or inside >= INSIDE else None


def _may_be_duplicates(one: str, other: str) -> bool:
    return not (one in LABELS and other in LABELS and one != other)


def _marks(of: Sketch) -> NDArray[np.uint16]:
    return np.frombuffer(of.marks, dtype="<u2")
