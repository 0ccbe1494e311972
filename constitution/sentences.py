"""Sentences of a clause, and in which version each of them came in."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

# The end of a sentence, with what closes it; or a line break, which ends headings and items of a list.
BREAK = re.compile(r"""(?<=[.!?])["'”’)\]*_]*\s+(?=["'“‘(\[*_]*[A-Z0-9])|\n+""")

# What stands before an item of a list, which is no sentence of its own: "1. ", "b) ".
MARKER = re.compile(r"\s*(?:\d{1,3}|[A-Za-z])[.)]\s*")


def split(text: str) -> list[str]:
    """The sentences of `text` with the white space after them: joined, they give the text back."""
    sentences, start = [], 0
    for found in BREAK.finditer(text):
        if MARKER.fullmatch(text, start, found.end()):
            continue
        sentences.append(text[start : found.end()])
        start = found.end()
    return [*sentences, text[start:]] if text[start:] else sentences


def origins(after: str, number: int, *, before: str = "", known: Sequence[int] = ()) -> list[int]:
    """For each sentence of `after`, the version it came in with: `known` where `before` had it, else `number`.

    `known` has one entry for each sentence of `before`.
    """
    old, new = [[sentence.strip() for sentence in split(text)] for text in (before, after)]
    result = [number] * len(new)
    for i, j, size in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        result[j : j + size] = known[i : i + size]
    return result
