"""The form with which people reword the answers of decided examples that are proposed."""

from typing import Any

from amendments.actions.examples import examples_of
from amendments.operations import Operations
from amendments.views.panels import Attempt

LONGEST = 4000  # characters of an answer, see constitution.texts.Prose


def example_form(operations: Operations, attempt: Attempt) -> dict[str, Any] | None:
    """The context of `amendments/example_form.html`; None where no example is decided."""
    examples = examples_of(operations)
    if not examples:
        return None
    rights, wrongs = [example.right for example in examples], [example.wrong for example in examples]
    is_tried = attempt.action == "example"
    # What was typed stays, also where there are more or fewer examples by now than there were fields.
    rights = [*attempt.rights, *rights[len(attempt.rights) :]]
    wrongs = [*attempt.wrongs, *wrongs[len(attempt.wrongs) :]]
    rows = zip(examples, rights, wrongs, strict=False)
    return {
        "rows": [
            {"request": example.request, "expects": example.expects, "right": right, "wrong": wrong}
            for example, right, wrong in rows
        ],
        "note": attempt.note if is_tried else "",
        "is_open": is_tried,
        "limit": LONGEST,
    }
