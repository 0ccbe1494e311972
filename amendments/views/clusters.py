"""The page of a cluster: its cases, the proposals from it, where they came from, and ways to merge and split."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.views.decorators.http import require_POST, require_safe

from amendments import cases, clusters, pressing
from amendments.case_filters import count_of, page_of
from amendments.models import Cluster, ClusterMove, MoveKind, Signal
from amendments.views.edge_cases import case_row, is_in_force, proposals_from, with_marks
from config.http import number_in, numbers_in, render_page
from constitution.errors import Refused
from constitution.people import PersonRequest

MOVES_SHOWN = 20
OTHERS_SHOWN = 200


@require_safe
def detail(request: PersonRequest, cluster: int) -> HttpResponse:
    return page(request, _load(cluster))


@require_POST
def merge(request: PersonRequest, cluster: int) -> HttpResponse:
    found = _load(cluster)
    other = request.POST.get("into", "").strip().removeprefix("#")
    target = Cluster.objects.filter(pk=number_in(other) or 0).first()

    def act() -> ClusterMove:
        if target is None:
            raise Refused("There is no such cluster; choose one of the list.")
        return clusters.merge(source=found, target=target, by=request.user)

    return _do(request, found, act)


@require_POST
def split(request: PersonRequest, cluster: int) -> HttpResponse:
    found = _load(cluster)
    keys = numbers_in(request.POST.getlist("case"))
    label = request.POST.get("label", "")
    return _do(request, found, lambda: clusters.split(cluster=found, cases=keys, label=label, by=request.user))


@require_POST
def take_back(request: PersonRequest, cluster: int) -> HttpResponse:
    found = _load(cluster)
    pk = number_in(request.POST.get("move", "")) or 0
    moves = ClusterMove.objects.select_related("source", "target")

    def act() -> ClusterMove:
        move = moves.filter(pk=pk).first()
        if move is None:
            raise Refused("There is nothing here to take back.")
        return clusters.take_back(move=move, by=request.user)

    return _do(request, found, act)


def page(request: PersonRequest, cluster: Cluster, *, error: str = "", status: int = 200) -> HttpResponse:
    """The cluster as it is now, with what was just tried."""
    after = request.GET.get("after", "")
    chosen = {key for raw in request.POST.getlist("case") if (key := number_in(raw)) is not None}
    rows = cluster.edge_cases.all()
    shown, next_key = page_of(with_marks(rows), order="strongest", after=after)
    count, is_exact = count_of(cluster.edge_cases.counted())
    present = cluster.present
    weight = pressing.weigh_of(cluster)
    context = {
        "cluster": {
            "pk": cluster.pk,
            "name": str(cluster),
            "url": cluster.get_absolute_url(),
            "principle": cluster.principle_id,
            "signal_label": cluster.get_signal_display(),
            "signal_meaning": Signal(cluster.signal).meaning,
            "version_number": cluster.version.number,
            "created_at": cluster.created_at,
        },
        "present": {"name": str(present), "url": present.get_absolute_url()} if present != cluster else None,
        "weight": {"priority": weight.priority, "reason": weight.reason} if weight and weight.scores else None,
        "count": count,
        "is_exact": is_exact,
        "left_out": count_of(rows)[0] - count if is_exact else 0,
        "cases": [case_row(case, chosen=chosen) for case in shown],
        "first_url": cluster.get_absolute_url() if after else "",
        "next_url": f"?after={next_key}" if next_key else "",
        "proposals": proposals_from(cluster),
        "may_propose": is_in_force(cluster.principle_id),
        "others": _others(cluster),
        "moves": _moves(cluster),
        "label": request.POST.get("label", ""),
        "label_limit": clusters.LABEL_LIMIT,
        "error": error,
        "refusal": _refusal(request),
    }
    return render_page(request, "amendments/cluster_page.html", context, partials=(), status=status)


def _load(pk: int) -> Cluster:
    return get_object_or_404(Cluster.objects.select_related("version", "merged_into"), pk=pk)


def _do(request: PersonRequest, cluster: Cluster, act: Callable[[], ClusterMove]) -> HttpResponse:
    """Act and go to where the cases are now; a refusal shows the page as it is now, with nothing lost."""
    try:
        cases.check_may_mark(request.user)
        move = act()
    except Refused as refused:
        return page(request, _load(cluster.pk), error=str(refused), status=refused.status)
    messages.success(request, _said(move))
    return redirect(move.target)


def _said(move: ClusterMove) -> str:
    count = f"{len(move.cases)} case{'s' if len(move.cases) != 1 else ''}"
    verb = {MoveKind.MERGE: "Merged", MoveKind.SPLIT: "Split off", MoveKind.UNDO: "Moved back"}[MoveKind(move.kind)]
    return f"{verb}: {count} moved here. It can be taken back below."


def _others(cluster: Cluster) -> list[dict[str, Any]]:
    """The clusters that it can be merged into."""
    rows = Cluster.objects.filter(version=cluster.version, signal=cluster.signal, merged_into=None)
    found = rows.exclude(pk=cluster.pk).order_by("principle", "label")[:OTHERS_SHOWN]
    return [{"pk": row.pk, "name": str(row)} for row in found]


def _moves(cluster: Cluster) -> list[dict[str, Any]]:
    """What came here and what went, newest first."""
    rows = ClusterMove.objects.filter(source=cluster) | ClusterMove.objects.filter(target=cluster)
    found = rows.select_related("source", "target", "person", "undone_by").order_by("-pk")[:MOVES_SHOWN]
    return [
        {
            "pk": move.pk,
            "label": move.get_kind_display(),
            "count": len(move.cases),
            "source": {"name": str(move.source), "url": move.source.get_absolute_url()},
            "target": {"name": str(move.target), "url": move.target.get_absolute_url()},
            "person": str(move.person),
            "at": move.at,
            "may_take_back": _may_take_back(move, cluster),
        }
        for move in found
    ]


def _may_take_back(move: ClusterMove, cluster: Cluster) -> bool:
    if cluster.merged_into_id:
        return False
    if move.kind == MoveKind.SPLIT:
        return not move.target.merged_into_id and not move.source.merged_into_id
    is_open = move.kind == MoveKind.MERGE and not hasattr(move, "undone_by")
    return is_open and move.source.merged_into_id == cluster.pk


def _refusal(request: PersonRequest) -> str:
    try:
        cases.check_may_mark(request.user)
    except Refused as refused:
        return str(refused)
    return ""
