"""An example conversation whose end is shown twice, GOOD and BAD, as decided examples.

The notation is line by line: `<user>`, the text, `</user>`; then `<comparison>` around responses that say what they
are, `<assistant> <!-- BAD: why -->`. It looks like XML and is none: its text may contain what looks like a tag. The
five escapes of XML in it stand for their characters.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from constitution.importing.sections import Row
from constitution.texts import Example, Expectation, sentences

OPENING = re.compile(r"^<(system|developer|user|assistant|tool)( [^<>]*)?>(.*)$")
REMARK = re.compile(r"^ *<!--([^<>]*)--> *$")
CLOSING = re.compile(r"^ *</(system|developer|user|assistant|tool)> *$")
# How a response says no in its first words. Apologies alone are none: they are as often sympathy.
REFUSAL = re.compile(
    r"\b(?:I|we)(?:['’]m| am|['’]ll| will)? ?(?:really |just |simply )?"
    r"(?:can['’]?t(?! wait)|can ?not|won['’]t|not able|unable|must decline|(?:have|need) to decline|refuse)\b",
    re.IGNORECASE,
)
ESCAPED = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}
ESCAPE = re.compile("|".join(ESCAPED))
OPENING_WORDS = 200  # characters


class NotMapped(Exception):
    """A conversation that cannot become a decided example; the sentence says why."""


@dataclass(slots=True)
class Turn:
    """Something said. `remark` is what the notation adds for the reader: a verdict, its reason, a recipient."""

    role: str
    remark: str
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return ESCAPE.sub(lambda found: ESCAPED[found[0]], "\n".join(self.lines)).strip()


@dataclass(slots=True)
class Dialogue:
    """The turns that lead to the response, and the responses that are compared."""

    turns: list[Turn] = field(default_factory=list)
    responses: list[Turn] = field(default_factory=list)

    @property
    def remarks(self) -> list[str]:
        """What our examples have no place for."""
        said = [turn.remark for turn in (*self.turns, *self.responses)]
        return [remark for remark in said if remark not in ("", "GOOD", "BAD")]

    @property
    def request(self) -> str:
        """A single question as it is; otherwise each turn after the name of its speaker."""
        if [turn.role for turn in self.turns] == ["user"]:
            return self.turns[0].text
        return "\n\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in self.turns)

    def examples(self) -> tuple[Example, ...]:
        """Each response in a pair of a right and a wrong one; the last of the fewer kind stands for the rest.

        Raises NotMapped where one kind is absent, a response is of neither, or a part is longer than it may be.
        """
        right = [turn.text for turn in self.responses if turn.remark.startswith("GOOD")]
        wrong = [turn.text for turn in self.responses if turn.remark.startswith("BAD")]
        if len(right) + len(wrong) < len(self.responses):
            raise NotMapped("It shows a response that is neither GOOD nor BAD.")
        if not right or not wrong:
            raise NotMapped(f"It shows no {'BAD' if right else 'GOOD'} response; a decided example needs both.")
        pairs = [
            (right[min(i, len(right) - 1)], wrong[min(i, len(wrong) - 1)]) for i in range(max(len(right), len(wrong)))
        ]
        return tuple(make_example(self.request, *pair) for pair in pairs)


def make_example(request: str, right: str, wrong: str) -> Example:
    """A decided example, with what it expects derived from the responses. Raises NotMapped where it cannot be one."""
    try:
        return Example(request=request, expects=expected(right, wrong), right=right, wrong=wrong)
    except ValidationError as error:
        raise NotMapped(f"{sentences(error).replace(chr(10), '; ')}.") from error


def expected(right: str, wrong: str) -> Expectation:
    """Decline or help where only one of the two says no; style where both do, or neither: then manner decides."""
    right_declines, wrong_declines = declines(right), declines(wrong)
    if right_declines == wrong_declines:
        return "style"
    return "decline" if right_declines else "help"


def declines(response: str) -> bool:
    """Whether the response begins with a refusal."""
    return REFUSAL.search(response[:OPENING_WORDS]) is not None


def read_dialogue(rows: Sequence[Row]) -> Dialogue:
    """The conversation in `rows`. Raises NotMapped with the first line that does not belong to the notation."""
    dialogue, open_turn, place = Dialogue(), None, "before"
    for row in rows:
        if open_turn is not None:
            closing = CLOSING.match(row.text)
            if closing and closing[1] == open_turn.role:
                open_turn = None
            else:
                open_turn.lines.append(row.text)
        elif opening := OPENING.match(row.text):
            open_turn = _turn(opening)
            _speakers(dialogue, place).append(open_turn)
        elif row.text.strip():
            place = _next_place(place, row)
    if open_turn is not None or place == "inside":
        raise NotMapped("It ends in the middle of a turn.")
    if not dialogue.turns:
        raise NotMapped("Nobody asks anything in it.")
    return dialogue


def _speakers(dialogue: Dialogue, place: str) -> list[Turn]:
    if place == "after":
        raise NotMapped("The conversation goes on after the comparison.")
    return dialogue.turns if place == "before" else dialogue.responses


def _next_place(place: str, row: Row) -> str:
    places = {("before", "<comparison>"): "inside", ("inside", "</comparison>"): "after"}
    found = places.get((place, row.text.strip()))
    if found is None:
        raise NotMapped(f"Line {row.number} does not belong to its notation.")
    return found


def _turn(opening: re.Match[str]) -> Turn:
    role, attributes, rest = opening[1], (opening[2] or "").strip(), opening[3]
    remark = REMARK.match(rest)
    parts = (remark[1].strip() if remark else "", attributes)
    return Turn(role, "; ".join(part for part in parts if part), [] if remark or not rest.strip() else [rest])
