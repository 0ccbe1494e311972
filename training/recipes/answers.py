"""What is kept of a generated answer: its first sentence, complete and on one line, or nothing."""

import re

SENTENCE_END = re.compile(r"""[.!?]["'”’)]*(?=\s|$)""")
OFFER_OF_THE_OPPOSITE = re.compile(r"\s*(?:,|;|—|–)\s*(?:but|however|though|so)\b.*$", re.IGNORECASE | re.DOTALL)


def first_sentence(text: str) -> str:
    """The first complete sentence on one line; empty if there is none."""
    line = " ".join(text.split())
    end = SENTENCE_END.search(line)
    return line[: end.end()] if end else ""


def first_statement(text: str) -> str:
    """The first sentence, without a trailing ", but ..." in which small models take back what they have just said."""
    sentence = first_sentence(text)
    cut = OFFER_OF_THE_OPPOSITE.sub("", sentence)
    return cut if cut == sentence else f"{cut}."
