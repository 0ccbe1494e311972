"""The verbs of clusters: merge one into another, split some cases off, take either back.

Each is one transaction with both rows locked, leaves one ledger entry, and moves cases without losing any: a cluster
that was emptied stays, and says where its cases went.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from amendments.cases import check_may_mark, wait_for_turn
from amendments.models import Cluster, ClusterMove, EdgeCase, MoveKind
from amendments.models.cases import Centroid
from config.live import publish as announce
from constitution import ledger
from constitution.errors import Refused
from constitution.models import User
from constitution.texts import written

# Somebody files cases into it for a moment, or for the length of an import: then nobody is kept waiting.
PATIENCE = "2s"
LABEL_LIMIT = 80


class Merged(Refused):
    """One of the clusters has been emptied meanwhile."""


class Busy(Refused):
    """Cases are being filed right now."""


def merge(*, source: Cluster, target: Cluster, by: User) -> ClusterMove:
    """Move all cases of `source` into `target`, which is of the same version and signal.

    Raises Merged where one of them was merged already, Busy where cases are being filed, NotAllowed, Refused.
    """
    check_may_mark(by)
    if source.pk == target.pk:
        raise Refused("A cluster is not merged into itself; name another one.")
    with _locked(source, target) as (emptied, grown):
        _check_alike(emptied, grown)
        cases = list(EdgeCase.objects.filter(cluster=emptied).order_by("pk").values_list("pk", flat=True))
        move = _move(MoveKind.MERGE, emptied, grown, cases, by=by)
        emptied.merged_into = grown
        emptied.save(update_fields=["merged_into"])
        _record("clusters merged", move)
    return move


def split(*, cluster: Cluster, cases: Sequence[int], label: str, by: User) -> ClusterMove:
    """Make a cluster of some cases, with a `label` of its own; at least one stays behind.

    Raises Merged, Busy, NotAllowed; Refused where a case is no longer there, or the label is taken.
    """
    check_may_mark(by)
    name = _label(label)
    with _locked(cluster) as (row,):
        present = set(EdgeCase.objects.filter(cluster=row, pk__in=cases).values_list("pk", flat=True))
        if not present or len(present) != len(set(cases)):
            raise Refused("Some of these cases are not in this cluster any more; nothing was moved. Choose again.")
        if not EdgeCase.objects.filter(cluster=row).exclude(pk__in=present).exists():
            raise Refused("At least one case stays behind: a cluster with none would say nothing.")
        facts = {"version_id": row.version_id, "principle_id": row.principle_id, "signal": row.signal, "label": name}
        if Cluster.objects.filter(**facts).exists():
            raise Refused(f"There is already a cluster called “{name}” of this kind; choose another name.")
        move = _move(MoveKind.SPLIT, row, Cluster.objects.create(**facts), sorted(present), by=by)
        _record("cluster split", move)
    return move


def take_back(*, move: ClusterMove, by: User) -> ClusterMove:
    """Undo a merge: the emptied cluster has its cases again, those that were not moved on meanwhile.

    A split is undone by merging it back. Raises Refused where that was done, or the clusters have moved on.
    """
    check_may_mark(by)
    if move.kind == MoveKind.SPLIT:
        return merge(source=move.target, target=move.source, by=by)
    with _locked(move.target, move.source, but=move.source) as (grown, emptied):
        if move.kind != MoveKind.MERGE or emptied.merged_into_id != grown.pk or _is_undone(move):
            raise Refused("This was taken back already, or the clusters have changed since.")
        emptied.merged_into = None
        emptied.save(update_fields=["merged_into"])
        cases = EdgeCase.objects.filter(cluster=grown, pk__in=move.cases).order_by("pk").values_list("pk", flat=True)
        undone = _move(MoveKind.UNDO, grown, emptied, list(cases), by=by, undoes=move)
        _record("cluster merge undone", undone)
    return undone


def _is_undone(move: ClusterMove) -> bool:
    return ClusterMove.objects.filter(undoes=move).exists()


@contextmanager
def _locked(*clusters: Cluster, but: Cluster | None = None) -> Iterator[list[Cluster]]:
    """A transaction in which these rows, as they are now, are ours; all but `but` must still hold cases."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [PATIENCE])
                wait_for_turn()
                keys = [cluster.pk for cluster in clusters]
                found = {row.pk: row for row in Cluster.objects.select_for_update().filter(pk__in=keys).order_by("pk")}
                cursor.execute("SELECT set_config('lock_timeout', '0', true)")
            rows = [found[key] for key in keys]
            for row in rows:
                if row.merged_into_id and (but is None or row.pk != but.pk):
                    raise Merged(f"Cluster {row.pk} was merged into cluster {row.merged_into_id}; nothing was moved.")
            yield rows
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise Busy("Cases are being filed right now; nothing was moved. Try again in a moment.") from error
        raise


def _check_alike(source: Cluster, target: Cluster) -> None:
    if source.version_id != target.version_id:
        raise Refused("These clusters are of different versions: what one shows may be settled in the other.")
    if source.signal != target.signal:
        raise Refused("These clusters have different signals, so they have different causes.")


def _label(label: str) -> str:
    name = " ".join(written(label).split())
    if not name or len(name) > LABEL_LIMIT:
        raise Refused(f"Say in up to {LABEL_LIMIT} letters what these cases have in common.")
    return name


def _move(
    kind: MoveKind,
    source: Cluster,
    target: Cluster,
    cases: Sequence[int],
    *,
    by: User,
    undoes: ClusterMove | None = None,
) -> ClusterMove:
    EdgeCase.objects.filter(pk__in=cases).update(cluster=target)
    Centroid.objects.filter(cluster__in=[source, target]).delete()  # measured anew when the next case comes
    return ClusterMove.objects.create(
        kind=kind, source=source, target=target, cases=list(cases), person=by, undoes=undoes
    )


def _record(action: str, move: ClusterMove) -> None:
    detail = {"from": move.source_id, "into": move.target_id, "cases": len(move.cases), "move": move.pk}
    ledger.append(action=action, by=move.person, subject=f"cluster:{move.source_id}", detail=detail)
    announce("queue")
