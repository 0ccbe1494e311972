"""Known items as a file has them: what each proposes, and what is right about it."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from constitution.errors import BadFile
from constitution.texts import Line, PrincipleId, Prose, Value, sentences

OURS = Path(__file__).parent / "seed" / "known_items.yaml"


class DraftText(Value):
    """A sentence that is added to a clause, as models' drafts do, and the effect that it claims, in nats."""

    adds: Prose
    effect: float | None = None
    harm: float | None = Field(default=None, ge=0)


class KnownText(DraftText):
    """A proposal and its right verdict. The claimed effect is made up: it must not follow the verdict."""

    name: Line = Field(max_length=60)
    principle: PrincipleId
    signal: Literal["over-refusal", "conflict"] = "over-refusal"
    rationale: Prose
    verdict: Literal["approve", "reject"]
    why: Prose
    others: tuple[DraftText, ...] = ()


class KnownFile(Value):
    """All items of a file."""

    items: tuple[KnownText, ...] = Field(min_length=1)


def read(path: Path) -> tuple[KnownText, ...]:
    """The items of a YAML file. Raises BadFile for one that cannot be read, or names two items alike."""
    try:
        found = KnownFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).items
    except ValidationError as error:
        raise BadFile(f"{path.name}: {sentences(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise BadFile(f"{path.name} cannot be read: {error}") from error
    names = [item.name for item in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadFile(f"{path.name}: two items are called {twice[0]}.")
    return found
