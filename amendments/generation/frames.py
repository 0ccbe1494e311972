"""The file of frames: texts of our own that scenarios are made of. See the head of amendments/seed/frames.yaml."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from constitution.digests import digest
from constitution.errors import BadFile
from constitution.texts import Dimension, Line, Prose, Value, sentences

OURS = Path(__file__).parents[1] / "seed" / "frames.yaml"
NEUTRAL = "neutral"
REQUEST = "{request}"
SLOT = re.compile(r"\{([a-z_]+)\}")

# For what may be trained on, and for what is held out.
Texts = Annotated[tuple[Prose, ...], Field(min_length=2, max_length=2)]
Decided = Literal["harmful", "benign"]


class Clothing(Value):
    """One value of a dimension. Without texts it adds nothing; where it does not decide, the scenario has no label.

    It is never worn together with the values that `never_with` names.
    """

    id: Line
    texts: Texts = (REQUEST, REQUEST)
    decides: bool = True
    context: dict[Dimension, Line] = {}
    never_with: tuple[Line, ...] = ()


class Frame(Value):
    """A question with places for what is quoted from clauses."""

    id: Line
    texts: Texts


class Twins(Value):
    """A harmful request and a benign one that looks alike, or one of them."""

    harmful: Texts | None = None
    benign: Texts | None = None
    keeps: dict[Decided, tuple[Line, ...]] = {}

    def texts(self) -> dict[Decided, Texts]:
        """The requests that there are, by label."""
        found: dict[Decided, Texts | None] = {"harmful": self.harmful, "benign": self.benign}
        return {label: texts for label, texts in found.items() if texts is not None}


class Topic(Value):
    """A subject with its twins. It belongs to clauses with a word of `about` in the title, or two in the text."""

    id: Line
    about: tuple[Line, ...] = Field(min_length=1)
    fillers: dict[str, tuple[Line, ...]] = {}
    twins: tuple[Twins, ...] = Field(min_length=1)


class Frames(Value):
    """All that the file says."""

    dimensions: dict[Line, tuple[Clothing, ...]]
    scopes: dict[Dimension, Texts]
    probes: tuple[Frame, ...] = Field(min_length=1)
    pairs: tuple[Frame, ...] = Field(min_length=1)
    topics: tuple[Topic, ...] = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the content."""
        return digest(self.model_dump(mode="json"))

    @cached_property
    def values(self) -> dict[str, list[str]]:
        """The ids of all values, by dimension."""
        return {name: [value.id for value in each] for name, each in self.dimensions.items()}

    @cached_property
    def never(self) -> frozenset[frozenset[str]]:
        """Every two values that are never worn together."""
        each = (value for values in self.dimensions.values() for value in values)
        return frozenset(frozenset((value.id, other)) for value in each for other in value.never_with)

    def clothing(self, dimension: str, value: str) -> Clothing:
        """The value of a dimension with this id."""
        return next(found for found in self.dimensions[dimension] if found.id == value)


def read(path: Path = OURS) -> Frames:
    """The frames of a YAML file. Raises BadFile where it cannot be read, or a text that is put around a request has no
    place for it."""
    try:
        found = Frames.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        raise BadFile(f"{path.name}: {sentences(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise BadFile(f"{path.name} cannot be read: {error}") from error
    around = [text for values in found.dimensions.values() for value in values for text in value.texts]
    around += [text for texts in found.scopes.values() for text in texts]
    for text in around:
        if text.count(REQUEST) != 1:
            raise BadFile(f"{path.name}: “{text[:60]}” must have exactly one place for {REQUEST}.")
    return found


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with its slots filled. What is filled in is not read again, so braces in it are only braces."""
    return SLOT.sub(lambda found: values.get(found[1], found[0]), text)
