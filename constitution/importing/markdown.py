"""A markdown constitution, release by release: its sections with an authority level become clauses.

What a section says becomes the text of its clause. Example conversations that show a right and a wrong response become
decided examples; all else stays in the text as it was written. Notes say what was done with what.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from pydantic import ValidationError

from constitution.errors import BadFile
from constitution.importing.dialogues import NotMapped
from constitution.importing.examples import Block, split_examples
from constitution.importing.notes import Note, readable
from constitution.importing.sections import Row, Section, read_sections
from constitution.texts import ClauseText, Scope, Tier, sentences

MAX_BYTES = 2_000_000
MAX_CLAUSES = 1000


class Level(NamedTuple):
    """What an authority level is with us: a tier, and whether those who deploy the model may narrow its clauses."""

    tier: Tier
    may_narrow: bool


# The levels as such documents define them, from the highest. Root, which releases before 2025-09 call platform, "cannot
# be overridden" by anybody who deploys or uses the model: that is our universal tier. System rules can be overridden by
# who runs the model and by nobody who deploys it; developer and user defaults can be overridden explicitly; guidelines
# also by what the context suggests.
LEVELS = {
    "root": Level(1, may_narrow=False),
    "platform": Level(1, may_narrow=False),
    "system": Level(2, may_narrow=False),
    "developer": Level(2, may_narrow=True),
    "user": Level(2, may_narrow=True),
    "guideline": Level(3, may_narrow=True),
}
# Tags of sections that say for whom they hold.
TAGS: Mapping[str, Scope] = {"under_18": {"audience": ("minors",)}}

REFERENCE = re.compile(r"\]\(#([^()\s]{1,80})\)|\b(?:GOOD|BAD)\[#([^\[\]\s]{1,80})\]")
FOOTNOTE = re.compile(r"\[\^([A-Za-z0-9_-]{1,40})\]")
SAME_WORDS = 0.7  # of two sections' words, from which on one is taken for the other under a new id


@dataclass(frozen=True, slots=True)
class Release:
    """One release as clauses. `sections` counts the headings with an id; `unmapped` are the texts of the others."""

    released: date
    clauses: tuple[ClauseText, ...]
    notes: tuple[Note, ...]
    sections: int
    unmapped: Mapping[str, str] = field(default_factory=dict)


def read_release(content: str, *, released: date, linked: Mapping[str, str] | None = None) -> Release:
    """The clauses of one release, and notes on everything that is not in them word by word.

    `linked` are the texts of example files by the name that footnotes give them. Raises BadFile where there is too
    much, or no section can become a clause.
    """
    if len(content) > MAX_BYTES:
        raise BadFile(f"The document is larger than {MAX_BYTES:,} characters.")
    sections, notes = read_sections(content)
    files = {name: _linked_file(text) for name, text in (linked or {}).items()}
    clauses, mapped, unmapped = dict[str, ClauseText](), list[Section](), defaultdict[str, list[str]](list)
    for section in sections:
        links = _links(section, files, notes)
        try:
            _check_can_be_clause(section, clauses)
            clauses[section.id] = _clause(section, links, notes)
            mapped.append(section)
        except (NotMapped, ValidationError) as error:
            reason = sentences(error) if isinstance(error, ValidationError) else str(error)
            unmapped[section.id].append(section.text)
            notes.append(Note("unmapped", section.line, section.id, reason))
    if not clauses:
        raise BadFile("No section of this document has an id and an authority level, as in {#be_kind authority=user}.")
    if len(clauses) > MAX_CLAUSES:
        raise BadFile(f"The document has more than {MAX_CLAUSES:,} sections with an authority level.")
    return Release(
        released=released,
        clauses=tuple(_with_references(section, clauses, notes) for section in mapped),
        notes=tuple(sorted(notes, key=lambda note: note.line)),
        sections=sum(1 for section in sections if section.id),
        unmapped={name: "\n".join(texts) for name, texts in unmapped.items()},
    )


def _check_can_be_clause(section: Section, before: Collection[str]) -> None:
    """Raise NotMapped where the heading gives no id of its own and no tier."""
    if not section.id:
        raise NotMapped("It stands before the first heading.")
    if not section.authority:
        raise NotMapped(f"“{section.title}” has no authority level, so it has no tier.")
    if section.authority not in LEVELS:
        raise NotMapped(f"“{section.authority}” is not a known authority level ({', '.join(LEVELS)}).")
    if section.id in before:
        raise NotMapped("Its id was given to an earlier section.")


def _clause(section: Section, links: Sequence[Block], notes: list[Note]) -> ClauseText:
    """The section as a clause, without references. Raises ValidationError where a part of it cannot be one."""
    level = LEVELS[section.authority]
    rows, blocks = split_examples(section.rows)
    clause = ClauseText(
        principle=section.id,
        tier=level.tier,
        title=section.title,
        text="\n".join(row.text for row in rows),
        scope=_scope(section, level, notes),
        examples=tuple(example for block in (*blocks, *links) for example in block.examples),
        may_narrow=level.may_narrow,
    )
    notes += [_example_note(section, block) for block in blocks]
    return clause


def _example_note(section: Section, block: Block) -> Note:
    if block.reason:
        return Note("kept", block.line, section.id, f"Example “{block.title}” stays in the text: {block.reason}")
    remarks = f" Not kept: {'; '.join(block.remarks)}." if block.remarks else ""
    decided = ", ".join(example.expects for example in block.examples)
    return Note("example", block.line, section.id, f"Example “{block.title}” became: {decided}.{remarks}")


def _scope(section: Section, level: Level, notes: list[Note]) -> Scope:
    scope: Scope = {}
    for tag in section.tags:
        if tag in TAGS and level.tier != 1:
            scope |= TAGS[tag]
            continue
        reason = "a universal clause holds everywhere" if tag in TAGS else "it is not known"
        notes.append(Note("scope", section.line, section.id, f"The tag “{tag}” became no scope: {reason}."))
    return scope


def _with_references(section: Section, clauses: Mapping[str, ClauseText], notes: list[Note]) -> ClauseText:
    """The clause with the clauses that its section points to; other targets are noted once each."""
    targets = {name: row.number for row in reversed(section.rows) for name in _targets(row)}
    targets.pop(section.id, None)
    for name, line in targets.items():
        if name not in clauses:
            notes.append(Note("reference", line, section.id, f"“{name}”, to which it points, is no clause."))
    found = sorted((line, name) for name, line in targets.items() if name in clauses)
    return clauses[section.id].model_copy(update={"refers_to": tuple(name for _line, name in found)})


def _targets(row: Row) -> list[str]:
    return ["".join(found) for found in REFERENCE.findall(row.text)]


def _linked_file(content: str) -> list[Block]:
    return split_examples([Row(number, readable(line)[0]) for number, line in enumerate(content.splitlines(), 1)])[1]


def _links(section: Section, files: Mapping[str, list[Block]], notes: list[Note]) -> list[Block]:
    """The example blocks of the files that the section's footnotes name; a note for each file."""
    found = {name: row.number for row in reversed(section.rows) for name in FOOTNOTE.findall(row.text)}
    for name, line in found.items():
        notes.append(Note("link", line, section.id, _link_text(name, files.get(name))))
    return [block for name in found for block in files.get(name, [])]


def _link_text(name: str, blocks: list[Block] | None) -> str:
    if blocks is None:
        return f"The examples {name} are not among the files."
    undecided = [f"“{block.title}”" for block in blocks if block.reason]
    decided = sum(len(block.examples) for block in blocks)
    rest = f"; {len(undecided)} without a decided response: {', '.join(undecided)}" if undecided else ""
    return f"The examples {name}: {decided} decided{rest}."


def compare(before: Release, after: Release) -> list[Note]:
    """What a diff of the clauses cannot show: sections that go on under another id, changes in what is unmapped."""
    notes = [
        Note("release", 0, name, f"“{name}” is no clause, and its text changed since {before.released}.")
        for name, text in after.unmapped.items()
        if before.unmapped.get(name, text) != text
    ]
    return notes + [
        Note("release", 0, new, f"“{old}” seems to go on as “{new}”: they share {share:.0%} of their words.")
        for old, new, share in _successors(before, after)
    ]


def _successors(before: Release, after: Release) -> Iterator[tuple[str, str, float]]:
    old, new = ({clause.principle: clause for clause in release.clauses} for release in (before, after))
    gone = {name: Counter(clause.text.split()) for name, clause in old.items() if name not in new}
    come = {name: Counter(clause.text.split()) for name, clause in new.items() if name not in old}
    for name, words in gone.items():
        shares = [(_share(words, others), other) for other, others in come.items()]
        share, other = max(shares, default=(0.0, ""))
        if share >= SAME_WORDS:
            yield name, other, share


def _share(some: Counter[str], others: Counter[str]) -> float:
    """Words in both, of the words in either, from 0 to 1."""
    return 2 * (some & others).total() / max(1, some.total() + others.total())
