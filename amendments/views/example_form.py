"""The form with which people reword the answers of a decided example that is proposed."""

from typing import Any

from amendments.actions.examples import example_of
from amendments.operations import Operations
from amendments.views.panels import Attempt

LONGEST = 4000  # characters of an answer, see constitution.texts.Prose


def example_form(operations: Operations, attempt: Attempt) -> dict[str, Any] | None:
    """The context of `amendments/example_form.html`; None where no example is decided."""
    example = example_of(operations)
    if example is None:
        return None
    is_tried = attempt.action == "example"
    return {
        "request": example.request,
        "expects": example.expects,
        "right": attempt.text if is_tried else example.right,
        "wrong": attempt.reason if is_tried else example.wrong,
        "note": attempt.note if is_tried else "",
        "is_open": is_tried,
        "limit": LONGEST,
    }
