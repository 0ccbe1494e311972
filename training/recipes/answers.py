"""What is kept of a generated answer: whole sentences, on one line, or nothing."""

import re

SENTENCE_END = re.compile(r"""[.!?]["'”’)]*(?=\s|$)""")
OFFER_OF_THE_OPPOSITE = re.compile(r"\s*(?:,|;|—|–)\s*(?:but|however|though|so)\b.*$", re.IGNORECASE | re.DOTALL)


def whole_sentences(text: str) -> str:
    """`text` up to its last complete sentence, so that an answer cut at the token limit has an honest end."""
    ends = list(SENTENCE_END.finditer(text))
    return text[: ends[-1].end()].strip() if ends else ""


def first_statement(text: str) -> str:
    """The first sentence, without a trailing ", but ..." in which small models take back what they have just said."""
    line = " ".join(text.split())
    end = SENTENCE_END.search(line)
    sentence = line[: end.end()] if end else ""
    cut = OFFER_OF_THE_OPPOSITE.sub("", sentence)
    return cut if cut == sentence else f"{cut}."
