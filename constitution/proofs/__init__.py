"""What is proved of the clauses of a version, over all contexts and all legal profiles, before it may be published.

Each claim is proved, or refuted with the smallest context that breaks it. Contexts are sets of values of the
vocabulary with its hierarchy and its rules; profiles narrow what may be narrowed as they like, and add clauses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from time import monotonic, perf_counter
from typing import TYPE_CHECKING

from constitution.digests import digest
from constitution.profile_texts import ProfileText
from constitution.proofs.answers import Answer, Counterexample, Proof, Unproved
from constitution.proofs.subject import Subject
from constitution.texts import ClauseText
from constitution.vocabulary import Vocabulary, vocabulary

if TYPE_CHECKING:
    from constitution.proofs.claims import Proving

__all__ = ["Counterexample", "Proof", "Unproved", "check_provable", "prove"]

SECONDS = 20.0
WORDING = {"title", "text", "examples"}


def prove(
    clauses: Sequence[ClauseText],
    profile: ProfileText | None = None,
    known: Vocabulary | None = None,
    *,
    seconds: float = SECONDS,
) -> list[Proof]:
    """All claims about `clauses`, each principle once, for any legal profile, or for `profile` if one is given.

    What is not settled within `seconds` is not proved, and says so.
    """
    # The solver's library is large: only a process that proves loads it.
    from constitution.proofs.claims import CLAIMS, Proving

    proving = Proving(Subject(clauses, profile, known or vocabulary()), monotonic() + seconds)
    return [_proof(name, proving) for name in CLAIMS]


def check_provable(clauses: Sequence[ClauseText], *, proved: Sequence[ClauseText] = ()) -> None:
    """Raises Unproved with a sentence for each claim about `clauses` that is refuted, or not settled in time.

    Titles, texts and examples, which most amendments change, are no part of any claim: clauses that differ in nothing
    else from those that are `proved` already, or that this process has proved before, are not proved again.
    """
    structure = _structure(clauses)
    if proved and structure == _structure(proved):
        return
    if failed := _refuted(_Clauses(structure, clauses)):
        raise Unproved(failed)


def _structure(clauses: Sequence[ClauseText]) -> str:
    """The digest of all that the claims are about."""
    return digest([clause.model_dump(mode="json", exclude=WORDING) for clause in clauses])


@dataclass(frozen=True, slots=True)
class _Clauses:
    """Clauses under the digest of their structure."""

    structure: str
    clauses: Sequence[ClauseText] = field(compare=False)


@lru_cache(maxsize=64)
def _refuted(found: _Clauses) -> list[Proof]:
    failed = [proof for proof in prove(found.clauses) if not proof.holds]
    if not all(proof.is_finished for proof in failed):
        raise Unproved(failed)  # and is not remembered: with more time it may be settled
    return failed


def _proof(name: str, proving: "Proving") -> Proof:
    from constitution.proofs.claims import CLAIMS
    from constitution.proofs.model import Unfinished

    claim, refute = CLAIMS[name]
    start = perf_counter()
    try:
        answer, is_finished = refute(proving), True
    except Unfinished:
        answer, is_finished = Answer(0), False
    return Proof(
        name=name,
        claim=claim,
        holds=is_finished and answer.counterexample is None,
        seconds=perf_counter() - start,
        n=answer.n,
        counterexample=answer.counterexample,
        witnesses=answer.witnesses,
        is_finished=is_finished,
    )
