"""What goes wrong with one item of a batch stops no other."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from training.engine.model import ModelError

ITEM_ERRORS = (RuntimeError, ValueError, ModelError)

Item = TypeVar("Item")
Found = TypeVar("Found")


def each(
    batch: Sequence[Item], read: Callable[[Sequence[Item]], list[Found]], unread: Callable[[Item, str], Found]
) -> list[Found]:
    """What `read` gives for a batch, in order. Where it fails, each is read by itself; `unread` says what stands for
    the one at fault, and takes it and the reason.
    """
    if not batch:
        return []
    try:
        return read(batch)
    except ITEM_ERRORS as error:
        if len(batch) == 1:
            return [unread(batch[0], f"{type(error).__name__}: {error}"[:200])]
        return [found for one in batch for found in each([one], read, unread)]
