"""Versions and clauses as Markdown. One sentence a line, so that tools that compare lines compare sentences."""

from collections.abc import Iterable

from constitution.exporting.histories import Published
from constitution.sentences import split
from constitution.texts import ClauseText, Example

TIERS = {1: "Universal", 2: "Contextual", 3: "Style"}


def version_document(version: Published) -> str:
    """One version as a document: its heading, then the clauses in order, each under its own."""
    published = f"Version {version.number}, published {version.published_at:%Y-%m-%d} by {version.author}."
    digest = f"Digest `{version.digest}`."
    heading = [f"# {version.title}", "", published, digest, "", *_by_sentence(version.summary)]
    parts = ["\n".join(heading), *(clause_document(clause, level=2) for clause in version.clauses)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def clause_document(clause: ClauseText, *, level: int = 1) -> str:
    """A clause with all that it says; its heading has `level` marks."""
    marks = "#" * level
    lines = [f"{marks} {clause.principle} {clause.title}", "", *_properties(clause), "", *_by_sentence(clause.text)]
    for number, example in enumerate(clause.examples, start=1):
        lines += ["", f"{marks}# Example {number} ({example.expects})", *_example(example)]
    return "\n".join(lines) + "\n"


def contents(version: Published) -> str:
    """The names of the clauses in the order of the document: it changes when a clause comes, goes or moves."""
    listed = [f"- `{clause.principle}` {clause.title} ({TIERS[clause.tier].lower()})" for clause in version.clauses]
    return "\n".join([f"# {version.title}", "", *listed, ""])


def _properties(clause: ClauseText) -> list[str]:
    scope = "; ".join(f"{dimension} {' or '.join(values)}" for dimension, values in sorted(clause.scope.items()))
    named: list[tuple[str, str]] = [
        ("Tier", TIERS[clause.tier]),
        ("Holds where", scope),
        ("Refers to", ", ".join(clause.refers_to)),
        ("Prevails over", ", ".join(clause.precedes)),
        ("Never together with", ", ".join(clause.exclusive_with)),
        ("Profiles", "may narrow it" if clause.may_narrow else ""),
    ]
    return [f"- {name}: {value}" for name, value in named if value]


def _example(example: Example) -> Iterable[str]:
    for name, text in (("Request", example.request), ("Right", example.right), ("Wrong", example.wrong)):
        yield from ("", f"{name}:", "")
        yield from (f"> {line}".rstrip() for line in _by_sentence(text))


def _by_sentence(text: str) -> list[str]:
    """The lines of `text`, with a line break after each sentence."""
    return [part.rstrip() for line in text.split("\n") for part in (split(line) or [""])]
