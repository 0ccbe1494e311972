"""The verbs of the desk: each loads, calls its action, and answers with what came of it."""

from collections.abc import Callable
from dataclasses import replace

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST
from django_htmx.http import HttpResponseClientRedirect

from amendments import actions, policies
from amendments.errors import AlreadyDecided, ContentMoved
from amendments.models import Amendment
from amendments.views import chosen, undo
from amendments.views.panels import Attempt
from amendments.views.proposal import load, page
from amendments.views.trail import Trail
from amendments.views.words import BOARD_REASONS, CHANGE_REASONS, DEFER_REASONS, REASONS, in_words
from config.http import is_fragment, number_in
from constitution.errors import Refused
from constitution.models import User
from constitution.people import PersonRequest


@require_POST
def accept(request: PersonRequest, pk: int) -> HttpResponse:
    attempt = _attempt(request, "accept")
    return _decide(
        request,
        pk,
        lambda amendment: actions.accept(amendment=amendment, by=request.user, seen_digest=attempt.seen_digest),
        attempt,
    )


@require_POST
def edit(request: PersonRequest, pk: int) -> HttpResponse:
    """Save the text and accept it; or only save it, which whoever proposed it may do too."""
    attempt = _attempt(request, "edit")
    is_saved_only = request.POST.get("then") == "save"
    verb = actions.edit if is_saved_only else actions.edit_and_accept
    return _decide(
        request,
        pk,
        lambda amendment: verb(
            amendment=amendment,
            by=request.user,
            seen_digest=attempt.seen_digest,
            text=attempt.text,
            note=attempt.note,
        ),
        attempt,
        said="Saved. Reviewers decide on this text now." if is_saved_only else "",
        stays=is_saved_only,
    )


@require_POST
def reject(request: PersonRequest, pk: int) -> HttpResponse:
    attempt = _attempt(request, "reject")
    reason = in_words(REASONS, attempt.reason, attempt.note)
    return _decide(
        request,
        pk,
        lambda amendment: actions.reject(
            amendment=amendment, by=request.user, seen_digest=attempt.seen_digest, reason=reason
        ),
        attempt,
    )


@require_POST
def request_changes(request: PersonRequest, pk: int) -> HttpResponse:
    attempt = _attempt(request, "changes")
    reason = in_words(CHANGE_REASONS, attempt.reason, attempt.note)
    return _decide(
        request,
        pk,
        lambda amendment: actions.request_changes(
            amendment=amendment, by=request.user, seen_digest=attempt.seen_digest, reason=reason
        ),
        attempt,
    )


@require_POST
def defer(request: PersonRequest, pk: int) -> HttpResponse:
    attempt = _attempt(request, "defer")
    reason = in_words(DEFER_REASONS, attempt.reason, attempt.note)
    return _decide(
        request,
        pk,
        lambda amendment: actions.defer(
            amendment=amendment, by=request.user, until=chosen.day(attempt.until), reason=reason
        ),
        attempt,
        said=f"Put off proposal {pk}. It comes back to the queue by itself.",
    )


@require_POST
def bring_back(request: PersonRequest, pk: int) -> HttpResponse:
    return _decide(
        request,
        pk,
        lambda amendment: actions.bring_back(amendment=amendment, by=request.user),
        Attempt(),
        said="It is back in the queue.",
        stays=True,
    )


@require_POST
def refer(request: PersonRequest, pk: int) -> HttpResponse:
    attempt = _attempt(request, "refer")
    reason = in_words(BOARD_REASONS, attempt.reason, attempt.note)
    return _decide(
        request,
        pk,
        lambda amendment: actions.refer(amendment=amendment, by=request.user, reason=reason),
        attempt,
        said=f"Sent proposal {pk} to the advisory board. For ten minutes you can take that back on its page.",
    )


@require_POST
def recall(request: PersonRequest, pk: int) -> HttpResponse:
    return _decide(
        request,
        pk,
        lambda amendment: actions.recall(amendment=amendment, by=request.user),
        Attempt(),
        said="Taken back from the advisory board.",
        stays=True,
    )


@require_POST
def board_vote(request: PersonRequest, pk: int) -> HttpResponse:
    attempt = _attempt(request, "board-vote")
    return _decide(
        request,
        pk,
        lambda amendment: actions.vote(
            amendment=amendment,
            by=request.user,
            seen_digest=attempt.seen_digest,
            verdict=attempt.reason,
            reason=attempt.note,
        ),
        attempt,
    )


@require_POST
def mark_duplicate(request: PersonRequest, pk: int) -> HttpResponse:
    attempt = _attempt(request, "duplicate")

    def mark(amendment: Amendment) -> Amendment:
        policies.check_can_review(amendment, request.user)  # before anybody is told which numbers there are
        other = chosen.proposal(attempt.of)
        return actions.mark_duplicate(amendment=amendment, by=request.user, of=other, reason=attempt.note)

    told = f"Closed proposal {pk} as a duplicate of proposal {attempt.of.removeprefix('#')}."
    return _decide(request, pk, mark, attempt, said=told)


@require_POST
def assign(request: PersonRequest, pk: int) -> HttpResponse:
    to = request.POST.get("to", "")

    def hand(amendment: Amendment) -> Amendment:
        policies.check_can_assign(amendment, request.user, to=None)
        return actions.assign(amendment=amendment, by=request.user, to=_person(to))

    told = "Assigned." if to else "Assigned to nobody."
    return _decide(request, pk, hand, Attempt(), said=told, stays=True)


@require_POST
def take_back(request: PersonRequest, pk: int) -> HttpResponse:
    """Undo: back to the proposal, to decide on it anew."""
    return _decide(
        request,
        pk,
        lambda amendment: actions.take_back(amendment=amendment, by=request.user),
        Attempt(),
        said="Taken back: your vote on this proposal is gone.",
        stays=True,
    )


@require_POST
def settle(request: PersonRequest, pk: int) -> HttpResponse:
    """Let votes whose time to undo is over take effect. The page asks for it; it is harmless whoever does."""
    amendment = load(pk)
    try:
        policies.check_is_voter(request.user)
    except Refused as refused:
        return page(request, pk, Attempt(error=str(refused), status=refused.status))
    actions.settle(amendment)
    vote = undo.settled(load(pk), request.user)
    if is_fragment(request):
        return render(request, "amendments/undo_vote.html", {"vote": vote})
    if vote["result"]:
        messages.success(request, vote["result"])
    return redirect(amendment)


def _attempt(request: PersonRequest, action: str) -> Attempt:
    def written(name: str) -> str:
        return request.POST.get(name, "").replace("\r\n", "\n").strip()

    return Attempt(
        action=action,
        seen_digest=written("digest"),
        text=written("text"),
        reason=written("reason"),
        note=written("note"),
        until=written("until"),
        of=written("of"),
    )


def _person(pk: str) -> User | None:
    if not pk:
        return None
    person = User.objects.filter(pk=number_in(pk) or 0).first()
    if person is None:
        raise Refused("There is no such person. Choose somebody from the list.")
    return person


def _decide(
    request: PersonRequest,
    pk: int,
    action: Callable[[Amendment], Amendment],
    attempt: Attempt,
    *,
    said: str = "",
    stays: bool = False,
) -> HttpResponse:
    """Run the action and go on to the next proposal, or stay; a refusal shows the page as it is now, nothing lost.

    What came of a vote is told in `said`'s place, where the vote counts already; else its time to undo is shown.
    """
    amendment = load(pk)
    next_url = Trail(request, amendment).next_url()
    try:
        decided = action(amendment)
    except (ContentMoved, AlreadyDecided) as refused:
        return page(request, pk, replace(attempt, clash=str(refused), status=refused.status))
    except Refused as refused:
        return page(request, pk, replace(attempt, error=str(refused), status=refused.status))
    if told := said or _said(decided, request.user):
        messages.success(request, told)
    return _go(request, amendment.get_absolute_url() if stays else next_url or "amendments:queue")


def _said(amendment: Amendment, by: User) -> str:
    """What came of a vote; nothing while it can be taken back, which the next page shows."""
    return str(undo.settled(amendment, by)["result"])


def _go(request: PersonRequest, to: str) -> HttpResponse:
    response: HttpResponse = redirect(to)
    if is_fragment(request):
        response = HttpResponseClientRedirect(response["Location"])
    return response
