"""Signals of unsettled cases, from probabilities of refusing under varied prompts. Pure numbers, from 0 to 1.

None where what a signal needs is missing: then it is unscored, which is not safe and lowers the coverage.
"""

from collections.abc import Iterable, Sequence
from math import exp, isfinite, log2

OVER_REFUSAL = "over-refusal"
CONFLICT = "conflict"
AMBIGUITY = "ambiguity"
GAP = "gap"
CONTEXT = "context"
PRECEDENT = "precedent"
CHANNEL = "channel"
FLIP = "flip"
ENSEMBLE = "ensemble"
SIGNALS = (OVER_REFUSAL, CONFLICT, AMBIGUITY, GAP, CONTEXT, PRECEDENT, CHANNEL, FLIP, ENSEMBLE)

Probability = float | None


def refusing(margin: float) -> Probability:
    """The probability of refusing behind a refusal margin in nats; None where it is not a number."""
    if not isfinite(margin):
        return None
    return 1 / (1 + exp(-margin)) if margin >= 0 else exp(margin) / (1 + exp(margin))


def ambiguity(wordings: Sequence[Probability]) -> Probability:
    """H(mean p) - mean H(p) over wordings of the same rule, in bits: how far they disagree, each being sure of itself.

    That all of them are undecided is no ambiguity of the wording. At least two wordings are needed.
    """
    known = [p for p in wordings if p is not None]
    if len(known) < 2 or len(known) < len(wordings):
        return None
    return max(0.0, _entropy(sum(known) / len(known)) - sum(map(_entropy, known)) / len(known))


def conflict(under_one: Probability, under_other: Probability) -> Probability:
    """Where two clauses lead to different verdicts, how decided the less decided of the two is."""
    if under_one is None or under_other is None:
        return None
    if (under_one >= 0.5) == (under_other >= 0.5):
        return 0.0
    return min(abs(2 * under_one - 1), abs(2 * under_other - 1))


def gap(applicability: Probability, consequence: Probability) -> Probability:
    """What no clause covers, weighed by what hangs on it."""
    if applicability is None or consequence is None:
        return None
    return (1 - applicability) * consequence


def moved(verdict: Probability, varied: Sequence[Probability]) -> Probability:
    """How far a verdict moves at most under changes that must not matter. Any of them unscored leaves it unscored."""
    if verdict is None or not varied:
        return None
    known = [p for p in varied if p is not None]
    return max(abs(p - verdict) for p in known) if len(known) == len(varied) else None


def precedent(verdict: Probability, neighbours: Iterable[tuple[float, bool]]) -> Probability:
    """How far a verdict is from what was decided in the nearest cases: (nearness, whether declining was right) each."""
    near = [(max(0.0, weight), declines) for weight, declines in neighbours]
    total = sum(weight for weight, _ in near)
    if verdict is None or not total:
        return None
    return abs(verdict - sum(weight for weight, declines in near if declines) / total)


def flip(before: Probability, after: Probability, others: Sequence[Probability], *, is_same: bool) -> Probability:
    """A response that the critique finds in breach, and a revision that does not help: it still breaks the rule,
    breaks another (`others`), or says the same. Each is the probability of a breach.
    """
    if before is None or after is None or any(p is None for p in others):
        return None
    left = 1.0 if is_same else max([after, *(p for p in others if p is not None)])
    return before * left


def spread(verdicts: Sequence[Probability]) -> Probability:
    """How far the verdicts of several models lie apart. At least two are needed, and every one of them."""
    known = [p for p in verdicts if p is not None]
    return max(known) - min(known) if len(known) == len(verdicts) and len(known) > 1 else None


def _entropy(p: float) -> float:
    return -sum(share * log2(share) for share in (p, 1 - p) if share > 0)
