"""The law as values: clauses and their decided examples, checked where they enter, without a database."""

import re
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from constitution.digests import digest
from constitution.errors import Refused

Dimension = Literal["region", "industry", "regulation", "audience"]
DIMENSIONS: tuple[Dimension, ...] = ("region", "industry", "regulation", "audience")
Tier = Literal[1, 2, 3]
Expectation = Literal["decline", "help", "style"]

# Everything below U+0020 but tab and newline, DEL and the C1 block, and the marks that reverse the order of a line:
# none belongs in a law, and each can make a reader see another text than the one that is stored. Nor does half a
# character, which cannot be stored at all.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def written(text: str) -> str:
    """What a person wrote, as it is kept: ends stripped, one kind of line break. Raises Refused for what is hidden."""
    try:
        return _plain(text.replace("\r\n", "\n").replace("\r", "\n").strip())
    except ValueError as error:
        raise Refused(f"What you wrote {error}.") from error


def _plain(text: str) -> str:
    """Refuse hidden characters, strip the ends; raises ValueError with the offending code point."""
    if found := HIDDEN.search(text):
        raise ValueError(f"contains the hidden character U+{ord(found[0]):04X}; remove it")
    return text.strip()


Line = Annotated[str, AfterValidator(_plain), Field(min_length=1, max_length=200)]
Prose = Annotated[str, AfterValidator(_plain), Field(min_length=1, max_length=4000)]
CLAUSE_LIMIT = 20_000
ClauseProse = Annotated[str, AfterValidator(_plain), Field(min_length=1, max_length=CLAUSE_LIMIT)]
# `U-03`, or the section id of a document that was written elsewhere: `avoid_targeted_manipulation`.
PrincipleId = Annotated[str, Field(pattern=r"^(?:[A-Z]-[0-9]{2,3}|[a-z][a-z0-9_]{1,79})$")]
Scope = dict[Dimension, tuple[Line, ...]]


def sentences(error: ValidationError) -> str:
    """What is wrong, one line for each place; items are counted from 1, as a person would."""
    lines = []
    errors = error.errors(include_url=False)
    for found in [each for each in errors if each["loc"]] or errors:  # of a list, what is wrong inside is enough
        place = " → ".join(str(part + 1) if isinstance(part, int) else str(part) for part in found["loc"])
        is_empty = found["type"] in ("too_short", "string_too_short")
        reason = "is empty; fill it in" if is_empty else str(found.get("ctx", {}).get("error", found["msg"]))
        lines.append(f"{place}: {reason}" if place else reason)
    return "\n".join(lines)


class Value(BaseModel):
    """An immutable value that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Example(Value):
    """A decided example: a request, the right response and a wrong one. `expects` says what the right one does."""

    request: Prose
    expects: Expectation
    right: Prose
    wrong: Prose


class ClauseText(Value):
    """One wording of a principle: all that a clause says, and nothing of when or by whom.

    `refers_to` names the principles that its text points to; `precedes` those over which it prevails where both hold;
    `exclusive_with` those with which it never holds together unless one precedes the other. `may_narrow` lets a
    profile hold it in fewer contexts.
    """

    principle: PrincipleId
    tier: Tier
    title: Line
    text: ClauseProse
    scope: Scope = {}
    examples: tuple[Example, ...] = ()
    refers_to: tuple[PrincipleId, ...] = ()
    precedes: tuple[PrincipleId, ...] = ()
    exclusive_with: tuple[PrincipleId, ...] = ()
    may_narrow: bool = False

    @model_validator(mode="after")
    def _universal_means_everywhere(self) -> "ClauseText":
        if self.tier == 1 and self.scope:
            raise ValueError("a universal clause holds everywhere: it cannot have a scope")
        if self.tier == 1 and self.may_narrow:
            raise ValueError("a universal clause holds everywhere: no profile may narrow it")
        if any(not values for values in self.scope.values()):
            raise ValueError("a scope names at least one value for each of its dimensions")
        return self

    @model_validator(mode="after")
    def _says_nothing_of_itself(self) -> "ClauseText":
        if self.principle in {*self.refers_to, *self.precedes, *self.exclusive_with}:
            raise ValueError("a clause neither refers to, precedes nor excludes itself")
        return self

    @model_serializer(mode="wrap")
    def _without_empty_relations(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Files stay short, and a clause without relations has one digest whenever it was written.
        content: dict[str, Any] = handler(self)
        return {name: value for name, value in content.items() if value or name not in RELATIONS}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the content; equal wordings have equal digests."""
        return digest(self.model_dump(mode="json"))

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied.__dict__.pop("digest", None)  # a changed copy has one of its own
        return copied


RELATIONS = ("refers_to", "precedes", "exclusive_with", "may_narrow")
