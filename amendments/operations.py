"""What an amendment does to the law, as typed values, and what the law says afterwards.

`before` is the digest of the clause that an operation was written against. Several operations on one clause all name
the wording of the base, and apply one after the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError

from amendments.merging import merge_words
from constitution.diffs import changes
from constitution.digests import digest
from constitution.errors import Refused
from constitution.texts import ClauseProse, ClauseText, Example, Line, PrincipleId, Scope, Tier, Value, sentences

Law = dict[str, ClauseText]


class OutOfDate(Refused):
    """The clause has changed since the amendment was written."""


class Operation(Value):
    """One change to one clause, and to those that it takes in or gives off."""

    principle: PrincipleId

    @property
    def expected(self) -> Mapping[str, str]:
        """The wordings that it was written against: principle -> digest."""
        return {}

    @property
    def touches(self) -> set[str]:
        """The principles that it changes, brings in or takes out."""
        return {self.principle, *self.expected}

    def change(self, law: Law) -> None:
        """Make the change in `law`, which holds every clause of `expected`. Raises Refused where it makes no sense."""
        raise NotImplementedError

    def onto(self, base: Law, head: Law) -> Self | None:  # noqa: ARG002
        """The same intention against the wordings of `head`, or None where people have to say what is meant.

        Asked only where one of the expected wordings is another in `head` than in `base`; both laws have them all.
        """
        return None


class Change(Operation):
    """An operation on a clause that is there."""

    before: str

    @property
    def expected(self) -> Mapping[str, str]:
        return {self.principle: self.before}

    def moved(self, head: Law, **fields: Any) -> Self:
        """This operation, against the wording of `head`."""
        return self.model_copy(update={"before": head[self.principle].digest, **fields})


class Revise(Change):
    """Reword a clause."""

    op: Literal["revise"] = "revise"
    text: ClauseProse
    title: Line | None = None

    def change(self, law: Law) -> None:
        _set(law, self.principle, text=self.text, **({"title": self.title} if self.title else {}))

    def onto(self, base: Law, head: Law) -> Self | None:
        old, new = base[self.principle], head[self.principle]
        text = merge_words(old.text, self.text, new.text)
        is_title_settled = self.title is None or old.title == new.title
        return self.moved(head, text=text) if text is not None and is_title_settled else None


class Repeal(Change):
    """Take a clause out."""

    op: Literal["repeal"] = "repeal"

    def change(self, law: Law) -> None:
        del law[self.principle]


class Retier(Change):
    """Move a clause to another tier."""

    op: Literal["retier"] = "retier"
    tier: Tier

    def change(self, law: Law) -> None:
        _set(law, self.principle, tier=self.tier)

    def onto(self, base: Law, head: Law) -> Self | None:
        is_settled = base[self.principle].tier == head[self.principle].tier
        return self.moved(head) if is_settled else None


class Rescope(Change):
    """Let a clause hold under another condition; an empty scope is everywhere."""

    op: Literal["rescope"] = "rescope"
    scope: Scope

    def change(self, law: Law) -> None:
        _set(law, self.principle, scope=self.scope)

    def onto(self, base: Law, head: Law) -> Self | None:
        is_settled = base[self.principle].scope == head[self.principle].scope
        return self.moved(head) if is_settled else None


class AddExample(Change):
    """Decide one more example under a clause. It comes first: models are shown the first few of each kind, and what was
    decided last is what they had wrong.
    """

    op: Literal["add_example"] = "add_example"
    example: Example

    def change(self, law: Law) -> None:
        examples = law[self.principle].examples
        if self.example in examples:
            return  # decided so already, to the word: nothing is left to change
        if any(self.example.request.casefold() == known.request.casefold() for known in examples):
            raise Refused(f"{self.principle} has decided that request already.")
        _set(law, self.principle, examples=(self.example, *examples))

    def onto(self, base: Law, head: Law) -> Self | None:  # noqa: ARG002
        return self.moved(head)


class Add(Operation):
    """Put a new clause in: after the clause named, or at the end of its tier."""

    op: Literal["add"] = "add"
    clause: ClauseText
    after: PrincipleId | None = None

    def change(self, law: Law) -> None:
        if self.clause.principle != self.principle:
            raise Refused(f"The clause that is added as {self.principle} calls itself {self.clause.principle}.")
        place = self.after or next((name for name in reversed(law) if law[name].tier <= self.clause.tier), None)
        _insert(law, [self.clause], after=place)


class Absorbed(Value):
    """A clause that goes into another."""

    principle: PrincipleId
    before: str


class Merge(Change):
    """Join other clauses into one, which keeps its id, its scope and the decided examples of all of them."""

    op: Literal["merge"] = "merge"
    text: ClauseProse
    title: Line | None = None
    absorbs: Annotated[tuple[Absorbed, ...], Field(min_length=1)]

    @property
    def expected(self) -> Mapping[str, str]:
        return {self.principle: self.before} | {clause.principle: clause.before for clause in self.absorbs}

    def change(self, law: Law) -> None:
        if self.principle in {clause.principle for clause in self.absorbs}:
            raise Refused(f"{self.principle} cannot be joined into itself.")
        examples = list(law[self.principle].examples)
        for clause in self.absorbs:
            examples += [example for example in law.pop(clause.principle).examples if example not in examples]
        title = {"title": self.title} if self.title else {}
        _set(law, self.principle, text=self.text, examples=tuple(examples), **title)


class Split(Change):
    """Give parts of a clause ids of their own. What stays keeps the id; the parts follow it."""

    op: Literal["split"] = "split"
    text: ClauseProse
    parts: Annotated[tuple[ClauseText, ...], Field(min_length=1)]

    @property
    def touches(self) -> set[str]:
        return {self.principle, *(part.principle for part in self.parts)}

    def change(self, law: Law) -> None:
        _set(law, self.principle, text=self.text)
        _insert(law, self.parts, after=self.principle)


AnyOperation = Annotated[
    Revise | Repeal | Retier | Rescope | AddExample | Add | Merge | Split, Field(discriminator="op")
]
Operations = Annotated[tuple[AnyOperation, ...], Field(min_length=1)]
_OPERATIONS: TypeAdapter[tuple[AnyOperation, ...]] = TypeAdapter(Operations)


def read_operations(content: object) -> tuple[AnyOperation, ...]:
    """Parse stored or submitted operations. Raises Refused with a sentence for each thing that is wrong."""
    try:
        return _OPERATIONS.validate_python(content)
    except ValidationError as error:
        raise Refused(f"This cannot become law. {sentences(error)}") from error


def dump(operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """The operations as they are stored; what was left out stays out."""
    return [operation.model_dump(mode="json", exclude_none=True) for operation in operations]


def content_digest(operations: Iterable[Operation]) -> str:
    """What a vote is bound to: the operations, and through `before` the wording they apply to."""
    return digest(dump(operations))


def apply(operations: Iterable[Operation], clauses: Iterable[ClauseText]) -> list[ClauseText]:
    """The clauses after the operations, in their order.

    Raises OutOfDate where a clause is gone or is worded otherwise than when the operation was written, and Refused
    where an operation makes no sense.
    """
    base = {clause.principle: clause for clause in clauses}
    law = dict(base)
    for operation in operations:
        for principle, before in operation.expected.items():
            _check_wording(base, law, principle, before)
        operation.change(law)
    return list(law.values())


def highest_tier(before: Sequence[ClauseText], after: Sequence[ClauseText]) -> int:
    """The highest tier (the lowest number) that the change from `before` to `after` touches; they must differ.

    A clause that changes its tier touches both. Only the order changed: the highest tier there is.
    """
    touched = [clause.tier for change in changes(before, after) for clause in (change.before, change.after) if clause]
    return min(touched or [clause.tier for clause in after])


def wording(operations: Iterable[Operation], clauses: Iterable[ClauseText], principle: str) -> str:
    """What `principle` says after the operations; empty where it is not there then."""
    return next((clause.text for clause in apply(operations, clauses) if clause.principle == principle), "")


def reworded(operations: Operations, clauses: Iterable[ClauseText], principle: str, text: str) -> Operations:
    """The same operations with `text` as what `principle` says in the end. Raises Refused where it is taken out."""
    stored = dump(operations)
    for content in stored:
        if content["principle"] != principle:
            continue
        if content["op"] == "repeal":
            raise Refused("A repeal has no text to edit. Reject it, or propose another wording.")
        if content["op"] == "add":
            content["clause"]["text"] = text
            return read_operations(stored)
        if "text" in content:
            content["text"] = text
            return read_operations(stored)
    before = next(clause.digest for clause in clauses if clause.principle == principle)
    return read_operations([*stored, {"op": "revise", "principle": principle, "before": before, "text": text}])


def summarise(operations: Iterable[Operation]) -> str:
    """What the operations do, in the words of a history: "Revise G-01, add example to G-01"."""
    parts = [f"{operation.model_dump()['op'].replace('_', ' ')} {operation.principle}" for operation in operations]
    text = ", ".join(parts)
    return text[:1].upper() + text[1:]


def _check_wording(base: Law, law: Law, principle: str, before: str) -> None:
    if principle not in base:
        raise OutOfDate(f"{principle} is no longer part of the constitution.")
    if base[principle].digest != before:
        raise OutOfDate(f"{principle} has been reworded since this was written.")
    if principle not in law:
        raise Refused(f"{principle} is taken out by an earlier step of the same amendment.")


def _set(law: Law, principle: str, **fields: Any) -> None:
    try:
        law[principle] = ClauseText.model_validate({**law[principle].model_dump(), **fields})
    except ValidationError as error:
        raise Refused(f"{principle} cannot become that. {sentences(error)}") from error


def _insert(law: Law, clauses: Iterable[ClauseText], *, after: str | None) -> None:
    """Put `clauses` behind the one named `after`, or in front of all where that is None."""
    new = {clause.principle: clause for clause in clauses}
    if taken := sorted(new.keys() & law.keys()):
        raise Refused(f"There is a clause {taken[0]} already; give the new one another id.")
    if after is not None and after not in law:
        raise OutOfDate(f"{after}, which the new clause was to follow, is no longer part of the constitution.")
    names = list(law)
    place = names.index(after) + 1 if after is not None else 0
    old = dict(law)
    law.clear()
    law.update({name: old[name] for name in names[:place]} | new | {name: old[name] for name in names[place:]})
