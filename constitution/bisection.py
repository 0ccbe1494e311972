"""Which version made it worse: halving the versions between a good one and a bad one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil, log2
from typing import Literal, NamedTuple

Verdict = Literal["good", "bad", "unsure"]


@dataclass(frozen=True, slots=True)
class Search:
    """What is known: version `good` was good, `bad`, a later one, was bad, and `skipped` cannot be told."""

    good: int
    bad: int
    skipped: frozenset[int] = field(default_factory=frozenset)

    @property
    def open_count(self) -> int:
        """How many versions in between could still be asked about."""
        return self.bad - self.good - 1 - sum(self.good < number < self.bad for number in self.skipped)

    @property
    def steps(self) -> int:
        """How many answers are needed at most, if none is skipped."""
        return ceil(log2(self.open_count + 1))

    @property
    def middle(self) -> int | None:
        """The next version to judge: the one nearest to the middle that can be; None where there is none."""
        centre = (self.good + self.bad) // 2
        near = sorted(range(self.good + 1, self.bad), key=lambda number: (abs(number - centre), number))
        return next((number for number in near if number not in self.skipped), None)

    @property
    def suspects(self) -> range:
        """The versions of which one did it, once there is no middle left: one, unless some were skipped."""
        return range(self.good + 1, self.bad + 1)


class Value(NamedTuple):
    """A rate that a round measured: `k` of `n`, with the interval that it is known to lie in. All shares of 1."""

    number: int
    rate: float
    low: float
    high: float


def judge(value: Value, limit: float, *, worse_above: bool) -> Verdict:
    """Where the value stands to `limit`, a share of 1; an interval that holds the limit decides nothing."""
    if value.low <= limit <= value.high:
        return "unsure"
    return "bad" if (value.rate > limit) == worse_above else "good"


def narrowed(search: Search, verdicts: Iterable[tuple[int, Verdict]]) -> Search:
    """What measured versions in between say: up to the first bad one, from the last good one before it.

    A measure may go back and forth; this is the first time that it became bad.
    """
    good, bad = search.good, search.bad
    for number, verdict in sorted(verdicts):
        if not search.good < number < search.bad:
            continue
        if verdict == "bad":
            bad = number
            break
        if verdict == "good":
            good = number
    return Search(good, bad, search.skipped)
