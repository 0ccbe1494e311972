"""What goes over the wire: the words of addresses and queries, and the shape of each answer."""

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from ninja import Path, Query, Schema
from pydantic import Field, StringConstraints

from constitution.profile_texts import Narrowing
from constitution.texts import DIMENSIONS, Dimension, Example, Tier

T = TypeVar("T")

PAGE = 50
LONGEST_PAGE = 200
LARGEST = 2**31 - 1

Slug = Annotated[
    str,
    Path(
        pattern=r"^[-a-zA-Z0-9_]{1,50}$",
        description="The constitution's short name; `home` is the one at home here.",
        examples=["home"],
    ),
]
ProfileSlug = Annotated[
    str, Path(pattern=r"^[a-z][a-z0-9-]{1,39}$", description="The profile's short name.", examples=["acme"])
]
VERSION = r"^(head|[1-9][0-9]{0,8}|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?)$"
NAMES_OF_A_VERSION = (
    "A version's number; `head`, the newest; a day such as `2025-02-12`, for what held when it ended (UTC); "
    "or a moment such as `2025-02-12T09:30:00Z`."
)
VersionName = Annotated[str, Path(pattern=VERSION, description=NAMES_OF_A_VERSION, examples=["head"])]
PrincipleName = Annotated[
    str,
    Path(
        pattern=r"^([A-Z]-[0-9]{2,3}|[a-z][a-z0-9_]{1,79})$",
        description="The principle's id, such as `U-02`.",
        examples=["U-02"],
    ),
]
DimensionName = Annotated[Dimension, Path(description=f"One of {', '.join(DIMENSIONS)}.")]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many at most.")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Words = Annotated[list[Word], Field(max_length=50)]


class Page(Schema, Generic[T]):
    """Some of a list. `next` is the address of what follows, or null at the end."""

    items: list[T]
    next: str | None


class Constitution(Schema):
    slug: str
    title: str
    source: str = Field(description="Where an imported document comes from; empty for the one at home.")
    is_home: bool = Field(description="Whether it is the one that is amended and trained on here.")
    head: int | None = Field(description="The number of its newest version.")


class Version(Schema):
    """A published constitution. It never changes."""

    constitution: str
    number: int
    digest: str = Field(description="SHA-256 over the digests of its clauses, in order.")
    parent: int | None
    title: str
    summary: str
    published_at: datetime
    published_by: str


class Clause(Schema):
    """One wording of a principle."""

    principle: str
    tier: Tier = Field(description="1 universal, 2 contextual, 3 style")
    title: str
    text: str
    scope: dict[Dimension, list[str]] = Field(description="When it holds; empty: everywhere.")
    examples: list[Example]
    refers_to: list[str]
    precedes: list[str] = Field(description="Principles that give way to it where both hold.")
    exclusive_with: list[str]
    may_narrow: bool = Field(description="Whether a profile may hold it in fewer contexts.")
    digest: str = Field(description="SHA-256 over all of this.")


class PlacedClause(Clause):
    """A clause in a version, and how old its words are."""

    position: int
    since: int = Field(description="The version that brought this wording.")
    sentences_since: list[int] = Field(description="For each sentence of the text, the version that brought it.")


class HeldClause(Schema):
    """A clause that is in force. Its id is `slug/ID` where a profile added it."""

    id: str
    principle: str
    source: str = Field(description="`base`, or the slug of the profile that added it.")
    tier: Tier
    title: str
    text: str
    digest: str


class Ruling(Schema):
    """Why a clause is in force or not."""

    id: str
    source: str
    tier: Tier
    title: str
    in_force: bool
    reason: str
    gives_way_to: list[str]
    narrowed_by: str


class Effective(Schema):
    """What holds in a context, in order: tier by tier, who prevails first."""

    constitution: str
    version: int
    version_digest: str
    profile: str | None
    profile_digest: str | None
    context: dict[Dimension, list[str]] = Field(description="As it was understood, with the profile's defaults.")
    digest: str = Field(description="SHA-256 over everything that the answer rests on.")
    facts: dict[Dimension, dict[str, str]] | None = Field(
        default=None, description="With `explain`: every value that holds, and why; empty for one that was given."
    )
    rulings: list[Ruling] | None = Field(default=None, description="With `explain`: one for each clause there is.")
    clauses: list[HeldClause]


class Changed(Schema):
    """What happened to one principle."""

    principle: str
    kind: Literal["added", "revised", "repealed", "renamed"]
    tier: Tier
    title: str


class PastVersion(Version):
    changes: list[Changed]


class Segment(Schema):
    """A run of words that stayed, came or went."""

    kind: Literal["equal", "ins", "del"]
    text: str


class Difference(Changed):
    """One clause before and after. Dropping `ins` from `words` gives the old text, dropping `del` the new one."""

    before: Clause | None
    after: Clause | None
    words: list[Segment]


class Comparison(Schema):
    constitution: str
    old: int
    new: int
    changes: list[Difference]


class Rule(Schema):
    """Where every value of `when` holds, those of `adds` hold too."""

    when: dict[Dimension, str]
    adds: dict[Dimension, list[str]]


class Vocabulary(Schema):
    """The words of contexts. How many values each dimension has, and what follows from what."""

    digest: str
    dimensions: dict[Dimension, int]
    rules: list[Rule]


class Value(Schema):
    """A value of a dimension. Ids, codes, names and aliases are all understood in contexts."""

    id: str
    name: str
    code: str = Field(description="Its code in the published list it comes from, if any.")
    parents: list[str] = Field(description="What it lies in, directly.")
    aliases: list[str]


class ProfileLine(Schema):
    """A profile in a list."""

    slug: str
    name: str
    pinned_to: int | None = Field(description="The version it is pinned to; null: it follows the head.")
    revision: int
    digest: str = Field(description="SHA-256 over what it says.")


class Profile(ProfileLine):
    """A layer on the constitution at home."""

    clauses: list[Clause]
    narrowings: list[Narrowing]
    context: dict[Dimension, list[str]] = Field(
        description="What its deployments are in, where a question says nothing."
    )
    checked_against: int = Field(description="The version that it was checked against when it was saved.")
    saved_at: datetime
    saved_by: str


class Base(Schema):
    """What a profile stands on."""

    pinned_to: int | None = Field(ge=1, le=LARGEST, description="A version's number; null: follow the head.")


class Pong(Schema):
    ok: Literal[True] = True
