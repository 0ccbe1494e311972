"""A question to a language model that has two possible answers, and the reading of them from log-probabilities.

Templates are files, and a changed text is a new file: `refuses-2.txt` beside `refuses-1.txt`.
"""

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from training.engine.clauses import clean
from training.engine.judges.contract import LONGEST, Unscored, why_unreadable

TEMPLATES = Path(__file__).parent / "templates"
_FIELD = re.compile(r"\{(\w+)\}")
# How tokenizers write the space before a word: servers may hand out tokens as they are in the vocabulary.
_SPACES = str.maketrans({"Ġ": " ", "▁": " "})
# The likeliest tokens cannot be more probable than certain; the rest is rounding.
MOST_MASS = 1.01

Top = Sequence[tuple[str, float]]  # the likeliest next tokens, each with its natural-log probability


@dataclass(frozen=True)
class Question:
    """A prompt template and its two answers. What is read is the probability of `yes`."""

    version: str
    yes: str
    no: str

    @cached_property
    def text(self) -> str:
        return (TEMPLATES / f"{self.version}.txt").read_text(encoding="utf-8").strip()

    @property
    def digest(self) -> str:
        """SHA-256 of the text and of the answers."""
        return hashlib.sha256("\0".join((self.text, self.yes, self.no)).encode()).hexdigest()

    def ask(self, **quoted: str) -> str:
        """The prompt about some untrusted texts. Raises Unscored where one of them cannot be judged."""
        fields = {"yes": self.yes, "no": self.no}
        for what, text in quoted.items():
            if why := why_unreadable(text, what) or why_unreadable(quote(text), what):
                raise Unscored(why)
            fields[what] = quote(text)
        return _FIELD.sub(lambda found: fields[found[1]], self.text)

    def read(self, top: Top) -> float:
        """The probability of `yes` against `no`. An answer that is not among the likeliest tokens has no known
        probability, and even is not what is known of it: raises Unscored.
        """
        if not all(math.isfinite(value) and value <= MOST_MASS - 1 for _, value in top):
            raise Unscored("the log-probabilities are not numbers, or above zero")
        if sum(math.exp(value) for _, value in top) > MOST_MASS:
            raise Unscored("the log-probabilities add up to more than certainty")
        mass = {label: _mass(top, label) for label in (self.yes, self.no)}
        for label, found in mass.items():
            if not found:
                raise Unscored(f"“{label}” is not among the {len(top)} likeliest tokens")
        return mass[self.yes] / sum(mass.values())


REFUSES = Question("refuses-1", "Yes", "No")
LESS_HARMFUL = Question("less-harmful-1", "A", "B")


def quote(text: str) -> str:
    """Untrusted text as one line that cannot pass for anything but a quotation: cleaned as for every prompt, and
    without the angle brackets that our marks are made of."""
    return clean(text, limit=LONGEST).replace("<", "‹").replace(">", "›")


def _mass(top: Top, label: str) -> float:
    """How probable the tokens are that are a label, with or without a space, in any case."""
    wanted = label.casefold()
    return sum(math.exp(value) for token, value in top if token.translate(_SPACES).strip().casefold() == wanted)
