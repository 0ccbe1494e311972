"""Mutants: what a model that follows a constitution becomes when one place of that text is made worse on purpose.

Pure: the same clauses and the same seed give the same mutants, in the same order. Whoever looks for them is told
nothing but the text.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from constitution.sentences import split
from constitution.texts import ClauseText, Example
from training.engine.preview import in_other_words


class Kind(StrEnum):
    """What is done to a constitution."""

    DELETE = "delete"  # a clause is gone, with its decided examples
    BLUR = "blur"  # a sentence that says what is meant says it vaguely; the examples stay
    CONTRADICTION = "contradiction"  # a new clause says the opposite, with the examples the other way round
    EXCEPTION = "exception"  # a sentence that says where the rule does not hold is gone, with the examples of it
    REWORDING = "rewording"  # other words of the same meaning: no defect, but what defects are held against


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect. `before` and `after` are what the reader of a comparison would see; empty where there is nothing.

    `clause` is the principle's new wording, None where it was deleted; `added` is a clause that was not there.
    """

    kind: Kind
    principle: str
    before: str
    after: str
    clause: ClauseText | None
    added: ClauseText | None = None

    @property
    def principles(self) -> frozenset[str]:
        """Under which principles it shows."""
        return frozenset({self.principle, *([self.added.principle] if self.added else [])})

    def plant(self, clauses: Sequence[ClauseText]) -> list[ClauseText]:
        """The constitution with this defect in it, and with nothing else changed; no clause names one that is gone."""
        found = [self.clause if one.principle == self.principle else one for one in clauses]
        left = [one for one in found if one is not None]
        if self.clause is None:
            left = [_without(one, self.principle) for one in left]
        return [*left, self.added] if self.added else left


def mutants(clauses: Sequence[ClauseText], *, seed: int, within: int | None = None) -> list[Mutant]:
    """Every clause with each kind of defect that can be planted in it; kinds take turns, so that the first few hold
    all of them. What is drawn is the order, and which sentence is changed.

    `within`: only sentences that end so many characters from the beginning of their clause, as far as it is shown.
    """
    dice = random.Random(seed)  # noqa: S311 - a reproducible order
    of_kind: dict[Kind, list[Mutant]] = {}
    for kind, make in MAKERS.items():
        order = sorted(clauses, key=lambda clause: clause.principle)
        dice.shuffle(order)
        made = (make(clause, within, dice) for clause in order)
        of_kind[kind] = [one for one in made if one is not None]
    return list(_in_turns(list(of_kind.values())))


def rewordings(clauses: Sequence[ClauseText], *, seed: int) -> list[Mutant]:
    """Every clause in other words of the same meaning, in the order in which `mutants` comes to them first."""
    law = {clause.principle: clause for clause in clauses}
    return [_reworded(law[name]) for name in dict.fromkeys(one.principle for one in mutants(clauses, seed=seed))]


def _reworded(clause: ClauseText) -> Mutant:
    text = in_other_words(clause.text)
    return Mutant(Kind.REWORDING, clause.principle, clause.text, text, clause.model_copy(update={"text": text}))


def _in_turns(rows: Sequence[Sequence[Mutant]]) -> Iterator[Mutant]:
    for place in range(max(map(len, rows), default=0)):
        yield from (row[place] for row in rows if place < len(row))


def _delete(clause: ClauseText, _within: int | None, _dice: random.Random) -> Mutant:
    return Mutant(Kind.DELETE, clause.principle, clause.text, "", None)


def _blur(clause: ClauseText, within: int | None, dice: random.Random) -> Mutant | None:
    """One of the sentences that list what is meant, cut off in the middle of it."""
    places = [place for place, text in _sentences(clause, within) if len(LISTS.findall(text)) >= 2]
    if not places:
        return None
    return _changed(Kind.BLUR, clause, dice.choice(places), _vague)


def _exception(clause: ClauseText, within: int | None, dice: random.Random) -> Mutant | None:
    """One of the sentences after the first that take something out of the rule, and the examples that show it."""
    places = [place for place, text in _sentences(clause, within) if place and EXCEPTS.search(text)]
    if not places:
        return None
    found = _changed(Kind.EXCEPTION, clause, dice.choice(places), lambda _sentence: "")
    if found is None or found.clause is None:
        return None
    excepted = "decline" if FORBIDS.search(found.before.replace("no excuse", "")) else "help"
    kept = tuple(example for example in clause.examples if example.expects != excepted)
    worse = found.clause.model_copy(update={"examples": kept or clause.examples})
    return Mutant(Kind.EXCEPTION, clause.principle, found.before, "", worse)


def _contradiction(clause: ClauseText, _within: int | None, _dice: random.Random) -> Mutant:
    said = opposite(split(clause.text)[0].strip())
    name = re.sub(r"[^a-z0-9]+", "_", clause.principle.lower())
    added = ClauseText(
        principle=f"contrary_{name}"[:80],
        tier=clause.tier,
        title=f"Contrary to {clause.title}"[:200].strip(),
        text=said,
        scope=clause.scope,
        examples=tuple(_turned(example) for example in clause.examples),
    )
    return Mutant(Kind.CONTRADICTION, clause.principle, "", said, clause, added)


Maker = Callable[[ClauseText, int | None, random.Random], Mutant | None]
MAKERS: dict[Kind, Maker] = {
    Kind.DELETE: _delete,
    Kind.BLUR: _blur,
    Kind.CONTRADICTION: _contradiction,
    Kind.EXCEPTION: _exception,
}

LISTS = re.compile(r"[,:;]")
FORBIDS = re.compile(r"\b(?:not|never|no|nor|cannot|avoid|leaves? out|declines?|refuses?)\b|n['’]t\b", re.IGNORECASE)
EXCEPTS = re.compile(
    r"\b(?:(?<!no )except(?:ion)?s?|unless|however|may(?! sometimes)|stays? open|gladly|does help|helps|get a real"
    r"|(?:is|are) (?:fine|welcome|good|different|allowed|acceptable|permitted|permissible)|leaves out|no excuse)\b",
    re.IGNORECASE,
)
# What forbids and what allows, and the contrary of each. The first place in a sentence that forbids is turned around;
# where none does, the first that allows.
FORBIDDING = (
    (r"\bdoes not\b", "does"),
    (r"\bdo not\b", "do"),
    (r"\b(should|must|may|can|will) (?:not|never)\b", r"\1"),
    (r"\bcannot\b", "can"),
    (r"\bnever\b", "always"),
    (r"\bgives no\b", "gives"),
    (r"\bis not\b", "is"),
)
ALLOWING = (
    (r"\b(should|must|may|can)\b", r"\1 not"),
    (r"\bhelps\b", "does not help"),
    (r"\bgives\b", "does not give"),
    (r"\bexplains\b", "does not explain"),
)
SHORTEST_HEAD = 4  # words


def opposite(sentence: str) -> str:
    """What says the contrary of a sentence."""
    for patterns in (FORBIDDING, ALLOWING):
        found = [(match, other) for pattern, other in patterns if (match := re.search(pattern, sentence))]
        if found:
            first, other = min(found, key=lambda pair: pair[0].start())
            return sentence[: first.start()] + first.expand(other) + sentence[first.end() :]
    return f"The following does not hold: {sentence}"


def _sentences(clause: ClauseText, within: int | None) -> list[tuple[int, str]]:
    """The sentences with their places, as far as they count."""
    found, end = [], 0
    for place, text in enumerate(split(clause.text)):
        end += len(text)
        if within is None or end <= within:
            found.append((place, text))
    return found


def _changed(kind: Kind, clause: ClauseText, place: int, change: Callable[[str], str]) -> Mutant | None:
    """The clause with one sentence changed; None where nothing would be left of it, or it would say the same."""
    parts = split(clause.text)
    sentence = parts[place].rstrip()
    after = change(sentence)
    parts[place] = after + parts[place][len(sentence) :] if after else ""
    text = "".join(parts).strip()
    if not text or text == clause.text:
        return None
    return Mutant(kind, clause.principle, sentence, after, clause.model_copy(update={"text": text}))


def _vague(sentence: str) -> str:
    """Its beginning, up to where it says what exactly."""
    words = sentence.split(" ")
    ends = [number for number, word in enumerate(words, 1) if number >= SHORTEST_HEAD and word[-1:] in ",:;"]
    head = " ".join(words[: ends[0] if ends else max(1, len(words) // 2)]).rstrip(".,:;")
    return f"{head} and the like, as seems fitting."


def _turned(example: Example) -> Example:
    expects = {"decline": "help", "help": "decline"}.get(example.expects, example.expects)
    return example.model_copy(update={"expects": expects, "right": example.wrong, "wrong": example.right})


def _without(clause: ClauseText, gone: str) -> ClauseText:
    """The clause without what it says of a principle that is gone."""
    named = {name: getattr(clause, name) for name in ("refers_to", "precedes", "exclusive_with")}
    if not any(gone in found for found in named.values()):
        return clause
    kept = {name: tuple(one for one in found if one != gone) for name, found in named.items()}
    return clause.model_copy(update=kept)
