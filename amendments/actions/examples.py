"""Rewording the answers of decided examples that are proposed."""

from collections.abc import Sequence

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

Answers = Sequence[tuple[str, str]]


def examples_of(operations: Operations) -> list[Example]:
    """The examples that an amendment decides, in its order: their answers can be reworded."""
    return [operation.example for operation in operations if isinstance(operation, AddExample)]


@transaction.atomic
def edit_examples(*, amendment: Amendment, by: User, seen_digest: str, answers: Answers, note: str = "") -> Amendment:
    """Reword the right and the wrong answer of each example that is proposed, in their order; votes on the answers
    before are void.

    Raises ContentMoved where it moved under the person, Refused where it decides no example or an answer cannot be law.
    """
    law.lock_head()
    row = lock(amendment)
    policies.check_can_edit(row, by)
    if row.digest != seen_digest:
        raise ContentMoved
    if row.state == states.NEEDS_REBASE:
        raise Refused("The constitution changed in the same place. Edit the text to settle that, then the answers.")
    operations = _answered(present(row), answers)
    if content_digest(operations) == row.digest:
        return row
    change_content(row, operations, author=by, note=note)
    record("amendment edited", row, by=by)
    return row


def _answered(operations: Operations, answers: Answers) -> Operations:
    stored = dump(operations)
    examples = [content["example"] for content in stored if content["op"] == "add_example"]
    if not examples or len(examples) != len(answers):
        raise Refused("This proposal decides no example, or not as many as you answered. Load the page again.")
    for example, (right, wrong) in zip(examples, answers, strict=True):
        example |= {"right": right, "wrong": wrong}
    return read_operations(stored)
