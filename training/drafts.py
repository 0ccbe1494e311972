"""What is drafted for a cluster of cases: a measured change of one clause, and where it comes from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amendments.operations import AddExample, Operations, Revise
from amendments.scores import effect_words
from constitution.texts import ClauseText, Example


@dataclass(frozen=True, slots=True)
class Draft:
    """A measured wording of a clause, or `examples` that it decides as well, its text as it was: shifts of the refusal
    margin in nats, on the cases and on their twins, and whether it did more good than harm there. `origin`: prompt,
    seed, temperature, and what it learnt from."""

    text: str
    kind: str
    score: float
    effect: float | None
    harm: float | None
    rationale: str
    examples: Sequence[Mapping[str, str]] = ()
    is_worth_filing: bool = True
    origin: Mapping[str, Any] = field(default_factory=dict)


def operations(clause: ClauseText, text: str, examples: Sequence[Mapping[str, str]] = ()) -> Operations:
    """What a draft does to the law. Raises pydantic's ValidationError for a text that no clause can have."""
    if not examples:
        return (Revise(principle=clause.principle, before=clause.digest, text=text),)
    decided = [Example.model_validate(dict(example)) for example in examples]
    return tuple(AddExample(principle=clause.principle, before=clause.digest, example=one) for one in decided)


def measured(draft: Draft) -> dict[str, Any]:
    """As it is kept with the proposal."""
    return {
        "text": draft.text,
        "kind": draft.kind,
        "score": draft.score,
        "effect": draft.effect,
        "harm": draft.harm,
        "score_words": effect_words(draft.effect, draft.harm),
        **({"examples": [dict(example) for example in draft.examples]} if draft.examples else {}),
        **draft.origin,
    }
