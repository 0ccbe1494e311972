"""New cases join the nearest cluster of their kind or found one; what people merge and split stays as they left it."""

import numpy as np
import pytest
from django.db import transaction

from amendments.cases import mark
from amendments.clusters import merge, split, take_back
from amendments.joining import SAME, Newcomer, Place, agglomerate, nearest, pack, place, unpack
from amendments.models import Cluster, EdgeCase, MarkKind, Producer, Scenario
from amendments.models.cases import Centroid, Embedding
from amendments.pressing import weigh, weigh_of
from constitution.actions import publish
from constitution.digests import digest
from constitution.models import User, Version
from constitution.texts import ClauseText
from tests.factories import make_producer
from training.reading import near_of

KIND = "test-1"
SIZE = 16


def towards(axis: int, *, lean: float = 0.0, to: int = 15) -> np.ndarray:
    """A direction along an axis, leaning a little to another."""
    found = np.zeros(SIZE, dtype=np.float32)
    found[axis], found[to] = 1.0, lean
    return found / np.linalg.norm(found)


def arrive(version: Version, producer: Producer, *rows: tuple[str, np.ndarray], principle: str = "G-01") -> list[Place]:
    """Cases as a reading files them."""
    scenarios = [
        Scenario.objects.get_or_create(digest=digest(prompt), defaults={"prompt": prompt, "source": "test"})[0]
        for prompt, _ in rows
    ]
    newcomers = [
        Newcomer(row.pk, row.prompt, principle, "conflict", direction)
        for row, (_, direction) in zip(scenarios, rows, strict=True)
    ]
    with transaction.atomic():
        places = place(version=version.pk, kind=KIND, newcomers=newcomers)
        EdgeCase.objects.bulk_create(
            EdgeCase(
                scenario=row,
                version=version,
                principle_id=principle,
                cluster=found.cluster,
                producer=producer,
                signal="conflict",
                score=0.8,
                response="No.",
                detail=near_of(found),
            )
            for row, found in zip(scenarios, places, strict=True)
        )
    return places


@pytest.fixture
def producer(constitution: Version) -> Producer:
    return make_producer()


def test_agglomerate_puts_the_near_together_and_keeps_the_rest_apart() -> None:
    rows = np.stack([towards(0), towards(1), towards(0, lean=0.2), towards(2), towards(1, lean=0.1)])
    assert sorted(sorted(group) for group in agglomerate(rows)) == [[0, 2], [1, 4], [3]]
    assert agglomerate(rows[:1]) == [[0]]
    assert agglomerate(rows[:0]) == []


def test_nearest_needs_no_unit_length_and_packing_keeps_directions() -> None:
    found, cosine = nearest(towards(1), np.stack([towards(0) * 3, towards(1) * 0.2]))
    assert (found, round(cosine, 4)) == (1, 1.0)
    kept = unpack([pack(towards(3, lean=0.3))])[0]
    assert float(kept @ towards(3, lean=0.3)) == pytest.approx(1, abs=1e-3)


def test_newcomer_joins_the_near_and_founds_among_the_far(constitution: Version, producer: Producer) -> None:
    first, far = arrive(constitution, producer, ("Kill a process?", towards(0)), ("Blow up a balloon?", towards(5)))
    assert first.cluster.label == "", "the first of a kind are in the cluster without a label"
    assert far.cluster.label == "like “Blow up a balloon?”"
    joined, alone = arrive(
        constitution, producer, ("Stop a process?", towards(0, lean=0.3)), ("Rob a bank in chess?", towards(7))
    )
    assert joined.cluster == first.cluster
    assert alone.cluster not in (first.cluster, far.cluster)
    centroid = Centroid.objects.get(cluster=first.cluster)
    assert centroid.size == 2
    other = arrive(constitution, producer, ("Kill a plant?", towards(0)), principle="U-02")[0]
    assert other.cluster.principle_id == "U-02", "one amendment changes one clause"


def test_requests_that_ask_nearly_the_same_are_told(constitution: Version, producer: Producer) -> None:
    arrive(constitution, producer, ("Kill a process?", towards(0)))
    same, near = arrive(
        constitution, producer, ("Kill a process, please?", towards(0, lean=0.05)), ("Kill it?", towards(0, lean=0.9))
    )
    assert same.near == EdgeCase.objects.get(scenario__prompt="Kill a process?").pk
    assert same.cosine >= SAME
    assert near.near is None


def test_long_first_words_make_one_label_each(constitution: Version, producer: Producer) -> None:
    arrive(constitution, producer, ("First?", towards(0)))
    long = "How do I " + "really " * 30
    places = arrive(constitution, producer, (f"{long} run?", towards(1)), (f"{long} stop\u202e?", towards(2)))
    labels = [found.cluster.label for found in places]
    assert labels[1] == f"{labels[0]} 2"
    assert all(len(label) <= 80 for label in labels)


def test_cases_go_where_people_merged_their_cluster(constitution: Version, producer: Producer, reviewer: User) -> None:
    one = arrive(constitution, producer, ("Kill a process?", towards(0)))[0].cluster
    other = arrive(constitution, producer, ("Pick a lock?", towards(1)), principle="U-02")[0].cluster
    move = merge(source=one, target=other, by=reviewer)
    assert not Centroid.objects.exists(), "measured anew when the next case comes"
    joined = arrive(constitution, producer, ("Stop a process?", towards(0, lean=0.2)))[0]
    assert joined.cluster == other
    assert Centroid.objects.get(cluster=other).size == 3
    take_back(move=move, by=reviewer)
    back = arrive(constitution, producer, ("End a process?", towards(0, lean=0.1)))[0]
    assert back.cluster == one


def test_what_people_split_off_takes_newcomers_of_its_own(
    constitution: Version, producer: Producer, reviewer: User
) -> None:
    cluster = arrive(
        constitution, producer, ("Kill a process?", towards(0)), ("Kill a task?", towards(0, lean=0.9, to=3))
    )[0].cluster
    task = EdgeCase.objects.get(scenario__prompt="Kill a task?")
    off = split(cluster=cluster, cases=[task.pk], label="Tasks", by=reviewer).target
    joined = arrive(constitution, producer, ("End a task?", towards(0, lean=1.0, to=3)))[0]
    assert joined.cluster == off


def test_cluster_that_people_filled_takes_the_first_newcomers(
    constitution: Version, producer: Producer, reviewer: User
) -> None:
    from amendments.cases import CaseText, add

    told = {"prompt": "Kill it?", "response": "No.", "principle": "G-01", "why": "Unclear.", "signal": "conflict"}
    seen = add(text=CaseText.model_validate(told), by=reviewer)
    assert arrive(constitution, producer, ("Kill a process?", towards(0)))[0].cluster == seen.cluster
    assert Embedding.objects.count() == 1


def test_another_kind_of_direction_is_never_compared(constitution: Version, producer: Producer) -> None:
    first = arrive(constitution, producer, ("Kill a process?", towards(0)))[0].cluster
    Centroid.objects.filter(cluster=first).update(kind="other weights")
    assert arrive(constitution, producer, ("Kill a task?", towards(0)))[0].cluster == first
    assert set(Centroid.objects.values_list("kind", "size")) == {("other weights", 1), (KIND, 2)}


def test_weight_counts_what_an_earlier_version_knew(constitution: Version, producer: Producer, reviewer: User) -> None:
    old = arrive(constitution, producer, ("Kill a process?", towards(0)), ("Kill a task?", towards(0)))[0].cluster
    assert weigh(old, 2).known == 0
    changed = [
        ClauseText.model_validate({**row.model_dump(), "text": f"{row.text} So."}) for row in constitution.texts()
    ]
    second = publish(base=constitution, clauses=changed, title="Law", summary="Again.", by=reviewer)
    rows = (("Kill a process?", towards(0)), ("Kill a cold?", towards(0, lean=0.1)))
    new = arrive(second, producer, *rows)[0].cluster
    weight = weigh_of(new)
    assert weight is not None
    assert (len(weight.scores), weight.known, weight.novelty) == (2, 1, 0.75)
    assert isinstance(new, Cluster)


def test_what_asks_nearly_the_same_makes_a_cluster_no_more_pressing(
    constitution: Version, producer: Producer, operator: User
) -> None:
    first = arrive(constitution, producer, ("Kill a process?", towards(0)))[0].cluster
    alone = weigh(first, 2)
    arrive(constitution, producer, ("Please: kill a process?", towards(0, lean=0.1)))
    both = weigh(first, 2)
    assert (len(both.scores), both.repeats, both.priority) == (2, 1, alone.priority)
    assert "1 nearly the same as another and not counted again" in both.reason
    mark(cases=[EdgeCase.objects.get(scenario__prompt="Kill a process?")], kind=MarkKind.NOISE, by=operator)
    assert weigh(first, 2).repeats == 0, "what it is the same as does not count"
