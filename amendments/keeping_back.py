"""Which cases of a cluster whoever proposes is shown, and which are kept back to measure the proposal by. Pure."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class OfRequest(Protocol):
    """What has a request, known by its digest."""

    @property
    def digest(self) -> str: ...


Case = TypeVar("Case", bound=OfRequest)


def keep_back(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Those to propose on, at least one of them, and about a third that whoever proposes never sees: by them it is
    measured what the proposal does to further cases of the kind. What decides is the digest of a case's request.
    """
    kept = [case for case in cases[1:] if int(case.digest[:8], 16) % 3 == 0]
    return [case for case in cases if case not in kept], kept
