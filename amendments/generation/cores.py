"""The heart of a scenario, before it is clothed: a question about a clause, or one of its decided examples. Pure.

What a core is of (a sentence, a topic's twins) decides by its digest whether it may be trained on or is held out: so no
two scenarios of one heart stand on both sides, whatever the seed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from amendments.generation.frames import REQUEST, Frames, Texts, Topic, Twins, fill
from amendments.likeness import normalise
from constitution.digests import digest
from constitution.sentences import split
from constitution.texts import HIDDEN, ClauseText, Dimension
from constitution.vocabulary import vocabulary

LONGEST_QUOTE = 320
LEAST_WORDS = 4
# Of a clause of hundreds of sentences, so many are asked about.
MOST_SENTENCES = 24


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, its label where the frame decides it, and words that a rewording must not lose."""

    text: str
    label: str = "unknown"
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Core:
    """One question, or two that are twins. `principle` is the one that should settle it, where there is one."""

    frame: str
    asks: tuple[Ask, ...]
    principle: str = ""
    context: Mapping[Dimension, str] | None = None
    # Texts to put around it, for what its context sounds like.
    around: tuple[str, ...] = ()
    held_out: bool = False

    def at(self, where: Mapping[Dimension, str], frames: Frames) -> "Core":
        """The same question in a context, which is said with it. Where it is asked may decide: no label is left."""
        nodes = vocabulary().nodes
        around = tuple(
            frames.scopes[name][self.held_out].replace("{name}", nodes[name][value].name)
            for name, value in where.items()
        )
        asks = tuple(replace(ask, label="unknown") for ask in self.asks)
        return replace(self, asks=asks, context=dict(where), around=around)


def single_cores(clause: ClauseText, *, frames: Frames, held_out: bool) -> list[Core]:
    """What is asked about one clause on one side.

    Its decided examples are asked on the side that is trained on alone: every round learns them.
    """
    cores = [
        Core(frame.id, (Ask(_filled(frame.texts, held_out, {"sentence": sentence})),), clause.principle)
        for sentence in quotable(clause, held_out=held_out)
        for frame in frames.probes
    ]
    cores += [core for topic in _topics_of(clause, frames) for core in _topic_cores(topic, clause, held_out=held_out)]
    if not held_out:
        cores += [Core("example", (Ask(quote(e.request)),), clause.principle) for e in clause.examples]
    return [replace(core, held_out=held_out) for core in cores]


def pair_cores(
    one: ClauseText, other: ClauseText, *, frames: Frames, held_out: bool, context: Mapping[Dimension, str]
) -> Iterator[Core]:
    """What is asked about two clauses at once, by a sentence of each. Which of them settles it is the question."""
    quotes = [quotable(clause, held_out=held_out) for clause in (one, other)]
    for first, second in product(*quotes):
        for frame in frames.pairs:
            ask = Ask(_filled(frame.texts, held_out, {"one": first, "other": second}))
            yield Core(frame.id, (ask,), held_out=held_out).at(context, frames)


def quotable(clause: ClauseText, *, held_out: bool) -> list[str]:
    """The sentences of a clause, its title among them, that belong to one side."""
    found = [quote(part) for part in (clause.title, *split(clause.text))][:MOST_SENTENCES]
    long = [part for part in dict.fromkeys(found) if len(part.split()) >= LEAST_WORDS]
    return [part for part in long or [quote(clause.title)] if is_held_out(part) == held_out]


def is_held_out(heart: str) -> bool:
    """On which side a heart is: half of all are held out."""
    return int(digest(normalise(heart))[:8], 16) % 2 == 1


def quote(text: str) -> str:
    """A text of a clause on one line, without hidden characters, cut at a word where it is long."""
    line = " ".join(HIDDEN.sub(" ", text).split())
    if len(line) <= LONGEST_QUOTE:
        return line
    return line[:LONGEST_QUOTE].rsplit(" ", 1)[0] + " …"


def _topics_of(clause: ClauseText, frames: Frames) -> list[Topic]:
    """The topic that a clause is about: a word in its title, or two in its text; of several the one with most words."""
    title, text = _words(clause.title), _words(clause.text)
    ranked = [(3 * len(title & {*topic.about}) + len(text & {*topic.about}), topic) for topic in frames.topics]
    best = max((score for score, _ in ranked), default=0)
    return [topic for score, topic in ranked if score == best][:1] if best > 1 else []


def _topic_cores(topic: Topic, clause: ClauseText, *, held_out: bool) -> Iterator[Core]:
    for number, twins in enumerate(topic.twins):
        for values in _fillings(topic.fillers):
            if is_held_out(f"{topic.id} {number} {' '.join(values.values())}") == held_out:
                yield Core(topic.id, tuple(_asks(twins, values, held_out=held_out)), clause.principle)


def _fillings(fillers: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for values in product(*fillers.values()):
        yield dict(zip(fillers, values, strict=True))


def _asks(twins: Twins, values: Mapping[str, str], *, held_out: bool) -> Iterator[Ask]:
    for label, texts in twins.texts().items():
        keeps = tuple(fill(word, values) for word in twins.keeps.get(label, ()))
        yield Ask(_filled(texts, held_out, values), label, keeps)


def _filled(texts: Texts, held_out: bool, values: Mapping[str, str]) -> str:
    return fill(texts[held_out], values)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def clothe(text: str, around: Sequence[str]) -> str:
    """`text` inside each of these texts, the first innermost. Only our own place for it is filled."""
    for outer in around:
        before, _, after = outer.partition(REQUEST)
        text = f"{before}{text}{after}"
    return text
