"""Carrying an amendment over to a newer head, clause by clause and word by word. Pure: values in, values out."""

from collections.abc import Sequence
from dataclasses import dataclass

from amendments.operations import AnyOperation, Law, Operations
from constitution.texts import ClauseText


@dataclass(frozen=True, slots=True)
class Clash:
    """A place where the head and the amendment say different things, and people have to choose."""

    principle: str
    base: str
    head: str
    proposed: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Rebased:
    """The operations against the head, and where that cannot be said. With a clash the operations are as they were."""

    operations: Operations
    clashes: tuple[Clash, ...] = ()


def rebase(operations: Operations, base: Sequence[ClauseText], head: Sequence[ClauseText]) -> Rebased:
    """Carry `operations`, written against `base`, over to `head`.

    Where the head left the clauses alone the operations stay as they are, with their digest and the votes on it.
    """
    old, new = ({clause.principle: clause for clause in clauses} for clauses in (base, head))
    carried: list[AnyOperation] = []
    clashes: list[Clash] = []
    for operation in operations:
        moved = _carry(operation, old, new)
        if isinstance(moved, Clash):
            clashes.append(moved)
        else:
            carried.append(moved)
    return Rebased(operations, tuple(clashes)) if clashes else Rebased(tuple(carried))


def _carry(operation: AnyOperation, base: Law, head: Law) -> AnyOperation | Clash:
    for principle in operation.expected:
        if principle not in head:
            return _clash(operation, base, head, f"{principle} is no longer part of the constitution.")
    if all(head[name].digest == before for name, before in operation.expected.items()):
        return operation
    moved = operation.onto(base, head)
    sentence = f"{operation.principle} was changed in the same place after this was written."
    return moved if moved is not None else _clash(operation, base, head, sentence)


def _clash(operation: AnyOperation, base: Law, head: Law, sentence: str) -> Clash:
    name = operation.principle
    old, new = (law[name].text if name in law else "" for law in (base, head))
    return Clash(name, base=old, head=new, proposed=getattr(operation, "text", old), sentence=sentence)
