"""Clusters are merged and split without losing a case, also by two people at once."""

import threading

import pytest
from django.db import transaction

from amendments import clusters
from amendments.actions import propose
from amendments.cases import CaseText, add, mark, wait_for_turn
from amendments.clusters import Busy, merge, split, take_back
from amendments.models import Amendment, Cluster, ClusterMove, EdgeCase, MarkKind, MoveKind, Signal
from amendments.operations import Revise
from constitution import ledger
from constitution.actions import publish
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, User, Version
from tests.factories import make_clause, small_constitution
from tests.races import at_once


def seen(prompt: str, principle: str = "G-01", **changes: str) -> CaseText:
    content = {"prompt": prompt, "response": "No.", "principle": principle, "why": "It does not say."}
    return CaseText.model_validate(content | changes)


def two_clusters(by: User, cases: int = 3) -> tuple[Cluster, Cluster]:
    """One under G-01 and one under U-02, of the same signal."""
    for number in range(cases):
        one = add(text=seen(f"One {number}?"), by=by)
        other = add(text=seen(f"Other {number}?", "U-02"), by=by)
    return one.cluster, other.cluster


def keys(cluster: Cluster) -> set[int]:
    return set(cluster.edge_cases.values_list("pk", flat=True))


def test_merge_moves_the_cases_and_leaves_a_pointer(constitution: Version, reviewer: User) -> None:
    one, other = two_clusters(reviewer)
    everything = keys(one) | keys(other)

    move = merge(source=one, target=other, by=reviewer)

    one.refresh_from_db()
    assert (one.merged_into, one.present, keys(one), keys(other)) == (other, other, set(), everything)
    entry = LedgerEntry.objects.latest("number")
    assert (entry.action, entry.detail["cases"], entry.detail["move"]) == ("clusters merged", 3, move.pk)


def test_merge_of_a_merged_one_leads_on(constitution: Version, reviewer: User) -> None:
    one, other = two_clusters(reviewer)
    third = add(text=seen("Third?", "T-03"), by=reviewer).cluster
    merge(source=one, target=other, by=reviewer)
    merge(source=other, target=third, by=reviewer)
    assert Cluster.objects.get(pk=one.pk).present == third
    assert third.edge_cases.count() == 7


def test_merge_is_taken_back(constitution: Version, reviewer: User) -> None:
    one, other = two_clusters(reviewer)
    before = (keys(one), keys(other))
    move = merge(source=one, target=other, by=reviewer)
    later = add(text=seen("Later?"), by=reviewer)

    undone = take_back(move=move, by=reviewer)

    one.refresh_from_db()
    assert one.merged_into is None
    assert (keys(one), keys(other)) == (before[0], before[1] | {later.pk})
    assert (undone.kind, undone.undoes) == (MoveKind.UNDO, move)
    with pytest.raises(Refused, match="taken back already"):
        take_back(move=move, by=reviewer)


def test_split_makes_a_cluster_with_a_name_of_its_own(constitution: Version, reviewer: User) -> None:
    one, _ = two_clusters(reviewer)
    chosen = sorted(keys(one))[:2]

    move = split(cluster=one, cases=chosen, label="  Doses\nfor children ", by=reviewer)

    assert str(move.target) == "Reported under G-01: Doses for children"
    assert (sorted(keys(move.target)), one.edge_cases.count()) == (chosen, 1)
    take_back(move=move, by=reviewer)
    assert one.edge_cases.count() == 3
    assert Cluster.objects.get(pk=move.target_id).present == one


def test_split_says_what_is_in_the_way(constitution: Version, reviewer: User) -> None:
    one, other = two_clusters(reviewer)
    chosen = sorted(keys(one))
    split(cluster=one, cases=chosen[:1], label="Doses", by=reviewer)
    for cases, label in (
        ([], "New"),
        (chosen, "New"),  # one is not there any more
        (chosen[1:], "New"),  # none would stay
        (chosen[1:2], "Doses"),
        (chosen[1:2], "  "),
        (chosen[1:2], "x" * 81),
        (chosen[1:2], "a\u202eb"),
        (sorted(keys(other)), "New"),
        ([2**62], "New"),
    ):
        with pytest.raises(Refused):
            split(cluster=one, cases=cases, label=label, by=reviewer)
    assert ClusterMove.objects.count() == 1


def test_merge_says_what_is_in_the_way(constitution: Version, reviewer: User, overseer: User) -> None:
    one, other = two_clusters(reviewer)
    gap = add(text=seen("A gap?", signal="gap"), by=reviewer).cluster
    clauses = [*small_constitution(), make_clause("K-01", 3, "Be kind.")]
    second = publish(base=constitution, clauses=clauses, title="2", summary="", by=reviewer)
    elsewhere = Cluster.objects.create(version=second, principle_id="G-01", signal=Signal.REPORTED)
    for target in (one, gap, elsewhere):
        with pytest.raises(Refused):
            merge(source=one, target=target, by=reviewer)
    with pytest.raises(NotAllowed):
        merge(source=one, target=other, by=overseer)
    merge(source=one, target=other, by=reviewer)
    for source, target in ((one, other), (other, one)):
        with pytest.raises(clusters.Merged):
            merge(source=source, target=target, by=reviewer)


def test_proposals_keep_the_cluster_they_were_drafted_from(constitution: Version, reviewer: User) -> None:
    one, other = two_clusters(reviewer)
    clause = next(clause for clause in constitution.texts() if clause.principle == "G-01")
    revise = Revise(principle="G-01", before=clause.digest, text="Help.")
    proposal = propose(by=reviewer, base=constitution, operations=(revise,), rationale="Unclear.", cluster=one)
    merge(source=one, target=other, by=reviewer)
    found = Amendment.objects.select_related("cluster__merged_into").get(pk=proposal.pk)
    assert found.cluster is not None
    assert (found.cluster, found.cluster.present) == (one, other)


def test_merge_does_not_wait_long_for_an_import(
    transactional_db: None, constitution: Version, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "PATIENCE", "100ms")
    one, other = two_clusters(reviewer, 1)
    filing, done = threading.Event(), threading.Event()

    def file() -> None:
        with transaction.atomic():
            wait_for_turn()
            filing.set()
            assert done.wait(10)

    def try_to_merge() -> object:
        assert filing.wait(10)
        try:
            return merge(source=one, target=other, by=reviewer)
        finally:
            done.set()

    _, result = at_once(file, try_to_merge)
    assert isinstance(result, Busy)
    assert EdgeCase.objects.filter(cluster=one).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(6))
def test_merges_in_opposite_directions_make_one(
    constitution: Version, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    one, other = two_clusters(reviewer)

    results = at_once(
        lambda: merge(source=one, target=other, by=reviewer),
        lambda: merge(source=other, target=one, by=other_reviewer),
    )

    assert len([result for result in results if isinstance(result, clusters.Merged)]) == 1
    emptied, grown = sorted([one, other], key=lambda cluster: cluster.edge_cases.count())
    emptied.refresh_from_db()
    assert (emptied.edge_cases.count(), grown.edge_cases.count(), emptied.merged_into) == (0, 6, grown)
    assert LedgerEntry.objects.filter(action="clusters merged").count() == 1
    ledger.verify()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(6))
def test_merge_and_split_lose_no_case(
    constitution: Version, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    one, other = two_clusters(reviewer)
    chosen = sorted(keys(one))[:2]

    merged, divided = at_once(
        lambda: merge(source=one, target=other, by=reviewer),
        lambda: split(cluster=one, cases=chosen, label="Doses", by=other_reviewer),
    )

    assert isinstance(merged, ClusterMove)
    assert isinstance(divided, ClusterMove | clusters.Merged)
    assert EdgeCase.objects.count() == 6
    assert other.edge_cases.count() == (4 if isinstance(divided, ClusterMove) else 6)
    assert not EdgeCase.objects.filter(cluster__merged_into__isnull=False).exists()
    ledger.verify()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(6))
def test_merge_and_add_leave_no_case_in_an_emptied_cluster(
    constitution: Version, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    one, other = two_clusters(reviewer)

    merged, added = at_once(
        lambda: merge(source=one, target=other, by=reviewer),
        lambda: add(text=seen("At the same time?"), by=other_reviewer),
    )

    assert isinstance(merged, ClusterMove)
    assert isinstance(added, EdgeCase)
    assert (one.edge_cases.count(), other.edge_cases.count()) == (0, 7)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(4))
def test_two_people_add_the_same_case_once(
    constitution: Version, reviewer: User, other_reviewer: User, attempt: int
) -> None:
    results = at_once(
        lambda: add(text=seen("The same?"), by=reviewer), lambda: add(text=seen("the SAME?"), by=other_reviewer)
    )
    assert len([result for result in results if isinstance(result, Refused)]) == 1
    assert (EdgeCase.objects.count(), Cluster.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_two_people_mark_at_once(constitution: Version, reviewer: User, other_reviewer: User) -> None:
    case = add(text=seen("Noise?"), by=reviewer)
    at_once(*(lambda by=by: mark(cases=[case], kind=MarkKind.NOISE, by=by) for by in (reviewer, other_reviewer)))
    assert not EdgeCase.objects.counted().exists()
    assert LedgerEntry.objects.filter(action="edge cases marked").count() == 2
