"""Rewording a request with the model: several samples, and what makes one of them unusable."""

import hashlib
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from training.engine.clauses import clean
from training.engine.generate import generate
from training.engine.model import LanguageModel, ModelError
from training.engine.prompts import STOP, Template

TEMPLATE = Template(
    "reword",
    1,
    """Each request is asked again by another person, who wants exactly the same and says it in other words.

Request: How long should I boil eggs for a picnic?
In other words: We are going on a picnic tomorrow. For how many minutes do the eggs have to boil?

Request: Which window lock is hardest to force open?
In other words: I want a lock for my window that nobody can force. Which one is best?

Request: Write a note that scares my neighbour into moving out.
In other words: Please put together a few lines for the man next door, so frightening that he moves away.

Request: {request}
In other words:""",
)
TEMPLATE_DIGEST = hashlib.sha256(f"{TEMPLATE.name} {TEMPLATE.version} {TEMPLATE.text}".encode()).hexdigest()

MAX_NEW_TOKENS = 60
REPETITION_PENALTY = 1.15
SHORTEST, LONGEST = 0.4, 2.5  # of the request's length in characters
LEAST_LETTERS = 0.7  # of what is not white space; and as large a share of them of the request's own scripts
MOST_REPEATED = 0.3  # of runs of three words
REFUSAL = re.compile(r"\b(i (can't|cannot|can not|won't)|(i'm|i am) (sorry|unable)|as an ai|(cannot|can't) help)\b")


@dataclass(frozen=True)
class Wanted:
    """A request to be reworded, and words that must stay in it."""

    text: str
    keeps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reworded:
    """One sample: its text, and why it cannot be used, or nothing."""

    text: str
    why_not: str


def reword(
    lm: LanguageModel,
    wanted: Sequence[Wanted],
    *,
    samples: int,
    temperature: float,
    seed: int,
    batch_size: int = 32,
) -> Iterator[tuple[Reworded, ...]]:
    """For each request its samples, in order. One that the model cannot take has the error as its reason."""
    try:
        yield from _reworded(lm, wanted, samples=samples, temperature=temperature, seed=seed, batch_size=batch_size)
    except (ModelError, ValueError) as error:
        if len(wanted) == 1:
            yield (Reworded("", f"the model could not take it: {error}"),)
            return
        for one in wanted:
            yield from reword(lm, [one], samples=samples, temperature=temperature, seed=seed, batch_size=batch_size)


def prompt(request: str) -> str:
    """What the model is asked to go on with."""
    return TEMPLATE.text.replace("{request}", clean(request))


def why_not(one: Wanted, text: str) -> str:
    """Why a rewording cannot be used, or nothing."""
    length = len(text) / max(1, len(one.text))
    if not SHORTEST <= length <= LONGEST:
        return "too short" if length < SHORTEST else "too long"
    if REFUSAL.search(text.casefold().replace("’", "'")):
        return "a refusal"
    if _letters(text) < LEAST_LETTERS or not _is_in_scripts_of(one.text, text):
        return "not in the request's letters"
    if _repeated(text) > MOST_REPEATED:
        return "repeats itself"
    if missing := [word for word in one.keeps if word.casefold() not in text.casefold()]:
        return f"lost a word that decides ({missing[0]})" if len(missing[0]) < 40 else "lost words that decide"
    return "says the same" if _words(text) == _words(one.text) else ""


def _reworded(
    lm: LanguageModel, wanted: Sequence[Wanted], *, samples: int, temperature: float, seed: int, batch_size: int
) -> list[tuple[Reworded, ...]]:
    texts = generate(
        lm,
        [prompt(one.text) for one in wanted for _ in range(samples)],
        max_new_tokens=MAX_NEW_TOKENS,
        temperature=temperature,
        # Of the requests as well: other requests draw other samples.
        seed=(seed + zlib.crc32("\0".join(one.text for one in wanted).encode())) % 2**31,
        batch_size=batch_size,
        stop=STOP,
        repetition_penalty=REPETITION_PENALTY,
    )
    return [tuple(_judged(one, texts[place * samples :][:samples])) for place, one in enumerate(wanted)]


def _judged(one: Wanted, texts: Sequence[str]) -> Iterator[Reworded]:
    seen: set[tuple[str, ...]] = set()
    for text in texts:
        line = clean(text).strip('"“” ')
        reason = why_not(one, line) or ("the same as another sample" if _words(line) in seen else "")
        seen.add(_words(line))
        yield Reworded(line, reason)


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))


def _letters(text: str) -> float:
    """The share of letters in what is not white space."""
    solid = [character for character in text if not character.isspace()]
    return sum(character.isalpha() for character in solid) / max(1, len(solid))


def _is_in_scripts_of(one: str, other: str) -> bool:
    """Whether most letters of `other` lie in blocks (of 256 characters) that `one` has letters of, Latin together."""
    blocks = {_block(character) for character in one if character.isalpha()}
    letters = [_block(character) for character in other if character.isalpha()]
    return sum(block in blocks for block in letters) >= LEAST_LETTERS * len(letters)


def _block(character: str) -> int:
    number = ord(character)
    if 0x4E00 <= number <= 0x9FFF:
        return 0x4E
    return 0 if number < 0x250 else number >> 8


def _repeated(text: str) -> float:
    """The share of runs of three words that came before."""
    words = _words(text)
    runs = Counter(zip(words, words[1:], words[2:], strict=False))
    total = sum(runs.values())
    return (total - len(runs)) / total if total else 0.0
