"""What changed between two texts, word by word, and between two versions, clause by clause."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from constitution.sentences import split
from constitution.texts import ClauseText

Kind = Literal["equal", "ins", "del", "fold"]
TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
# Of words that stayed, this many are shown at each side of a change; a longer run is folded.
AROUND = 30
# Three words in a row, shared by this part of both texts (Dice), make a new principle an old one under a new id.
NEARLY_THE_SAME = 0.6


class Segment(NamedTuple):
    """A run of words that stayed, came or went. A fold stayed too, and is too long to be read again."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one principle between two versions: `before` or `after` is None where it came or went."""

    principle: str
    before: ClauseText | None
    after: ClauseText | None

    @property
    def kind(self) -> str:
        if self.before is None:
            return "added"
        if self.after is None:
            return "repealed"
        return "revised" if self.before.principle == self.after.principle else "renamed"


def redline(before: str, after: str) -> list[Segment]:
    """The words of `before` and `after` as segments; dropping "ins" gives `before`, dropping "del" gives `after`.

    Sentences are matched first and words within those that differ, so that long texts stay quick and readable.
    A space between two changes is part of one longer change.
    """
    runs = list(_runs(before, after))
    segments: list[Segment] = []
    gone = come = ""
    for place, (is_equal, old, new) in enumerate(runs, start=1):
        if is_equal and (not (gone or come) or place == len(runs) or old.strip()):
            segments += [*_change(gone, come), Segment("equal", old)]
            gone = come = ""
        else:
            gone, come = gone + old, come + new
    return list(_joined([*segments, *_change(gone, come)]))


def _runs(before: str, after: str) -> Iterator[tuple[bool, str, str]]:
    """(is_equal, old, new): `old` became `new`."""
    for is_equal, old, new in _matched(split(before), split(after)):
        if is_equal:
            yield True, old, new
        else:
            yield from _matched(TOKEN.findall(old), TOKEN.findall(new))


def _matched(old: list[str], new: list[str]) -> Iterator[tuple[bool, str, str]]:
    # What is everywhere in a long text (spaces, "the") is matched only beside what is not: without that, the time
    # grows with the square of the length.
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=True).get_opcodes():
        yield tag == "equal", "".join(old[i:j]), "".join(new[k:m])


def _change(gone: str, come: str) -> list[Segment]:
    return [*([Segment("del", gone)] if gone else []), *([Segment("ins", come)] if come else [])]


def _joined(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Neighbours that both stayed are one."""
    stayed = ""
    for segment in segments:
        if segment.kind == "equal":
            stayed += segment.text
            continue
        if stayed:
            yield Segment("equal", stayed)
        stayed = ""
        yield segment
    if stayed:
        yield Segment("equal", stayed)


def fold(segments: Sequence[Segment]) -> list[Segment]:
    """The same for reading: long runs of words that stayed are folds, but for the words next to a change.

    White space before words that came or went stands outside, so that their mark is on the line that they are on.
    White space that alone came or went is not marked.
    """
    folded: list[Segment] = []
    for place, (kind, text) in enumerate(segments):
        if kind == "equal" and len(segments) > 1:
            ends = (0 if place == 0 else AROUND, 0 if place == len(segments) - 1 else AROUND)
            folded += _folded(text, *ends)
        elif words := text.lstrip():
            space = text[: len(text) - len(words)]
            folded += [*([Segment("equal", space)] if space else []), Segment(kind, words)]
        elif kind != "del":
            folded.append(Segment("equal", text))
    return folded


def _folded(text: str, first: int, last: int) -> list[Segment]:
    words = re.findall(r"\s*\S+\s*", text)
    if len(words) <= first + last + AROUND:
        return [Segment("equal", text)]
    end = len(words) - last
    parts = (("equal", words[:first]), ("fold", words[first:end]), ("equal", words[end:]))
    return [Segment(kind, "".join(part)) for kind, part in parts if part]  # type: ignore[arg-type]


def changes(before: Iterable[ClauseText], after: Iterable[ClauseText]) -> list[Change]:
    """The principles whose clause differs, in the order of `after`, then those that went."""
    old = {clause.principle: clause for clause in before}
    new = {clause.principle: clause for clause in after}
    changed = [Change(name, old.get(name), clause) for name, clause in new.items() if old.get(name) != clause]
    return changed + [Change(name, clause, None) for name, clause in old.items() if name not in new]


def with_renames(found: Sequence[Change]) -> list[Change]:
    """The same with each principle that went and came back under another id as one change.

    What came is paired with what went where their texts are nearly the same, the closest first.
    """
    gone = {change.principle: change.before for change in found if change.before and not change.after}
    come = {change.principle: change.after for change in found if change.after and not change.before}
    names = _renames(gone, come)
    kept = [change for change in found if change.principle not in names.values() or change.after]
    return [
        Change(change.principle, gone[names[change.principle]], change.after)
        if change.principle in names and change.before is None
        else change
        for change in kept
    ]


def _renames(gone: dict[str, ClauseText], come: dict[str, ClauseText]) -> dict[str, str]:
    """New id -> old id."""
    old = {name: _shingles(clause) for name, clause in gone.items()}
    new = {name: _shingles(clause) for name, clause in come.items()}
    holders: dict[tuple[str, ...], list[str]] = {}
    for name, found in old.items():
        for shingle in found:
            holders.setdefault(shingle, []).append(name)
    scores = [
        (2 * shared / (len(found) + len(old[other])), name, other)
        for name, found in new.items()
        for other, shared in Counter(other for shingle in found for other in holders.get(shingle, ())).items()
    ]
    pairs: dict[str, str] = {}
    for score, name, other in sorted(scores, key=lambda row: (-row[0], row[1], row[2])):
        if score >= NEARLY_THE_SAME and name not in pairs and other not in pairs.values():
            pairs[name] = other
    return pairs


def _shingles(clause: ClauseText) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", clause.text.casefold())
    return {tuple(words[place : place + 3]) for place in range(max(1, len(words) - 2))}


def moves(before: Sequence[str], after: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The fewest names that have to move for one order to become the other: name -> (old place, new place), from 1.

    Only names in both count: what stands elsewhere because something came or went before it has not moved.
    """
    old = {name: place for place, name in enumerate(before, start=1)}
    places = {name: (old[name], place) for place, name in enumerate(after, start=1) if name in old}
    stayed = _stayed(list(places.values()))
    return {name: place for name, place in places.items() if place[0] not in stayed}


def _stayed(places: Sequence[tuple[int, int]]) -> set[int]:
    """The old places of a longest increasing subsequence; of several, one with the most that kept their number.

    `places` are (old, new) by `new`. O(n log n), with a Fenwick tree of the best subsequence that ends at or before
    an old place: its weight, and its last member.
    """
    size = max((old for old, _ in places), default=0)
    best = [(0, 0)] * (size + 1)
    below: dict[int, int] = {}
    for old, new in places:
        weight, below[old] = max(best[at] for at in _down(old - 1))
        # One more member always weighs more than any number of members that kept their place.
        found = (weight + len(places) + 1 + (old == new), old)
        for at in _up(old, size):
            best[at] = max(best[at], found)
    members: set[int] = set()
    last = max(best[at] for at in _down(size))[1]
    while last:
        members.add(last)
        last = below[last]
    return members


def _down(at: int) -> Iterator[int]:
    """The nodes of a Fenwick tree that cover 1 to `at`; node 0 is empty."""
    while at > 0:
        yield at
        at &= at - 1
    yield 0


def _up(at: int, size: int) -> Iterator[int]:
    """The nodes that cover `at`."""
    while at <= size:
        yield at
        at += at & -at
