"""What changed between two texts, word by word, and between two versions, clause by clause."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from constitution.texts import ClauseText

Kind = Literal["equal", "ins", "del"]
TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


class Segment(NamedTuple):
    """A run of words that stayed, came or went."""

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
        return "repealed" if self.after is None else "revised"


def redline(before: str, after: str) -> list[Segment]:
    """The words of `before` and `after` as segments; dropping "ins" gives `before`, dropping "del" gives `after`."""
    old, new = TOKEN.findall(before), TOKEN.findall(after)
    segments: list[Segment] = []
    for is_equal, i, j, k, m in _runs(old, new):
        if is_equal:
            segments.append(Segment("equal", "".join(old[i:j])))
            continue
        segments += [Segment("del", "".join(old[i:j]))] if j > i else []
        segments += [Segment("ins", "".join(new[k:m]))] if m > k else []
    return segments


def _runs(old: list[str], new: list[str]) -> Iterator[tuple[bool, int, int, int, int]]:
    """(is_equal, i, j, k, m): old[i:j] became new[k:m]. A space between two changes is part of one longer change."""
    change: tuple[int, int, int, int] | None = None
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for place, (tag, i, j, k, m) in enumerate(codes):
        is_last = place == len(codes) - 1
        if tag == "equal" and (change is None or is_last or "".join(old[i:j]).strip()):
            if change:
                yield False, *change
            change = None
            yield True, i, j, k, m
        else:
            change = (change[0], j, change[2], m) if change else (i, j, k, m)
    if change:
        yield False, *change


def changes(before: Iterable[ClauseText], after: Iterable[ClauseText]) -> list[Change]:
    """The principles whose clause differs, in the order of `after`, then those that went."""
    old = {clause.principle: clause for clause in before}
    new = {clause.principle: clause for clause in after}
    changed = [Change(name, old.get(name), clause) for name, clause in new.items() if old.get(name) != clause]
    return changed + [Change(name, clause, None) for name, clause in old.items() if name not in new]
