"""The manner of an answer, by plain signs that anybody can check: no model and no judge reads it. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from amendments.shares import NORMAL_95, Share

# From so many times as many words on, an answer is much longer; the other way round, much shorter.
MUCH = 1.5

_APOLOGY = re.compile(r"\b(?:sorry|apologi[sz]e|apologies|unfortunately)\b", re.IGNORECASE)
_REASON = re.compile(r"\b(?:because|since|due to|so that|as it (?:is|could|would))\b", re.IGNORECASE)
_OFFER = re.compile(r"\b(?:instead|happy to|glad to|i can help|let me know|feel free|contact)\b", re.IGNORECASE)


def apologises(text: str) -> bool:
    """Whether the first sentence says sorry."""
    return bool(_APOLOGY.search(re.split(r"(?<=[.!?])\s", text.strip(), maxsplit=1)[0]))


def gives_a_reason(text: str) -> bool:
    return bool(_REASON.search(text))


def offers_more(text: str) -> bool:
    """Whether it offers something else, or to go on."""
    return bool(_OFFER.search(text))


def exclaims(text: str) -> bool:
    return "!" in text


SIGNS: Mapping[str, Callable[[str], bool]] = {
    "says sorry first": apologises,
    "gives a reason": gives_a_reason,
    "offers something else": offers_more,
    "exclaims": exclaims,
}


@dataclass(frozen=True, slots=True)
class Sign:
    """How often a sign stands in the older and in the newer answers to the same requests."""

    name: str
    before: Share
    after: Share
    # The change in percentage points with its 95 % interval; none of no answers.
    change: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Tone:
    """How answers to the same requests differ in manner: n, the signs, and how many became much longer or shorter."""

    n: int
    signs: tuple[Sign, ...]
    longer: Share
    shorter: Share


def compare(pairs: Sequence[tuple[str, str]]) -> Tone:
    """The tone of (older, newer) answers, each to the same request."""
    lengths = [(len(before.split()), len(after.split())) for before, after in pairs]
    return Tone(
        n=len(pairs),
        signs=tuple(_sign(name, has, pairs) for name, has in SIGNS.items()),
        longer=Share(sum(after > MUCH * before for before, after in lengths), len(pairs)),
        shorter=Share(sum(before > MUCH * after for before, after in lengths), len(pairs)),
    )


def paired_change(gained: int, lost: int, n: int) -> tuple[float, float, float] | None:
    """The change of a share in points between paired answers, with its 95 % interval; None of no pairs.

    Agresti and Min (2005): Wald's interval for matched pairs after half a pair was added to each cell.
    """
    if not n:
        return None
    total = n + 2
    middle = (gained - lost) / total
    half = NORMAL_95 * sqrt(max(0.0, (gained + lost + 1) - (gained - lost) ** 2 / total)) / total
    return 100 * (gained - lost) / n, 100 * max(-1.0, middle - half), 100 * min(1.0, middle + half)


def _sign(name: str, has: Callable[[str], bool], pairs: Sequence[tuple[str, str]]) -> Sign:
    found = [(has(before), has(after)) for before, after in pairs]
    gained, lost = (sum(pair == kind for pair in found) for kind in ((False, True), (True, False)))
    before, after = (Share(sum(pair[place] for pair in found), len(found)) for place in (0, 1))
    return Sign(name, before, after, paired_change(gained, lost, len(found)))
