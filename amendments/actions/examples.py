"""Rewording the answers of a decided example that is proposed."""

from django.db import transaction

from amendments import policies, states
from amendments.actions.records import change_content, lock, present, record
from amendments.errors import ContentMoved
from amendments.models import Amendment
from amendments.operations import AddExample, Operations, content_digest, dump, read_operations
from constitution import actions as law
from constitution.errors import Refused
from constitution.models import User
from constitution.texts import Example


def example_of(operations: Operations) -> Example | None:
    """The one example that an amendment decides, whose answers can be reworded; None where there is no such."""
    decided = [operation.example for operation in operations if isinstance(operation, AddExample)]
    return decided[0] if len(decided) == 1 else None


@transaction.atomic
def edit_example(
    *, amendment: Amendment, by: User, seen_digest: str, right: str, wrong: str, note: str = ""
) -> Amendment:
    """Reword the right and the wrong answer of the example that is proposed; votes on the answers before are void.

    Raises ContentMoved where it moved under the person, Refused where it decides no example or an answer cannot be law.
    """
    law.lock_head()
    row = lock(amendment)
    policies.check_can_edit(row, by)
    if row.digest != seen_digest:
        raise ContentMoved
    if row.state == states.NEEDS_REBASE:
        raise Refused("The constitution changed in the same place. Edit the text to settle that, then the answers.")
    operations = _answered(present(row), right, wrong)
    if content_digest(operations) == row.digest:
        return row
    change_content(row, operations, author=by, note=note)
    record("amendment edited", row, by=by)
    return row


def _answered(operations: Operations, right: str, wrong: str) -> Operations:
    if example_of(operations) is None:
        raise Refused("This proposal decides no example, or several. Edit its text.")
    stored = dump(operations)
    for content in stored:
        if content["op"] == "add_example":
            content["example"] |= {"right": right, "wrong": wrong}
    return read_operations(stored)
