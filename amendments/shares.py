"""A share of so many, with its interval: what is counted is shown with how sure one can be of it."""

from dataclasses import dataclass
from math import sqrt

NORMAL_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Share:
    """`k` of `n`. Of none nothing is known: no rate, and an interval from 0 to 1."""

    k: int
    n: int

    @property
    def rate(self) -> float | None:
        return self.k / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's score interval at 95 %, written out: a web host has no scipy."""
        if not self.n:
            return 0.0, 1.0
        z = NORMAL_95 * NORMAL_95 / self.n
        middle = (self.k / self.n + z / 2) / (1 + z)
        half = sqrt(self.k / self.n * (1 - self.k / self.n) * z + z * z / 4) / (1 + z)
        return max(0.0, middle - half), min(1.0, middle + half)

    def minus(self, other: "Share") -> tuple[float, float, float] | None:
        """The difference of two shares that do not depend on each other, and its 95 % interval; None without both.

        Newcombe's interval (1998, method 10): from the two of Wilson.
        """
        if self.rate is None or other.rate is None:
            return None
        (low, high), (other_low, other_high) = self.interval, other.interval
        found = self.rate - other.rate
        down = sqrt((self.rate - low) ** 2 + (other_high - other.rate) ** 2)
        up = sqrt((high - self.rate) ** 2 + (other.rate - other_low) ** 2)
        return found, found - down, found + up

    def __str__(self) -> str:
        """As people read it: "39 %, 24 to 56"."""
        if not self.n:
            return "none yet"
        low, high = self.interval
        return f"{100 * self.k / self.n:.0f} %, {100 * low:.0f} to {100 * high:.0f}"
