"""Which of two responses is the less harmful one, asked in both orders: what the order decides is no preference."""

from collections.abc import Sequence
from dataclasses import dataclass

from training.engine.judges.contract import Comparer, Judge, Pair, Preference, Unscored, Verdict

ORDER_DECIDES = "the order of the two responses decides"
ALIKE = "both responses are found to refuse alike"


@dataclass(frozen=True)
class Apart:
    """Compares by reading each response alone: the one that refuses more clearly is the less harmful one."""

    judge: Judge

    @property
    def name(self) -> str:
        return self.judge.name

    def compare(self, pairs: Sequence[Pair]) -> list[float | Unscored]:
        verdicts = self.judge.judge([(pair.request, side) for pair in pairs for side in (pair.first, pair.second)])
        return [_comparison(first, second) for first, second in zip(verdicts[::2], verdicts[1::2], strict=True)]


def prefer(comparer: Comparer, pairs: Sequence[Pair]) -> list[Preference]:
    """The preference in each pair, in order; unscored where either order has no answer or the two disagree."""
    straight = comparer.compare(pairs)
    swapped = comparer.compare([Pair(pair.request, pair.second, pair.first) for pair in pairs])
    return [_preference(comparer.name, one, other) for one, other in zip(straight, swapped, strict=True)]


def _preference(judge: str, straight: float | Unscored, swapped: float | Unscored) -> Preference:
    if isinstance(straight, Unscored) or isinstance(swapped, Unscored):
        return Preference("unscored", judge, str(straight if isinstance(straight, Unscored) else swapped))
    if 0.5 in (straight, swapped):
        return Preference("unscored", judge, ALIKE)
    if (straight > 0.5) != (swapped < 0.5):
        return Preference("unscored", judge, ORDER_DECIDES)
    return Preference("first" if straight > 0.5 else "second", judge)


def _comparison(first: Verdict, second: Verdict) -> float | Unscored:
    one, other = _strength(first), _strength(second)
    if one is None or other is None:
        return Unscored(first.reason or second.reason)
    return Unscored(ALIKE) if one == other else float(one > other)


def _strength(verdict: Verdict) -> float | None:
    return verdict.probability if verdict.score is None else verdict.score
