"""What a model is shown of a constitution: clauses with their decided examples, and the untrusted text beside them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

# Marks by which chat templates of common models tell turns apart, in any nesting: <|im_end|>, [INST], </s>, ...
_SPECIAL = re.compile(
    r"<[|｜][^<>]{0,64}[|｜]>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>", re.IGNORECASE
)
# The labels of our own templates: without its colon such a word is only a word.
_LABEL = re.compile(
    r"\b(rule|request|response|first response|better response|critique|clause|cases?|sentence to add|verdict)\s*[:：]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Example:
    """A decided example. `expects` is what the right response does: decline, help or style."""

    request: str
    expects: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Clause:
    """One clause as the model is shown it."""

    principle: str
    title: str
    text: str
    examples: tuple[Example, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a mapping with these keys, as in the constitution's file and a round's plan; other keys are ignored."""
        examples = tuple(Example(e["request"], e["expects"], e["right"], e["wrong"]) for e in row.get("examples", ()))
        return cls(row.get("principle", ""), row.get("title", ""), row["text"], examples)


def clean(text: str, *, limit: int = 2000) -> str:
    """Untrusted text as one line that cannot pass for part of a prompt: no control or invisible characters, no
    line breaks, no special tokens, no labels of our templates; at most `limit` characters."""
    text = "".join(" " if _is_space(c) else c for c in text if _is_space(c) or unicodedata.category(c)[0] != "C")
    text = _LABEL.sub(r"\1", without_special_tokens(text))
    return " ".join(text.split())[:limit].rstrip()


def without_special_tokens(text: str, tokens: Iterable[str] = ()) -> str:
    """Text without the marks that end or open a turn, also not such as appear once another was removed."""
    before = None
    while before != text:
        before, text = text, _SPECIAL.sub("", text)
        for token in tokens:
            text = text.replace(token, "")
    return text


def _is_space(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) in {"Zs", "Zl", "Zp"}
