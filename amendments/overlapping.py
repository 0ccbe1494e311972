"""Two amendments that wait side by side: whether both can be accepted, one after the other. Pure."""

from collections.abc import Sequence
from enum import StrEnum

from amendments.operations import Operations, apply, dump
from amendments.rebasing import rebase
from constitution.errors import Refused
from constitution.texts import ClauseText


class Relation(StrEnum):
    SAME = "same"
    CONTRADICTS = "contradicts"
    COMPATIBLE = "compatible"


Law = Sequence[ClauseText]


def relation(ours: Operations, our_base: Law, theirs: Operations, their_base: Law) -> Relation:
    """What the two are to each other. Either order is tried: whichever is accepted first, the other must follow."""
    if dump(ours) == dump(theirs):
        return Relation.SAME
    both = _can_follow(ours, our_base, theirs, their_base) and _can_follow(theirs, their_base, ours, our_base)
    return Relation.COMPATIBLE if both else Relation.CONTRADICTS


def _can_follow(first: Operations, first_base: Law, then: Operations, then_base: Law) -> bool:
    """Whether `then` still says what it means once `first` is law."""
    try:
        law = apply(first, first_base)
        rebased = rebase(then, then_base, law)
        apply(rebased.operations, law)
    except Refused:
        return False
    return not rebased.clashes
