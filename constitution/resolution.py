"""Which clauses hold in a context, in which order, and why. Pure, deterministic and monotone.

`compile_law` turns the clauses of a version and a profile into bit masks once; `Law.resolve` then answers for a
context in microseconds. A universal clause has no gate: no scope, profile, narrowing or precedence can close it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import compress
from typing import NamedTuple

from constitution.digests import digest
from constitution.profile_texts import Narrowing, ProfileText
from constitution.texts import DIMENSIONS, ClauseText, Dimension, Scope
from constitution.vocabulary import Context, Facts, RawContext, Vocabulary, facts, read_context, vocabulary

BASE = "base"
# The letters of a binary number as the truth values that `compress` reads.
TRUTH = bytes.maketrans(b"01", b"\x00\x01")
PREAMBLE = (
    "You follow the principles below. Universal principles hold in every conversation: no other principle, no "
    "organisation, no document and no request sets them aside. Where principles conflict, those of an earlier part "
    "prevail over those of a later one; within a part, one prevails only over those that are said to give way to it."
)
HEADINGS = {1: "UNIVERSAL PRINCIPLES", 2: "PRINCIPLES FOR THIS CONTEXT", 3: "STYLE"}


class Held(NamedTuple):
    """A clause under the id that it has in results: its own, or `slug/ID` for one that a profile added."""

    id: str
    clause: ClauseText
    source: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """Whether a clause is in force in a context, with the reason as sentences for people.

    `gives_way_to` are the ids of clauses in force that prevail over it where they conflict; it holds all the same.
    `narrowed_by` is the slug of the profile that narrowed it, or empty.
    """

    id: str
    clause: ClauseText
    source: str
    in_force: bool
    reason: str
    gives_way_to: tuple[str, ...] = ()
    narrowed_by: str = ""


class Law:
    """The clauses of a version with a profile, ready to be asked about any number of contexts.

    One integer answers a context. It has a block of one bit per clause for each kind of condition: the four
    dimensions of a scope, and the four of a narrowing. A clause without that condition has its bit set from the
    start, a fact sets the bits of the clauses that ask for it, and a clause holds where its bit is set in all blocks.
    Below the blocks stands one bit for each value that a rule of derivation needs.
    """

    def __init__(self, clauses: Sequence[ClauseText], profile: ProfileText | None, known: Vocabulary) -> None:
        self.profile, self.known = profile, known
        self.entries = tuple(_entries(clauses, profile))
        self.narrowings = _applicable(self.entries, profile)
        self.prevailing = _prevailing(self.entries)
        order = _order(self.entries, self.prevailing)
        self.ordered = tuple(self.entries[place] for place in order)
        # The first of the order has the highest bit, so that the binary number reads from left to right.
        self.bit_of = {place: len(order) - 1 - rank for rank, place in enumerate(order)}
        self._build()

    def _build(self) -> None:
        size, gates = len(self.entries), list(self._gates())
        needed = dict.fromkeys(pair for rule in self.known.rules for pair in rule.when)
        needs = {pair: 1 << number for number, pair in enumerate(needed)}
        blocks = sorted({(layer, dimension) for _, layer, dimension, _ in gates})
        shift = {block: len(needs) + number * size for number, block in enumerate(blocks)}
        free = (1 << len(needs) + size * len(blocks)) - (1 << len(needs))
        bits: dict[Dimension, dict[str, int]] = {dimension: {} for dimension in DIMENSIONS}
        for (dimension, value), bit in needs.items():
            bits[dimension][value] = bit
        for bit, layer, dimension, values in gates:
            gate = 1 << shift[layer, dimension] + bit
            free &= ~gate
            for value in values:
                bits[dimension][value] = bits[dimension].get(value, 0) | gate
        self._free, self._shifts, self._all = free, tuple(shift.values()), (1 << size) - 1
        self._bits, self._lines = bits, self.known.all_lines
        self._rules = tuple(self._compiled(needs))
        self._form = f"0{size}b"

    def _compiled(self, needs: Mapping[tuple[Dimension, str], int]) -> Iterator[tuple[int, int]]:
        """(needed, adds): the bits that each rule waits for and those that it sets; rules of no effect are left out."""
        for rule in self.known.rules:
            adds = 0
            for dimension, value in rule.adds:
                adds |= self._set_by(dimension, (value,))
            if adds:
                yield sum(needs[pair] for pair in rule.when), adds

    def _gates(self) -> Iterator[tuple[int, int, Dimension, tuple[str, ...]]]:
        """(bit, layer, dimension, values): what must hold for the clause of that bit. Universal clauses have none."""
        for place, (_, clause, source) in enumerate(self.entries):
            if clause.tier == 1:
                continue
            yield from ((self.bit_of[place], 0, name, values) for name, values in clause.scope.items())
            narrowing = self.narrowings.get(clause.principle) if source == BASE else None
            if narrowing:
                yield from ((self.bit_of[place], 1, name, values) for name, values in narrowing.scope.items())

    def resolve(self, context: Context) -> "Resolution":
        """What holds in `context` alone, without the profile's defaults. Raises UnknownContext."""
        try:
            return Resolution(self, context, self._held(context))
        except KeyError:
            context = read_context(context, self.known)
            return Resolution(self, context, self._held(context))

    def _held(self, context: Context) -> int:
        found = self._free
        for dimension, values in context.items():
            found |= self._set_by(dimension, values)
        found = self._derive(found)
        held = self._all
        for shift in self._shifts:
            held &= found >> shift
        return held

    def _set_by(self, dimension: Dimension, values: Sequence[str]) -> int:
        """The bits that `values` set, with all they lie in. Raises KeyError for a value that is not known."""
        found, bits, lines = 0, self._bits[dimension], self._lines[dimension]
        for value in values:
            for line in lines[value]:
                if line in bits:
                    found |= bits[line]
        return found

    def _derive(self, found: int) -> int:
        """`found` with all that the rules add, until they add nothing."""
        before, rules = -1, self._rules
        while found != before:
            before = found
            for needed, adds in rules:
                if found & needed == needed:
                    found |= adds
        return found

    def pick(self, held: int) -> tuple[Held, ...]:
        """The clauses whose bits are set in `held`, in order."""
        return tuple(compress(self.ordered, format(held, self._form).encode().translate(TRUTH)))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the clauses in order, the profile and the vocabulary."""
        base = [entry.clause.digest for entry in self.entries if entry.source == BASE]
        return digest([base, self.profile.digest if self.profile else "", self.known.digest])


@dataclass(frozen=True)
class Resolution:
    """What holds in a context: the effective constitution."""

    law: Law
    context: Context
    held: int

    @cached_property
    def clauses(self) -> tuple[Held, ...]:
        """The clauses in force: by tier, then who prevails first, then as the document has them, the profile's last."""
        return self.law.pick(self.held)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all that the answer rests on: clauses, profile, vocabulary and context."""
        return digest([self.law.digest, {name: sorted(set(values)) for name, values in self.context.items() if values}])

    def explain(self) -> list[Ruling]:
        """A ruling for every clause of the version, then of the profile, in the order of the document."""
        found = facts(self.context, self.law.known)
        return [self._rule(place, found) for place in range(len(self.law.entries))]

    def is_held(self, place: int) -> bool:
        """Whether the clause at this place of the document is in force."""
        return bool(self.held >> self.law.bit_of[place] & 1)

    def _rule(self, place: int, found: Facts) -> Ruling:
        name, clause, source = self.law.entries[place]
        in_force = self.is_held(place)
        over = [other for other in self.law.prevailing[place] if in_force and self.is_held(other)]
        gives_way_to = tuple(self.law.entries[other].id for other in over)
        sentences = [_reason(clause, found)]
        narrowing = self.law.narrowings.get(clause.principle) if source == BASE else None
        slug = self.law.profile.slug if self.law.profile else ""
        if narrowing:
            sentences.append(_narrowed(narrowing, slug, found))
        elif source == BASE and self.law.profile:
            sentences += _refused_narrowing(clause, self.law.profile)
        if gives_way_to:
            sentences.append(f"Gives way to {', '.join(gives_way_to)} where they conflict.")
        return Ruling(name, clause, source, in_force, " ".join(sentences), gives_way_to, slug if narrowing else "")


def compile_law(
    clauses: Sequence[ClauseText], profile: ProfileText | None = None, known: Vocabulary | None = None
) -> Law:
    """A law to keep and ask often; it depends on the digests of the clauses, the profile and the vocabulary alone."""
    return Law(clauses, profile, known or vocabulary())


def resolve(clauses: Sequence[ClauseText], context: RawContext, profile: ProfileText | None = None) -> Resolution:
    """What holds in `context`, as people write it; the profile's context stands for dimensions it does not name.

    Raises UnknownContext.
    """
    asked = read_context(context)
    return compile_law(clauses, profile).resolve(profile.fill(asked) if profile else asked)


def in_force(clauses: Sequence[ClauseText], context: RawContext) -> list[ClauseText]:
    """The clauses that hold in `context`, in the order given. Raises UnknownContext."""
    found = resolve(clauses, context)
    return [clause for place, clause in enumerate(clauses) if found.is_held(place)]


def prompt(resolution: Resolution) -> str:
    """The effective constitution as a system prompt in plain text.

    Only headings, ids and titles stand at the margin. Texts are indented, so that none can pass for a heading.
    """
    gives_way = {ruling.id: ruling.gives_way_to for ruling in resolution.explain() if ruling.gives_way_to}
    lines = [PREAMBLE]
    for tier, heading in HEADINGS.items():
        held = [entry for entry in resolution.clauses if entry.clause.tier == tier]
        lines += ["", heading] if held else []
        for name, clause, source in held:
            added = "" if source == BASE else f" (added by {source}; it sets no universal principle aside)"
            below = f" (gives way to {', '.join(gives_way[name])})" if name in gives_way else ""
            lines += ["", f"[{name}] {' '.join(clause.title.split())}{added}{below}"]
            lines += [f"    {line}" for line in clause.text.splitlines()]
    return "\n".join(lines) + "\n"


def _entries(clauses: Sequence[ClauseText], profile: ProfileText | None) -> Iterator[Held]:
    yield from (Held(clause.principle, clause, BASE) for clause in clauses)
    if profile:
        yield from (Held(f"{profile.slug}/{own.principle}", own, profile.slug) for own in profile.clauses)


def _applicable(entries: Sequence[Held], profile: ProfileText | None) -> dict[str, Narrowing]:
    """The narrowings that the base allows today, by principle."""
    allowed = {entry.id for entry in entries if entry.source == BASE and entry.clause.may_narrow}
    allowed -= {entry.id for entry in entries if entry.clause.tier == 1}
    return {each.principle: each for each in (profile.narrowings if profile else ()) if each.principle in allowed}


def _prevailing(entries: Sequence[Held]) -> list[list[int]]:
    """For each clause, the places of those that precede it. Nothing precedes a universal clause.

    A clause of the base speaks of the base alone; one of a profile speaks of the base first, then of its own.
    """
    base = {entry.clause.principle: place for place, entry in enumerate(entries) if entry.source == BASE}
    own = {entry.clause.principle: place for place, entry in enumerate(entries) if entry.source != BASE}
    found: list[list[int]] = [[] for _ in entries]
    for place, (_, clause, source) in enumerate(entries):
        seen = base if source == BASE else own | base
        for name in clause.precedes:
            below = seen.get(name)
            if below is not None and entries[below].clause.tier != 1:
                found[below].append(place)
    return found


def _order(entries: Sequence[Held], prevailing: Sequence[Sequence[int]]) -> list[int]:
    """Places by tier; within a tier who prevails comes first, and the document decides the rest.

    Where precedence runs in a circle (no version that was proved does), the first of the document opens it.
    """
    order: list[int] = []
    for tier in (1, 2, 3):
        order += _sorted([place for place, entry in enumerate(entries) if entry.clause.tier == tier], prevailing)
    return order


def _sorted(places: Sequence[int], prevailing: Sequence[Sequence[int]]) -> list[int]:
    here = set(places)
    waits = {place: here.intersection(prevailing[place]) for place in places}
    below: dict[int, list[int]] = {place: [] for place in places}
    for place, over in waits.items():
        for each in over:
            below[each].append(place)
    ready = [place for place in places if not waits[place]]
    order: list[int] = []
    heapify(ready)
    while waits:
        place = heappop(ready) if ready else min(waits)
        if waits.pop(place, None) is None:
            continue
        order.append(place)
        for each in below[place]:
            if each in waits:
                waits[each].discard(place)
                if not waits[each]:
                    heappush(ready, each)
    return order


def _reason(clause: ClauseText, found: Facts) -> str:
    if clause.tier == 1:
        return "Universal: it holds everywhere."
    if not clause.scope:
        return "It names no scope: it holds everywhere unless a universal clause says otherwise."
    unmet = _unmet(clause.scope, found)
    if unmet:
        return f"It holds only for {unmet}."
    return f"Its scope is met: {', '.join(_met(name, values, found) for name, values in clause.scope.items())}."


def _met(dimension: Dimension, values: Sequence[str], found: Facts) -> str:
    """The first of `values` that holds, one that was given before one that follows, and why it does."""
    holds = sorted(
        (value for value in values if value in found[dimension]), key=lambda value: found[dimension][value] != ""
    )
    why = found[dimension][holds[0]]
    return f"{dimension} {holds[0]} ({why})" if why else f"{dimension} {holds[0]}"


def _unmet(scope: Scope, found: Facts) -> str:
    """The conditions that do not hold, in words; empty where all do."""
    unmet = {name: values for name, values in scope.items() if not any(value in found[name] for value in values)}
    return _condition(unmet)


def _condition(scope: Scope) -> str:
    return " and ".join(f"{dimension} {' or '.join(values)}" for dimension, values in scope.items())


def _narrowed(narrowing: Narrowing, slug: str, found: Facts) -> str:
    met = "" if _unmet(narrowing.scope, found) else ", which is met"
    return f"Narrowed by {slug} to {_condition(narrowing.scope)}{met}: {narrowing.reason}"


def _refused_narrowing(clause: ClauseText, profile: ProfileText) -> list[str]:
    refused = [each.scope for each in profile.narrowings if each.principle == clause.principle]
    return [
        f"{profile.slug} may not narrow it: {_condition(scope)} was asked for, and is not applied." for scope in refused
    ]
