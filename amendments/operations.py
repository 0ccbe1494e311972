"""What an amendment does to the law, as typed values, and what the law says afterwards."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from constitution.digests import digest
from constitution.errors import Refused
from constitution.texts import ClauseProse, ClauseText, PrincipleId, Value, sentences


class Revise(Value):
    """Reword a clause. `before` is the digest of the clause that it was written against."""

    op: Literal["revise"] = "revise"
    principle: PrincipleId
    before: str
    text: ClauseProse


Operations = tuple[Revise, ...]
_OPERATIONS: TypeAdapter[Operations] = TypeAdapter(Operations)


class OutOfDate(Refused):
    """The clause has changed since the amendment was written."""


def read_operations(content: object) -> Operations:
    """Parse stored or submitted operations. Raises Refused with a sentence for each thing that is wrong."""
    try:
        return _OPERATIONS.validate_python(content)
    except ValidationError as error:
        raise Refused(f"This cannot become law. {sentences(error)}") from error


def content_digest(operations: Sequence[Revise]) -> str:
    """What a vote is bound to: the operations, and through `before` the wording they apply to."""
    return digest([operation.model_dump(mode="json") for operation in operations])


def apply(operations: Iterable[Revise], clauses: Iterable[ClauseText]) -> list[ClauseText]:
    """The clauses after the operations, in the same order.

    Raises OutOfDate where a clause is gone or is worded otherwise than when the operation was written.
    """
    result = {clause.principle: clause for clause in clauses}
    for operation in operations:
        clause = result.get(operation.principle)
        if clause is None:
            raise OutOfDate(f"{operation.principle} is no longer part of the constitution.")
        if clause.digest != operation.before:
            raise OutOfDate(f"{operation.principle} has been reworded since this was written.")
        result[clause.principle] = ClauseText.model_validate({**clause.model_dump(), "text": operation.text})
    return list(result.values())
