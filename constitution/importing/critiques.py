"""Pairs of a critique and a revision, as constitutional training uses them, in the list `constitutions` of a JSON file.

Each pair is a rule about what a response may say, and nothing in the file puts it above other instructions: so it
becomes a contextual clause (tier 2) that holds everywhere. The conversations in `system_chat` that show a pair at work
become its decided examples: the first answer is the wrong one, the revised answer the right one. The pairs have no ids;
each is named after the digest of its critique, so that it keeps its name when pairs are moved or its revision is
reworded.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from constitution.errors import BadFile
from constitution.importing.dialogues import NotMapped, make_example
from constitution.importing.markdown import MAX_BYTES
from constitution.importing.notes import Note, readable
from constitution.texts import ClauseText, Example, sentences

MAX_PAIRS = 1000
TITLE_LENGTH = 120
# A conversation that shows a pair: the request, an answer, the critique, its answer, the revision, the revised answer.
SPEAKERS = ("user", "assistant", "user", "assistant", "user", "assistant")

# Decided examples, each with the place of its conversation, by the critique and the revision that it shows.
Shown = Mapping[tuple[str, str], list[tuple[int, Example]]]


@dataclass(frozen=True, slots=True)
class Critiques:
    """The pairs as clauses. The `line` of a note is the place of a pair or a conversation in its list, from 1."""

    clauses: tuple[ClauseText, ...]
    notes: tuple[Note, ...]


def read_critiques(content: str) -> Critiques:
    """The clauses of a file of pairs, and notes on what is not in them. Raises BadFile where there is no pair."""
    pairs, chats = _parse(content)
    notes, clauses = list[Note](), dict[str, ClauseText]()
    shown = _shown(chats, notes)
    for place, pair in enumerate(pairs, start=1):
        try:
            clause = _clause(pair, shown, place, notes)
        except (NotMapped, ValidationError) as error:
            reason = sentences(error) if isinstance(error, ValidationError) else str(error)
            notes.append(Note("unmapped", place, "constitutions", reason))
            continue
        if clause.principle in clauses:
            notes.append(Note("unmapped", place, "constitutions", "An earlier pair has the same critique."))
        clauses.setdefault(clause.principle, clause)
    if not clauses:
        raise BadFile("No entry of “constitutions” is a pair of a critique (“critic”) and a revision (“revision”).")
    used = {example for clause in clauses.values() for example in clause.examples}
    notes += [
        Note("unmapped", place, "system_chat", "It shows a pair that is not among the clauses.")
        for found in shown.values()
        for place, example in found
        if example not in used
    ]
    return Critiques(tuple(clauses.values()), tuple(notes))


def name_of(critic: str) -> str:
    """The principle's id: `critique_` and eight digits of the digest of the critique."""
    return f"critique_{sha256(critic.encode()).hexdigest()[:8]}"


def _parse(content: str) -> tuple[Sequence[Any], Sequence[Any]]:
    if len(content) > MAX_BYTES:
        raise BadFile(f"The file is larger than {MAX_BYTES:,} characters.")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"This is not JSON: {error}") from error
    pairs = data.get("constitutions") if isinstance(data, dict) else None
    if not isinstance(pairs, list) or len(pairs) > MAX_PAIRS:
        raise BadFile(f"The file has no list “constitutions” of at most {MAX_PAIRS:,} pairs.")
    chats = data.get("system_chat", [])
    return pairs, chats if isinstance(chats, list) else []


def _clause(pair: Any, shown: Shown, place: int, notes: list[Note]) -> ClauseText:
    """The pair as a clause. Raises NotMapped or ValidationError where it is none."""
    said = _said(pair, ("critic", "revision"))
    critic, revision = (_clean(text, place, "constitutions", notes) for text in said)
    notes += [
        Note("unmapped", place, "constitutions", f"The field “{readable(name)[0]}” is not known.")
        for name in sorted(set(pair) - {"critic", "revision"})
    ]
    return ClauseText(
        principle=name_of(critic),
        tier=2,
        title=_title(critic),
        text=f"{critic}\n{revision}",
        examples=tuple(example for _place, example in shown.get((critic, revision), ())),
    )


def _title(critic: str) -> str:
    """The first words of the critique."""
    line = " ".join(critic.split())
    return line if len(line) <= TITLE_LENGTH else f"{line[:TITLE_LENGTH].rsplit(' ', 1)[0]} …"


def _clean(text: str, place: int, section: str, notes: list[Note]) -> str:
    clean, hidden = readable(text)
    if hidden:
        notes.append(Note("character", place, section, f"Hidden characters were taken out: {hidden}."))
    return clean.strip()


def _said(entry: Any, fields: Sequence[str]) -> list[str]:
    """The texts in `fields` of an object. Raises NotMapped where one is not a text."""
    found = [entry.get(name) for name in fields] if isinstance(entry, dict) else []
    texts = [value for value in found if isinstance(value, str) and value.strip()]
    if len(texts) < len(fields):
        raise NotMapped(f"It has no text for {' and '.join(fields)}.")
    return texts


def _shown(chats: Sequence[Any], notes: list[Note]) -> Shown:
    shown: dict[tuple[str, str], list[tuple[int, Example]]] = defaultdict(list)
    for place, chat in enumerate(chats, start=1):
        try:
            said = (_clean(text, place, "system_chat", notes) for text in _turns(chat))
            request, wrong, critic, critique, revision, right = said
            example = make_example(request, right, wrong)
        except NotMapped as error:
            notes.append(Note("unmapped", place, "system_chat", str(error)))
            continue
        shown[critic, revision].append((place, example))
        notes.append(Note("example", place, "system_chat", f"Became: {example.expects}. Not kept: “{critique}”"))
    return shown


def _turns(chat: Any) -> list[str]:
    turns = chat if isinstance(chat, list) else []
    speakers = tuple(turn.get("role") if isinstance(turn, dict) else None for turn in turns)
    if speakers != SPEAKERS:
        raise NotMapped("It is not a request, an answer, a critique and its answer, a revision and its answer.")
    return [_said(turn, ("content",))[0] for turn in turns]
