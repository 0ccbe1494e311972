"""What the looks of a round measured, component by component, and how each is named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any
from urllib.parse import urlencode

from constitution.models import Tier
from training.models import Look, LookState, Round
from training.recipes.band import PAIRS, REFUSALS

# The decided examples of one clause: how far their right answers lead over the wrong ones.
DECIDED = "decided"
STATES = dict(LookState.choices)
LABELS = {"harmful": "Harmful requests", "benign": "Harmless requests"}
# Student's t at 97.5 % for 1 to 30 degrees of freedom; a web host has no scipy.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL = 1.96
# An interval over fewer says more about the formula than about the model.
FEWEST = 4

Moved = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """A component of a look: the requests with this label, all of them or those of one tier or one principle."""

    label: str
    tier: int | None = None
    principle: str = ""

    @property
    def is_whole(self) -> bool:
        return self.tier is None and not self.principle

    @property
    def is_held(self) -> bool:
        """Whether a band can hold for it: the looks judge these alone."""
        return self.is_whole or self.label == DECIDED

    def is_of(self, look: Look) -> bool:
        """Whether this look measured it."""
        if self.label == DECIDED:
            return look.measure == PAIRS and look.group == self.principle
        return look.measure == REFUSALS and look.group == self.label

    def holds(self, prompt: Moved) -> bool:
        if self.label == DECIDED:
            return True
        return self.tier in (None, prompt["tier"]) and self.principle in ("", prompt["principle"])

    def query(self, step: int) -> str:
        named = {"label": self.label, "tier": self.tier, "principle": self.principle, "step": step}
        return urlencode({name: value for name, value in named.items() if value not in (None, "")})


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of `n` differences, with its 95 % interval where there are enough of them."""

    value: float
    n: int
    low: float | None = None
    high: float | None = None

    @property
    def sentence(self) -> str:
        said = f"{self.value:+.2f} nats"
        return said if self.low is None else f"{said}, 95 % interval {self.low:+.2f} to {self.high:+.2f}"


def mean(values: Sequence[float]) -> Mean:
    """The mean and Student's interval. Raises ValueError for no values."""
    if not values:
        raise ValueError("There is no mean of nothing.")
    middle, n = fmean(values), len(values)
    if n < FEWEST:
        return Mean(middle, n)
    half = (STUDENT[n - 2] if n - 2 < len(STUDENT) else NORMAL) * stdev(values) / sqrt(n)
    return Mean(middle, n, middle - half, middle + half)


def is_held_at(part: Part, look: Look) -> bool:
    """Whether a band held for this component at this look."""
    return part.is_held and (look.low, look.high) != (None, None)


def prompts_of(look: Look) -> list[Moved]:
    """What the mean was taken over; none where a round ended before it was kept."""
    return list(look.detail.get("prompts", []))


def scored_of(look: Look) -> list[Moved]:
    return [row for row in prompts_of(look) if row["now"] is not None and row["before"] is not None]


def titles_of(round_: Round) -> dict[str, str]:
    return {clause["principle"]: clause["title"] for clause in round_.plan.get("clauses", [])}


def title_of(part: Part, titles: Mapping[str, str]) -> str:
    if part.label == DECIDED:
        return f"{part.principle} {titles.get(part.principle, '')}".strip()
    label = LABELS[part.label]
    if part.tier is not None:
        return f"{label}, {Tier(part.tier).label.lower()}"
    if part.principle:
        title = titles.get(part.principle, "")
        return f"{part.principle} {title}, {label.lower()}" if title else f"{part.principle}, {label.lower()}"
    return label
