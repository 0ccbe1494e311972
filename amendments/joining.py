"""Which cluster a new case goes to, by what its request is about: the nearest of its kind, or one that it founds.

Nothing is clustered anew: a cluster keeps the mean of its cases, and each newcomer is compared with the means. It is
of a kind by version, signal and principle, since one amendment changes one clause; where people merged clusters, it
goes where the cases are now, and what they split off takes newcomers of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Q, QuerySet
from numpy.typing import NDArray

from amendments.cases import wait_for_turn
from amendments.models import Cluster, EdgeCase
from amendments.models.cases import Centroid, Embedding
from constitution.texts import HIDDEN

# The least cosine to a cluster's mean with which a case joins it: low, since requests of one cause may have few words
# in common (see docs/measurements.md), and being under one clause with one signal says more.
NEAR = 0.1
SAME = 0.8  # from here on two requests ask nearly the same: with other words around it, yes; look-alikes seldom
LABEL_LETTERS = 60
MOST_COMPARED = 5_000

Direction = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A case that looks for its place."""

    scenario: int
    prompt: str
    principle: str
    signal: str
    direction: Direction


@dataclass(frozen=True, slots=True)
class Place:
    """Where it goes, and the case there that asks nearly the same, where there is one."""

    cluster: Cluster
    near: int | None = None
    cosine: float = 0.0


def place(*, version: int, kind: str, newcomers: Sequence[Newcomer]) -> list[Place]:
    """A place for each newcomer, in their order; within a transaction, in which nobody else files or moves cases.

    Those of one call that are near to each other go together. Their directions are kept.
    """
    wait_for_turn()
    _keep(kind, newcomers)
    places: dict[int, Place] = {}
    for principle, signal in sorted({(one.principle, one.signal) for one in newcomers}):
        alike = [i for i, one in enumerate(newcomers) if (one.principle, one.signal) == (principle, signal)]
        known = _Known.load(version, principle, signal, kind)
        for part in agglomerate(np.stack([newcomers[i].direction for i in alike])):
            members = [newcomers[alike[i]] for i in part]
            cluster = known.join(members)
            for i in part:
                places[alike[i]] = _beside(cluster, kind, newcomers[alike[i]])
    return [places[i] for i in range(len(newcomers))]


def agglomerate(directions: Direction, *, near: float = NEAR) -> list[list[int]]:
    """Indices in groups: the two nearest groups become one while their cases' mean cosine is at least `near`."""
    groups = [[i] for i in range(len(directions))]
    sums = directions @ directions.T  # between two groups, the sum over all pairs
    np.fill_diagonal(sums, -np.inf)
    while len(groups) > 1:
        sizes = np.array([len(group) for group in groups])
        means = sums / np.outer(sizes, sizes)
        one, other = (int(i) for i in np.unravel_index(int(means.argmax()), means.shape))
        if means[one, other] < near:
            break
        sums[one] += sums[other]
        sums[:, one] = sums[one]
        sums[one, one] = -np.inf
        sums = np.delete(np.delete(sums, other, 0), other, 1)
        groups[one] += groups.pop(other)
    return groups


def nearest(direction: Direction, means: Direction) -> tuple[int, float]:
    """The place of the nearest of `means` [n, size] and its cosine; the means need not be of length 1."""
    lengths = np.maximum(np.linalg.norm(means, axis=1), 1e-6)
    cosines = (means @ direction) / (lengths * max(float(np.linalg.norm(direction)), 1e-6))
    found = int(cosines.argmax())
    return found, float(cosines[found])


def pack(direction: Direction) -> bytes:
    return direction.astype("<f2").tobytes()


def unpack(packed: Iterable[bytes | memoryview]) -> Direction:
    """Rows of directions."""
    return np.stack([np.frombuffer(row, dtype="<f2") for row in packed]).astype(np.float32)


@dataclass
class _Known:
    """The means of a kind's clusters, row by row: whose each is, and of how many cases."""

    version: int
    principle: str
    signal: str
    kind: str
    clusters: list[int]
    sizes: list[int]
    means: Direction | None

    @classmethod
    def load(cls, version: int, principle: str, signal: str, kind: str) -> "_Known":
        rows = Cluster.objects.filter(version=version, principle=principle, signal=signal)
        merged = rows.exclude(merged_into=None).select_related("merged_into")
        elsewhere = {row.present.pk for row in merged}
        here = Q(merged_into=None, version=version, principle=principle, signal=signal) | Q(pk__in=elsewhere)
        _measure(kind, Cluster.objects.filter(here))
        found = Centroid.objects.filter(kind=kind, cluster__in=Cluster.objects.filter(here)).order_by("cluster")
        facts = list(found.values_list("cluster", "size", "mean"))
        means = unpack(mean for _, _, mean in facts) if facts else None
        return cls(version, principle, signal, kind, [row[0] for row in facts], [row[1] for row in facts], means)

    def join(self, members: Sequence[Newcomer]) -> Cluster:
        """Put the newcomers, who belong together, into the nearest cluster, or into one of their own."""
        together = np.stack([one.direction for one in members])
        mean = together.mean(0)
        if self.means is not None:
            found, cosine = nearest(mean, self.means)
            if cosine >= NEAR:
                return self._grow(found, together)
        return self._found(members, mean)

    def _grow(self, at: int, together: Direction) -> Cluster:
        assert self.means is not None  # noqa: S101
        total = self.means[at] * self.sizes[at] + together.sum(0)
        self.sizes[at] += len(together)
        self.means[at] = total / self.sizes[at]
        own = Centroid.objects.filter(cluster=self.clusters[at], kind=self.kind)
        own.update(mean=pack(self.means[at]), size=self.sizes[at])
        return Cluster.objects.get(pk=self.clusters[at])

    def _found(self, members: Sequence[Newcomer], mean: Direction) -> Cluster:
        cluster = self._unmeasured() or self._new(members[0])
        Centroid.objects.create(cluster=cluster, kind=self.kind, mean=pack(mean), size=len(members))
        self.clusters.append(cluster.pk)
        self.sizes.append(len(members))
        self.means = mean[None] if self.means is None else np.concatenate([self.means, mean[None]])
        return cluster

    def _unmeasured(self) -> Cluster | None:
        """The cluster without a label while no embedded case is in it: the first newcomers go there."""
        first, _ = Cluster.objects.get_or_create(
            version_id=self.version, principle_id=self.principle, signal=self.signal, label=""
        )
        present = first.present
        return None if present.pk in self.clusters else present

    def _new(self, member: Newcomer) -> Cluster:
        facts = {"version_id": self.version, "principle_id": self.principle, "signal": self.signal}
        name = label_of(member.prompt)
        taken = set(Cluster.objects.filter(**facts, label__startswith=name).values_list("label", flat=True))
        free = (f"{name} {number}" if number > 1 else name for number in range(1, len(taken) + 2))
        return Cluster.objects.create(**facts, label=next(label for label in free if label not in taken))


def label_of(prompt: str) -> str:
    """What a cluster is called that this request founds."""
    words = " ".join(HIDDEN.sub(" ", prompt).split())
    return f"like “{words if len(words) <= LABEL_LETTERS else words[: LABEL_LETTERS - 1].rstrip() + '…'}”"


def _measure(kind: str, clusters: QuerySet[Cluster]) -> None:
    """Give clusters without a mean theirs, from those of their cases that are embedded."""
    bare = clusters.exclude(pk__in=Centroid.objects.filter(kind=kind).values("cluster"))
    rows = EdgeCase.objects.filter(cluster__in=bare, scenario__embeddings__kind=kind).order_by("cluster", "pk")
    found: dict[int, list[bytes | memoryview]] = {}
    for cluster, direction in rows.values_list("cluster", "scenario__embeddings__direction"):
        found.setdefault(cluster, []).append(direction)
    Centroid.objects.bulk_create(
        Centroid(cluster_id=cluster, kind=kind, mean=pack(unpack(rows).mean(0)), size=len(rows))
        for cluster, rows in found.items()
    )


def _keep(kind: str, newcomers: Sequence[Newcomer]) -> None:
    rows = [Embedding(scenario_id=one.scenario, kind=kind, direction=pack(one.direction)) for one in newcomers]
    Embedding.objects.bulk_create(rows, ignore_conflicts=True)


def _beside(cluster: Cluster, kind: str, one: Newcomer) -> Place:
    """The place, with the nearest other request there if it asks nearly the same."""
    rows = EdgeCase.objects.filter(cluster=cluster, scenario__embeddings__kind=kind).exclude(scenario=one.scenario)
    found = list(rows.order_by("-pk").values_list("pk", "scenario__embeddings__direction")[:MOST_COMPARED])
    if not found:
        return Place(cluster)
    at, cosine = nearest(one.direction, unpack(direction for _, direction in found))
    return Place(cluster, found[at][0], cosine) if cosine >= SAME else Place(cluster)
