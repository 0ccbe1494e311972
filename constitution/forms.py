"""A profile as a form: every field a line of text, and each thing that is wrong at the field where it can be mended.

A draft is what was typed, as it was typed. A field's name is the path to it (`clauses-0-examples-1-request`), which is
also where pydantic says that something is wrong. It needs no script: parts are added and taken away by the server.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, takewhile
from typing import Any

from pydantic import ValidationError

from constitution.profile_texts import ProfileRefused, ProfileText
from constitution.texts import DIMENSIONS, Dimension, Scope
from constitution.vocabulary import UnknownContext, read_context

Draft = dict[str, Any]

CLAUSE = ("principle", "tier", "title", "text", "refers_to", "precedes", "exclusive_with")
RELATIONS = ("refers_to", "precedes", "exclusive_with")
EXAMPLE = ("request", "expects", "right", "wrong")
NARROWING = ("principle", "reason")
WORDS = {
    "missing": "Fill this in.",
    "too_short": "Fill this in.",
    "literal_error": "Choose one.",
}
NOWHERE = "Say where: at least one region, industry, regulation or audience."
PATTERNS = {
    "slug": "Small letters, digits and hyphens, 2 to 40 of them, the first a letter.",
    "principle": "An id is a capital letter, a hyphen and two or three digits, such as W-01.",
}


class ProfileForm:
    """What somebody writes as a profile, and what is wrong with it by the name of the field."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.errors: dict[str, list[str]] = {}

    @classmethod
    def of(cls, text: ProfileText) -> "ProfileForm":
        """A form that says what `text` says."""
        content = text.model_dump(mode="json")
        return cls(
            {
                "slug": text.slug,
                "name": text.name,
                "context": _lines(content["context"]),
                "clauses": [_clause(clause) for clause in content["clauses"]],
                "narrowings": [{**each, "scope": _lines(each["scope"])} for each in content["narrowings"]],
            }
        )

    @classmethod
    def blank(cls) -> "ProfileForm":
        """A form that says nothing yet."""
        return cls(_read({}))

    @classmethod
    def read(cls, posted: Mapping[str, str], *, slug: str = "") -> "ProfileForm":
        """What was sent; `slug` stands in where the profile has its short name already."""
        # Browsers end the lines of a text area with a carriage return, which no law contains.
        draft = _read({name: value.replace("\r\n", "\n") for name, value in posted.items()})
        return cls({**draft, "slug": slug or draft["slug"]})

    def add(self, place: str) -> str:
        """Add an empty part to `clauses`, `narrowings` or `clauses-0-examples`; the name of the new part."""
        parts = self._parts(place)
        if parts is None:
            return ""
        parts.append(_part({}, "", place))
        return f"{place}-{len(parts) - 1}"

    def remove(self, place: str) -> None:
        """Take the part of that name away."""
        of, _, number = place.rpartition("-")
        parts = self._parts(of)
        if parts is not None and number.isdecimal() and int(number) < len(parts):
            parts.pop(int(number))

    def content(self) -> ProfileText | None:
        """The profile that the form describes; None, with `errors`, where it describes none."""
        content = {
            "slug": self.draft["slug"].strip(),
            "name": self.draft["name"],
            "context": self._scope("context", self.draft["context"]),
            "clauses": [self._clause(f"clauses-{n}", each) for n, each in enumerate(self.draft["clauses"])],
            "narrowings": [
                {**each, "scope": self._scope(f"narrowings-{n}-scope", each["scope"])}
                for n, each in enumerate(self.draft["narrowings"])
            ],
        }
        try:
            text = ProfileText.model_validate(content)
        except ValidationError as error:
            for found in error.errors(include_url=False):
                self._note(_field(found["loc"]), _words(found))
            return None
        return None if self.errors else text

    def refuse(self, refused: ProfileRefused) -> None:
        """Each sentence at the clause or the narrowing that it begins with, or at the top."""
        places = {each["principle"]: f"clauses-{n}" for n, each in enumerate(self.draft["clauses"])}
        narrowings = {
            f"Narrowing of {each['principle']}": f"narrowings-{n}" for n, each in enumerate(self.draft["narrowings"])
        }
        for sentence in refused.sentences:
            self._note({**places, **narrowings}.get(sentence.split(":")[0], ""), sentence)

    def _note(self, place: str, sentence: str) -> None:
        found = self.errors.setdefault(place, [])
        if sentence not in found:
            found.append(sentence)

    def _parts(self, place: str) -> list[Draft] | None:
        if place in ("clauses", "narrowings"):
            found: list[Draft] = self.draft[place]
            return found
        match place.split("-"):
            case ["clauses", number, "examples"] if number.isdecimal() and int(number) < len(self.draft["clauses"]):
                examples: list[Draft] = self.draft["clauses"][int(number)]["examples"]
                return examples
        return None

    def _clause(self, place: str, draft: Draft) -> Draft:
        return {
            **draft,
            "tier": int(draft["tier"]) if draft["tier"].isdecimal() else draft["tier"],
            "scope": self._scope(f"{place}-scope", draft["scope"]),
            **{name: tuple(_split(draft[name])) for name in RELATIONS},
        }

    def _scope(self, place: str, draft: Mapping[Dimension, str]) -> Scope:
        """Ids for the words that were typed. A word that is none is noted and left as it is."""
        scope: Scope = {}
        for dimension, line in draft.items():
            values = tuple(_split(line))
            if not values:
                continue
            try:
                scope[dimension] = read_context({dimension: values})[dimension]
            except UnknownContext as unknown:
                self._note(f"{place}-{dimension}", str(unknown))
                scope[dimension] = values
        return scope


def _read(posted: Mapping[str, str]) -> Draft:
    return {
        "slug": posted.get("slug", ""),
        "name": posted.get("name", ""),
        "context": _scope(posted, "context"),
        "clauses": [_part(posted, place, "clauses") for place in _places(posted, "clauses", "principle")],
        "narrowings": [_part(posted, place, "narrowings") for place in _places(posted, "narrowings", "principle")],
    }


def _part(posted: Mapping[str, str], place: str, kind: str) -> Draft:
    """One clause, narrowing or example as it was typed; an empty one where nothing was."""
    if kind.endswith("examples"):
        return {name: posted.get(f"{place}-{name}", "") for name in EXAMPLE}
    names = CLAUSE if kind == "clauses" else NARROWING
    draft: Draft = {name: posted.get(f"{place}-{name}", "") for name in names}
    draft["scope"] = _scope(posted, f"{place}-scope")
    if kind == "clauses":
        examples = _places(posted, f"{place}-examples", "request")
        draft["examples"] = [_part(posted, each, "examples") for each in examples]
    return draft


def _places(posted: Mapping[str, str], kind: str, first: str) -> Iterator[str]:
    """The names of the parts that were sent, in order: `clauses-0`, `clauses-1` and so on."""
    return takewhile(lambda place: f"{place}-{first}" in posted, (f"{kind}-{number}" for number in count()))


def _scope(posted: Mapping[str, str], place: str) -> dict[Dimension, str]:
    return {dimension: posted.get(f"{place}-{dimension}", "") for dimension in DIMENSIONS}


def _lines(scope: Mapping[Dimension, Sequence[str]]) -> dict[Dimension, str]:
    return {dimension: ", ".join(scope.get(dimension, ())) for dimension in DIMENSIONS}


def _clause(content: Mapping[str, Any]) -> Draft:
    return {
        **content,
        "tier": str(content["tier"]),
        "scope": _lines(content["scope"]),
        **{name: ", ".join(content.get(name, ())) for name in RELATIONS},
    }


def _split(line: str) -> list[str]:
    return [part.strip() for part in line.split(",") if part.strip()]


def _field(place: Sequence[int | str]) -> str:
    """The name of the field at this path. The values of one line have one field, whichever is wrong."""
    for depth, part in enumerate(place):
        if part in RELATIONS or (part in DIMENSIONS and depth):
            return "-".join(map(str, place[: depth + 1]))
    return "-".join(map(str, place))


def _words(found: Any) -> str:
    """What is wrong in words for a person who writes; `found` is one of pydantic's errors."""
    kind, place = found["type"], found["loc"]
    if kind == "string_pattern_mismatch":
        return PATTERNS["slug" if place == ("slug",) else "principle"]
    if kind == "too_short" and place[-1] == "scope":
        return NOWHERE
    if kind == "too_long" and isinstance(found["input"], str):
        return f"At most {found['ctx']['max_length']:,} characters; this has {len(found['input']):,}."
    reason = WORDS.get(kind) or str(found.get("ctx", {}).get("error", found["msg"]))
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."
