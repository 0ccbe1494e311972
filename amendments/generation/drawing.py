"""From targets and clothing to scenarios: a stream that the frames, the clauses and the seed decide alone. Pure."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from amendments.generation.cores import Ask, Core, clothe
from amendments.generation.coverage import covering, plain
from amendments.generation.frames import NEUTRAL, Frames
from amendments.generation.targets import Asked, Target, targets
from amendments.likeness import normalise
from constitution.digests import canonical, digest
from constitution.texts import Dimension

GENERATED = "generated"
LONGEST_SOURCE = 200
# In this order each round of questions asks.
GROUPS = ("single", "scope", "pair")
# A stream that says only what it said before is at its end.
MOST_REPEATED = 3000
# Making a covering array takes longer than wearing it.
ARRAYS = 4


@dataclass(frozen=True, slots=True)
class Drawn:
    """One generated scenario, with what it was made of. `heart` is its request before clothing."""

    prompt: str
    label: str
    pair: str
    principle: str
    context: Mapping[Dimension, str]
    held_out: bool
    source: str
    target: str
    principles: tuple[str, ...]
    clothes: Mapping[str, str]
    heart: str
    keeps: tuple[str, ...] = ()

    @property
    def line(self) -> bytes:
        """It as bytes, for the digest of a stream."""
        names = ("prompt", "label", "pair", "principle", "held_out", "source")
        return canonical([dict(self.context), *(getattr(self, name) for name in names)]) + b"\n"


# Twins come together, everything else by itself.
Group = tuple[Drawn, ...]


def draw(asked: Asked, *, count: int, held_out: bool) -> Iterator[Group]:
    """Up to `count` scenarios of one side, each once; a longer stream begins as a shorter one does.

    Targets take turns by group (principles, scopes, pairs), and the clothing of each question is the next outfit
    of an array in which every two values of different dimensions meet.
    """
    clothes = _wardrobe(asked.frames, f"{asked.seed} {held_out}")
    seen: set[int] = set()
    given = repeated = 0
    for target, core, turn in _questions(asked, held_out=held_out):
        group = _group(asked, target, core, next(clothes), is_labelled=turn % 2 == 0)
        keys = [int(digest(normalise(one.prompt))[:16], 16) for one in group]
        if seen.issuperset(keys):
            repeated += 1
            if repeated == MOST_REPEATED:
                return
            continue
        if given + len(group) > count:
            group, keys = group[:1], keys[:1]  # the last place is too small for twins
            group = (_alone(group[0]),)
        repeated = 0
        seen.update(keys)
        given += len(group)
        yield group
        if given == count:
            return


def _questions(asked: Asked, *, held_out: bool) -> Iterator[tuple[Target, Core, int]]:
    """Targets in turn without end, each with the next of its cores, and a number that alternates for each of them."""
    groups = targets(asked, held_out=held_out)
    decks = {
        target.name: _shuffled(target.cores, f"{asked.seed} {target.name}")
        for some in groups.values()
        for target in some
    }
    turns = {group: _around(some) for group, some in groups.items() if some}
    longest = max((len(groups[group]) for group in ("single", "scope")), default=0)
    # As many pairs as there are principles or scopes, whichever are more, before anything is asked again.
    each = {group: min(len(groups[group]), max(longest, 1)) for group in turns}
    visits = dict.fromkeys(decks, 0)
    while turns:
        for target in chain.from_iterable(_take(turns[group], each[group]) for group in GROUPS if group in turns):
            visit = visits[target.name]
            visits[target.name] += 1
            deck = decks[target.name]
            yield target, deck[visit % len(deck)], visit % len(deck) + visit // len(deck)


def _around(some: Sequence[Target]) -> Iterator[Target]:
    while True:
        yield from some


def _take(turns: Iterator[Target], count: int) -> Iterator[Target]:
    return (next(turns) for _ in range(count))


def _shuffled(cores: Sequence[Core], seed: str) -> list[Core]:
    deck = list(cores)
    random.Random(seed).shuffle(deck)  # noqa: S311 - a reproducible order
    return deck


def _wardrobe(frames: Frames, seed: str) -> Iterator[dict[str, str]]:
    """Outfits without end: a few covering arrays in turn, each time in another order."""
    chance = random.Random(seed)  # noqa: S311 - a reproducible order
    arrays: list[list[dict[str, str]]] = []
    turn = 0
    while True:
        if turn < ARRAYS:
            arrays.append(covering(frames.values, f"{seed} {turn}", frames.never) or [plain(frames.values)])
        outfits = arrays[turn % ARRAYS]
        yield from outfits
        chance.shuffle(outfits)
        turn += 1


def _group(asked: Asked, target: Target, core: Core, clothes: Mapping[str, str], *, is_labelled: bool) -> Group:
    """A question in its clothes. Every other time a question whose frame decides its label wears only what leaves that
    as it is, and twins come together; else one of them comes alone, without a label."""
    is_decided = is_labelled and any(ask.label != "unknown" for ask in core.asks)
    worn = _worn(asked.frames, target, clothes, is_decided=is_decided)
    if is_decided:
        pair = f"g-{digest([*(ask.text for ask in core.asks), worn])[:24]}" if len(core.asks) > 1 else ""
        return tuple(_drawn(asked, target, core, ask, worn, pair=pair) for ask in core.asks)
    place = int(digest([core.asks[0].text, dict(clothes)])[:8], 16) % len(core.asks)
    return (_drawn(asked, target, core, Ask(core.asks[place].text), worn, pair=""),)


def _worn(frames: Frames, target: Target, clothes: Mapping[str, str], *, is_decided: bool) -> dict[str, str]:
    """`clothes` without those that may not be worn here: their dimension has its first value, which adds nothing."""
    worn = {}
    for name, value in clothes.items():
        clothing = frames.clothing(name, value)
        is_barred = (is_decided and not clothing.decides) or (target.is_placed and bool(clothing.context))
        worn[name] = frames.dimensions[name][0].id if is_barred else value
    return worn


def _drawn(asked: Asked, target: Target, core: Core, ask: Ask, worn: Mapping[str, str], *, pair: str) -> Drawn:
    clothing = [asked.frames.clothing(name, worn[name]) for name in asked.frames.dimensions]
    context: dict[Dimension, str] = dict(core.context or {})
    for each in clothing:
        context |= each.context
    prompt = clothe(ask.text, [*core.around, *(each.texts[core.held_out] for each in clothing)])
    shown = ",".join(value for value in worn.values() if value not in (NEUTRAL, "one"))
    about = "+".join(target.principles)
    return Drawn(
        prompt=prompt,
        label=ask.label,
        pair=pair,
        principle=core.principle,
        context=context,
        held_out=core.held_out,
        source=f"{GENERATED} seed={asked.seed} {about} {target.kind} {core.frame} {shown}"[:LONGEST_SOURCE].rstrip(),
        target=target.name,
        principles=target.principles,
        clothes=worn,
        heart=ask.text,
        keeps=ask.keeps,
    )


def _alone(one: Drawn) -> Drawn:
    """A twin without its other: it keeps its label, and is in no pair."""
    return replace(one, pair="")
