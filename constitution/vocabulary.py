"""The words of a deployment context: which exist, which lie in which, and what follows from them. Pure.

Regions are ISO 3166-1 and 3166-2 (pycountry) under the groups of UN M49, industries ISIC Rev. 4; `vocabulary.yaml`
holds the groups, the regulations, the audiences and the rules. Facts only ever grow: nothing here takes one away.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pycountry
import yaml

from constitution.digests import digest
from constitution.errors import Refused
from constitution.texts import DIMENSIONS, Dimension

Context = Mapping[Dimension, tuple[str, ...]]
# A context as people and clients write it; both kinds of key, because a mapping is invariant in its keys.
RawContext = Mapping[str, str | Sequence[str]] | Mapping[Dimension, str | Sequence[str]]
# For each dimension the values that hold, each with the reason ("FR lies in EU"); a value that was given has none.
Facts = Mapping[Dimension, Mapping[str, str]]

FILE = Path(__file__).with_name("vocabulary.yaml")
SUBDIVISION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")
LIES: Mapping[Dimension, str] = {
    "region": "lies in",
    "industry": "is part of",
    "regulation": "is part of",
    "audience": "are among",
}
MOST_VALUES = 50
MOST_LETTERS = 100
MOST_NEAR = 5
MOST_HINTS = 10


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a dimension. `code` is that of the published list it is from; `parents` are ids it lies in."""

    dimension: Dimension
    id: str
    name: str
    code: str = ""
    parents: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Where every value of `when` holds, all of `adds` hold too."""

    when: tuple[tuple[Dimension, str], ...]
    adds: tuple[tuple[Dimension, str], ...]

    def reason(self, value: str) -> str:
        """Why `value`, one of those it adds, holds."""
        verb = "implies" if len(self.when) == 1 else "imply"
        return f"{' and '.join(needed for _, needed in self.when)} {verb} {value}"


class Unknown(NamedTuple):
    """A value that is not in the vocabulary, and the ids that it may have meant, likeliest first."""

    dimension: str
    value: str
    near: tuple[str, ...]


class UnknownContext(Refused):
    """A context names values that do not exist; the sentences name all of them, with near matches."""

    status = 400

    def __init__(self, wrong: Sequence[Unknown], sentences: Sequence[str]) -> None:
        super().__init__(" ".join(sentences))
        self.wrong = tuple(wrong)


@dataclass(frozen=True)
class Vocabulary:
    """All values by dimension and id, in the order of their lists, and the rules that derive one from others."""

    nodes: Mapping[Dimension, Mapping[str, Node]]
    rules: tuple[Rule, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that a resolution can depend on."""
        return digest([[asdict(node) for node in self.each()], [asdict(rule) for rule in self.rules]])

    def each(self) -> Iterator[Node]:
        return (node for dimension in DIMENSIONS for node in self.nodes.get(dimension, {}).values())

    def lines(self, dimension: Dimension, value: str) -> tuple[str, ...]:
        """`value` and everything that it lies in, nearest first. Raises KeyError for a value that is not known."""
        return self.all_lines[dimension][value]

    @cached_property
    def all_lines(self) -> Mapping[Dimension, Mapping[str, tuple[str, ...]]]:
        """The lines of every value, by dimension."""
        each = {name: self.nodes.get(name, {}) for name in DIMENSIONS}
        return {name: {value: _lines(value, nodes) for value in nodes} for name, nodes in each.items()}

    @cached_property
    def meanings(self) -> Mapping[Dimension, Mapping[str, tuple[str, ...]]]:
        """For each dimension and folded word, the ids that it can mean.

        An id beats a code, a code a name, and a country or group beats a subdivision of the same name: "Georgia" is
        GE, and who means US-GA says so. Several ids remain where subdivisions share a name.
        """
        found: dict[Dimension, dict[str, dict[int, list[str]]]] = {}
        for node in self.each():
            for rank, word in _words(node):
                ranks = found.setdefault(node.dimension, {}).setdefault(fold(word), defaultdict(list))
                if node.id not in ranks[rank]:
                    ranks[rank].append(node.id)
        return {
            dimension: {word: tuple(ranks[min(ranks)]) for word, ranks in words.items()}
            for dimension, words in found.items()
        }


def fold(word: str) -> str:
    """`word` as it is compared: no accents, no case, and one space for any run of spaces, hyphens and underscores."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    return re.sub(r"[\s_-]+", " ", plain.casefold()).strip()


def read_context(raw: RawContext, known: Vocabulary | None = None) -> Context:
    """The context that `raw` means: ids only, each once and sorted, dimensions in their order.

    Ids, codes, names and aliases are understood, whatever their case. A dimension without values is left out.
    Raises UnknownContext for everything that is not understood, all at once, with hints for the first ten.
    """
    words = known or vocabulary()
    context: dict[Dimension, set[str]] = {}
    wrong: list[Unknown] = []
    sentences: list[str] = []
    for dimension, value in _pairs(raw):
        meant = words.meanings.get(dimension, {}).get(fold(value), ()) if dimension in DIMENSIONS else ()
        if len(meant) == 1:
            context.setdefault(dimension, set()).add(meant[0])
            continue
        close = meant[:MOST_NEAR] or (near(dimension, value, words) if len(wrong) < MOST_HINTS else ())
        wrong.append(Unknown(dimension[:MOST_LETTERS], value[:MOST_LETTERS], close))
        sentences.append(_sentence(wrong[-1], words, is_ambiguous=bool(meant)))
    if wrong:
        raise UnknownContext(wrong, sentences)
    return {dimension: tuple(sorted(context[dimension])) for dimension in DIMENSIONS if dimension in context}


def facts(context: Context, known: Vocabulary | None = None) -> Facts:
    """Everything that holds in `context` (ids, as `read_context` gives them): what was given, what that lies in,
    and what the rules add, until nothing is added. More context never gives fewer facts.
    """
    words = known or vocabulary()
    found: dict[Dimension, dict[str, str]] = {dimension: {} for dimension in DIMENSIONS}
    given = [(dimension, value) for dimension in DIMENSIONS for value in context.get(dimension, ())]
    for dimension, value in given:
        found[dimension][value] = ""
    for dimension, value in given:
        _add_lines(found, words, dimension, value)
    while _apply(words, found):
        pass
    return found


def near(dimension: str, value: str, known: Vocabulary | None = None) -> tuple[str, ...]:
    """The ids that `value` may have meant, likeliest first; for a dimension that does not exist, dimensions."""
    word = fold(value[:MOST_LETTERS])
    if dimension not in DIMENSIONS:
        return tuple(get_close_matches(fold(dimension[:MOST_LETTERS]), DIMENSIONS))
    meanings = (known or vocabulary()).meanings.get(dimension, {})
    broad = {key: ids for key, ids in meanings.items() if not SUBDIVISION.fullmatch(ids[0])}
    for words in (broad, meanings):
        inside = sorted((key for key in words if len(word) > 2 and f" {word}" in f" {key}"), key=len)
        keys = [*get_close_matches(word, words, n=MOST_NEAR, cutoff=0.7), *inside]
        if keys:
            return tuple(dict.fromkeys(found for key in keys for found in words[key]))[:MOST_NEAR]
    return ()


def _pairs(raw: RawContext) -> Iterator[tuple[Any, str]]:
    for dimension, values in raw.items():
        several = [values] if isinstance(values, str) else list(values)
        if len(several) > MOST_VALUES:
            sentence = f"A context names at most {MOST_VALUES} values of {dimension[:MOST_LETTERS]}."
            raise UnknownContext([Unknown(dimension[:MOST_LETTERS], "", ())], [sentence])
        yield from ((dimension, value) for value in several)


def _sentence(wrong: Unknown, words: Vocabulary, *, is_ambiguous: bool) -> str:
    if wrong.dimension not in DIMENSIONS:
        return f"There is no dimension “{wrong.dimension}”: a context has region, industry, regulation and audience."
    nodes = words.nodes.get(wrong.dimension, {})
    named = _either([f"{found} ({nodes[found].name})" for found in wrong.near])
    if not wrong.value.strip():
        return f"The {wrong.dimension} is empty: name one, or leave it out."
    if is_ambiguous:
        return f"“{wrong.value}” can be more than one {wrong.dimension}: {named}. Say which."
    hint = f" Did you mean {named}?" if named else ""
    return f"There is no {wrong.dimension} “{wrong.value}”.{hint}"


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _lines(value: str, nodes: Mapping[str, Node]) -> tuple[str, ...]:
    found = [value]
    for each in found:
        found += [parent for parent in nodes[each].parents if parent not in found]
    return tuple(found)


def _add_lines(found: dict[Dimension, dict[str, str]], words: Vocabulary, dimension: Dimension, value: str) -> None:
    for line in words.lines(dimension, value)[1:]:
        found[dimension].setdefault(line, f"{value} {LIES[dimension]} {line}")


def _apply(words: Vocabulary, found: dict[Dimension, dict[str, str]]) -> bool:
    """One pass over the rules; True where it added something."""
    before = sum(map(len, found.values()))
    for rule in words.rules:
        if all(value in found[dimension] for dimension, value in rule.when):
            for dimension, value in rule.adds:
                if value not in found[dimension]:
                    found[dimension][value] = rule.reason(value)
                    _add_lines(found, words, dimension, value)
    return sum(map(len, found.values())) > before


def _words(node: Node) -> Iterator[tuple[int, str]]:
    yield 0, node.id
    if node.code:
        yield 1, node.code
    is_subdivision = node.dimension == "region" and SUBDIVISION.fullmatch(node.id)
    for word in (node.name, *node.aliases):
        yield (3 if is_subdivision else 2), word


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary of this release."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    lists: dict[Dimension, Iterable[Node]] = {
        "region": _regions(content["regions"]),
        "industry": _industries(content["industries"], content["divisions-called"]),
        "regulation": (_node("regulation", row) for row in content["regulations"]),
        "audience": (_node("audience", row) for row in content["audiences"]),
    }
    nodes = {dimension: {node.id: node for node in found} for dimension, found in lists.items()}
    return Vocabulary(nodes, tuple(_rule(row) for row in content["rules"]))


def _node(dimension: Dimension, row: Mapping[str, Any]) -> Node:
    parents, aliases = tuple(row.get("parents", ())), tuple(row.get("aliases", ()))
    return Node(dimension, row["id"], row["name"], row.get("code", ""), parents, aliases)


def _rule(row: Mapping[str, Any]) -> Rule:
    adds = tuple((dimension, value) for dimension, values in row["add"].items() for value in values)
    return Rule(tuple(row["when"].items()), adds)


def _regions(content: Mapping[str, Any]) -> Iterator[Node]:
    """Groups, then countries, then subdivisions."""
    groups = content["groups"] + content["sub-regions"]
    yield from (_node("region", row) for row in groups)
    parents: dict[str, list[str]] = defaultdict(list)
    for row in sorted(groups, key=lambda row: row in content["groups"]):
        for member in row.get("members", "").split():
            parents[member].append(row["id"])
    for country in pycountry.countries:
        yield _country(country, tuple(parents[country.alpha_2]), content["also-called"].get(country.alpha_2, []))
    elsewhere = {code: at for codes in content["subdivisions-elsewhere"].values() for code, at in codes.items()}
    for part in pycountry.subdivisions:
        parent = elsewhere.get(part.code) or part.parent_code or part.country_code
        yield Node("region", part.code, part.name, part.code, (parent,))


def _country(country: Any, parents: tuple[str, ...], also: Sequence[str]) -> Node:
    name = getattr(country, "common_name", country.name)
    others = [country.name, getattr(country, "official_name", name), country.alpha_3, country.numeric, *also]
    aliases = tuple(dict.fromkeys(other for other in others if other != name))
    return Node("region", country.alpha_2, name, country.alpha_2, parents, aliases)


def _industries(sections: Sequence[Mapping[str, Any]], called: Mapping[str, Mapping[str, Any]]) -> Iterator[Node]:
    """Each section, then its divisions. A section whose one division is the whole of it is one node."""
    for row in sections:
        letter, divisions = row["section"], row["divisions"]
        same = [number for number, name in divisions.items() if name == row["name"]]
        aliases = tuple(alias for number in same for alias in (number, letter + number))
        yield Node("industry", row["id"], row["name"], letter, (), aliases)
        for number, name in divisions.items():
            if number not in same:
                word = called.get(number, {})
                also = (letter + number, *word.get("aliases", ()))
                yield Node("industry", word.get("id", letter + number), name, number, (row["id"],), also)
