"""What a proof says when it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from constitution.errors import Refused
from constitution.profile_texts import ProfileText
from constitution.vocabulary import Context


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A context in which the claim fails, naming as few values as any does, and a sentence that says how.

    `clauses` are the ids of those that break the claim. `profile` is one under which they do, where it takes one;
    `before` the narrower context that knew less, where the claim is about knowing more. Where a clause is in force
    nowhere, `context` is one that meets as much of its scope as can be met.
    """

    context: Context
    clauses: tuple[str, ...]
    sentence: str
    profile: ProfileText | None = None
    before: Context | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """How many cases a claim spoke of and the first that breaks it; `witnesses` are contexts by the id of a clause."""

    n: int
    counterexample: Counterexample | None = None
    witnesses: Mapping[str, Context] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Proof:
    """A claim, and whether it holds in every context under every legal profile (or under the one that was given).

    `n` counts the clauses, precedences or pairs that the claim speaks of. A proof that did not finish in time does
    not hold, and has no counterexample. The proof that every clause is reachable keeps for each a context where it is.
    """

    name: str
    claim: str
    holds: bool
    seconds: float
    n: int = 0
    counterexample: Counterexample | None = None
    witnesses: Mapping[str, Context] = field(default_factory=dict)
    is_finished: bool = True

    @property
    def sentence(self) -> str:
        """What a person needs to know: the claim where it holds, or why it is not proved."""
        if not self.is_finished:
            return f"The proof did not finish in time, so this is not known: {self.claim}"
        return self.counterexample.sentence if self.counterexample else self.claim


class Unproved(Refused):
    """A set of clauses of which a claim is refuted, or not proved in time; the sentences say which and where."""

    def __init__(self, proofs: Sequence[Proof]) -> None:
        super().__init__("\n".join(proof.sentence for proof in proofs))
        self.proofs = tuple(proofs)
