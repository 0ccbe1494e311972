"""Example blocks: a line `**Example**: title` and a fenced conversation after it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from constitution.importing.dialogues import NotMapped, read_dialogue
from constitution.importing.sections import FENCE, FenceWatch, Row
from constitution.texts import Example

TITLE = re.compile(r"^\*\*Example\*\*: *(.*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """One example block: its decided examples, or the `reason` why it has none. `remarks` are in no example."""

    title: str
    line: int
    examples: tuple[Example, ...] = ()
    remarks: tuple[str, ...] = ()
    reason: str = ""


def split_examples(rows: Sequence[Row]) -> tuple[list[Row], list[Block]]:
    """The rows that stay text, and all example blocks. A block without a decided example is in both."""
    kept, blocks, place, fence = list[Row](), list[Block](), 0, FenceWatch()
    while place < len(rows):
        end = None if fence.mark else _end(rows, place)
        if end is None:
            fence.is_inside(rows[place].text)
            kept.append(rows[place])
            place += 1
            continue
        blocks.append(_block(rows[place:end]))
        if blocks[-1].reason:
            kept += rows[place:end]
        elif kept and not kept[-1].text.strip():
            end = _after_blanks(rows, end)
        place = end
    return kept, blocks


def _end(rows: Sequence[Row], place: int) -> int | None:
    """Where the example block that begins at `place` ends; None where none begins there."""
    if not TITLE.match(rows[place].text):
        return None
    place = _after_blanks(rows, place + 1)
    if place == len(rows) or not FENCE.match(rows[place].text):
        return None
    fence = FenceWatch()
    while place < len(rows):
        fence.is_inside(rows[place].text)
        place += 1
        if not fence.mark:
            break
    return place


def _after_blanks(rows: Sequence[Row], place: int) -> int:
    while place < len(rows) and not rows[place].text.strip():
        place += 1
    return place


def _block(rows: Sequence[Row]) -> Block:
    titled = TITLE.match(rows[0].text)
    title = titled[1].strip() if titled else ""
    conversation = rows[_after_blanks(rows, 1) + 1 : -1]
    try:
        dialogue = read_dialogue(conversation)
        return Block(title, rows[0].number, dialogue.examples(), tuple(dialogue.remarks))
    except NotMapped as error:
        return Block(title, rows[0].number, reason=str(error))
