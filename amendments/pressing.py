"""How pressing a cluster is, which orders the queue, and why, in words."""

import math
from dataclasses import dataclass

from django.db.models import Exists, OuterRef

from amendments.models import Cluster, EdgeCase
from constitution.models import VersionClause

TIER_WEIGHTS = {1: 3.0, 2: 2.0, 3: 1.0}
MOST_WEIGHED = 2_000  # the strongest: more of them would hardly move the logarithm


@dataclass(frozen=True, slots=True)
class Weight:
    """What counts of a cluster: the strengths of its cases, how many of them were cases of an earlier version already,
    and how many ask nearly the same as another one of them."""

    tier: int
    scores: tuple[float, ...]
    known: int = 0
    repeats: int = 0

    @property
    def severity(self) -> float:
        return sum(self.scores) / len(self.scores) if self.scores else 0.0

    @property
    def novelty(self) -> float:
        """1 where no case was seen before, a half where all were: what stayed unsettled matters, what nobody has looked
        at matters more."""
        return 1 - self.known / len(self.scores) / 2 if self.scores else 1.0

    @property
    def priority(self) -> float:
        """Tier weight x severity x log(1 + size) x novelty; what asks nearly the same again is no size."""
        return TIER_WEIGHTS[self.tier] * self.severity * math.log(1 + len(self.scores) - self.repeats) * self.novelty

    @property
    def reason(self) -> str:
        """The factors one by one."""
        count = len(self.scores)
        if not count:
            return "No case counts, so nothing presses."
        cases = f"{count} case{'s' if count != 1 else ''} of a mean strength of {self.severity:.2f}"
        seen = f"{self.known} known from an earlier version" if self.known else "none known from an earlier version"
        again = f", {self.repeats} nearly the same as another and not counted again" if self.repeats else ""
        return f"Tier {self.tier}, {cases}{again}, {seen}."


def weigh_of(cluster: Cluster) -> Weight | None:
    """The weight of a cluster under its own clause; None where its version has no such clause any more."""
    clauses = VersionClause.objects.filter(version=cluster.version_id, principle=cluster.principle_id)
    tier = clauses.values_list("clause__tier", flat=True).first()
    return weigh(cluster, tier) if tier else None


def weigh(cluster: Cluster, tier: int) -> Weight:
    """The weight of a cluster under a clause of this tier, by the cases that count."""
    before = EdgeCase.objects.filter(
        scenario=OuterRef("scenario"), signal=OuterRef("signal"), version__number__lt=OuterRef("version__number")
    )
    rows = EdgeCase.objects.counted().filter(cluster=cluster).strongest_first().annotate(is_known=Exists(before))
    found = list(rows.values_list("pk", "score", "is_known", "detail__near__case")[:MOST_WEIGHED])
    here = {pk for pk, _, _, _ in found}
    return Weight(
        tier,
        tuple(score for _, score, _, _ in found),
        known=sum(is_known for _, _, is_known, _ in found),
        repeats=sum(near in here for _, _, _, near in found),
    )
