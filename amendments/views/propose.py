"""People propose too: another wording of a clause, through the same action as the machines' proposals."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from amendments import actions, policies
from amendments.case_filters import count_of
from amendments.models import Amendment, Cluster
from amendments.operations import read_operations
from amendments.views.proposal import load
from config.http import number_in
from constitution.diffs import Segment, redline
from constitution.errors import Refused
from constitution.models import Clause, Version
from constitution.people import PersonRequest
from constitution.texts import CLAUSE_LIMIT, ClauseText

FIELDS = ("title", "text", "rationale")


@require_http_methods(["GET", "HEAD", "POST"])
def revise(request: PersonRequest, principle: str) -> HttpResponse:
    """A form with the clause as it is in force; sent, it files the proposal or comes back with the reason."""
    head, clause = _clause(principle)
    cluster = _cluster(request)
    written = {"title": clause.title, "text": clause.text, "rationale": ""}
    if request.method != "POST":
        return _page(request, head, clause, written, cluster=cluster)
    written = {name: request.POST.get(name, "").replace("\r\n", "\n").strip() for name in FIELDS}
    seen = request.POST.get("before", "")
    try:
        proposal = _file(request, head, clause, written, seen, cluster)
    except Refused as refused:
        moved = _moved(seen, clause)
        return _page(
            request, head, clause, written, cluster=cluster, error=str(refused), moved=moved, status=refused.status
        )
    messages.success(request, "Proposed. Others decide on it now.")
    return redirect(proposal)


@require_POST
def withdraw(request: PersonRequest, pk: int) -> HttpResponse:
    amendment = load(pk)
    try:
        actions.withdraw(amendment=amendment, by=request.user)
        messages.success(request, "Withdrawn. It stays in the history.")
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect(amendment)


def _clause(principle: str) -> tuple[Version, ClauseText]:
    head = Version.objects.head()
    for clause in head.texts() if head else []:
        if head and clause.principle == principle:
            return head, clause
    raise Http404(f"No clause {principle} is in force.")


def _cluster(request: PersonRequest) -> Cluster | None:
    """The edge cases that the proposal is to rest on, where the address or the form names some that there are."""
    pk = number_in((request.POST or request.GET).get("cluster", "")) or 0
    found = Cluster.objects.select_related("merged_into").filter(pk=pk).first()
    return found.present if found else None


def _file(
    request: PersonRequest,
    head: Version,
    clause: ClauseText,
    written: dict[str, str],
    seen: str,
    cluster: Cluster | None,
) -> Amendment:
    """Propose what was written. `seen` is the digest of the wording that the person had in front of them."""
    policies.check_may_propose(request.user)
    if not written["rationale"]:
        raise Refused("Say why: whoever decides on it, and whoever reads the history, wants to know.")
    title = {"title": written["title"]} if written["title"] != clause.title else {}
    operation = {"op": "revise", "principle": clause.principle, "before": seen, "text": written["text"], **title}
    return actions.propose(
        by=request.user,
        base=head,
        operations=read_operations([operation]),
        rationale=written["rationale"],
        cluster=cluster,
    )


def _moved(seen: str, clause: ClauseText) -> list[Segment]:
    """What changed in the clause since the person opened it; empty where nothing did."""
    old = Clause.objects.filter(digest=seen, principle_id=clause.principle).first()
    return redline(old.text, clause.text) if old and old.digest != clause.digest else []


def _page(
    request: PersonRequest,
    head: Version,
    clause: ClauseText,
    written: dict[str, str],
    *,
    cluster: Cluster | None = None,
    error: str = "",
    moved: Sequence[Segment] = (),
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "clause": clause,
        "head": head,
        "written": written,
        "cluster": cluster,
        "case_count": count_of(cluster.edge_cases.counted()) if cluster else None,
        "error": error,
        "moved": moved,
        "text_limit": CLAUSE_LIMIT,
        "waiting": Amendment.objects.undecided().filter(touches__contains=[clause.principle]).order_by("-priority"),
    }
    return render(request, "amendments/propose_page.html", context, status=status)
