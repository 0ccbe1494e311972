"""The checks that every draft of a machine goes through before people see it."""

from collections.abc import Sequence
from dataclasses import asdict

from pydantic import ValidationError

from amendments import linting
from constitution.texts import ClauseText
from training.drafts import operations
from training.engine.propose import Candidate


def why_not(law: Sequence[ClauseText], clause: ClauseText, one: Candidate) -> list[str]:
    """Every reason for which a draft on a clause of `law` is not filed; none where it may be."""
    try:
        change = operations(clause, one.text, [asdict(example) for example in one.examples])
    except ValidationError as error:
        return [str(error)]
    return linting.why_not(change, law)
