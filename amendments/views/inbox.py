"""A person's inbox, by whose turn it is, and how they want to hear of it."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from amendments import notices
from amendments.models import DeskSettings, Digest, Notice, NoticeKind
from amendments.views.words import kind_label
from config.http import number_in, render_page
from constitution.errors import Refused
from constitution.people import PersonRequest

PAGE = 50
TURNS_SHOWN = 50


@require_safe
def show(request: PersonRequest) -> HttpResponse:
    """Whose turn it is first: what waits for the person, then what they should know, newest first."""
    waiting = notices.waiting(request.user)
    news = waiting.exclude(kind=NoticeKind.TURN)
    if after := number_in(request.GET.get("after", "")):
        news = news.filter(pk__lt=after)
    found = list(news[: PAGE + 1])
    shown = found[:PAGE]
    context = {
        "turns": [_row(notice) for notice in waiting.filter(kind=NoticeKind.TURN)[:TURNS_SHOWN]],
        "news": [_row(notice) for notice in shown],
        "older_url": f"?after={shown[-1].pk}" if len(found) > PAGE else "",
        "is_older": bool(after),
        "topic": _topic(request),
    }
    return render_page(request, "amendments/inbox_page.html", context, partials={"inbox"})


@require_safe
def link(request: PersonRequest) -> HttpResponse:
    """The way to the inbox with the number of what waits, as the header fetches it."""
    count = notices.waiting(request.user).count()
    return render(request, "amendments/inbox_link.html#count", {"count": count, "topic": _topic(request)})


@require_POST
def read(request: PersonRequest) -> HttpResponse:
    """Mark one notice as read, or all of them where none is named."""
    number = number_in(request.POST.get("notice", ""))
    try:
        notice = get_object_or_404(Notice, pk=number, recipient=request.user) if number is not None else None
        notices.read(by=request.user, notice=notice)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("amendments:inbox")


@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: PersonRequest) -> HttpResponse:
    """How often the person gets a mail."""
    error = ""
    if request.method == "POST":
        try:
            notices.set_digest(digest=request.POST.get("digest", ""), by=request.user)
        except Refused as refused:
            error = str(refused)
        else:
            messages.success(request, "Saved.")
            return redirect("amendments:desk-settings")
    chosen = DeskSettings.objects.filter(person=request.user).first() or DeskSettings(person=request.user)
    context = {"choices": Digest.choices, "digest": chosen.digest, "error": error}
    return render(request, "amendments/desk_settings_page.html", context, status=409 if error else 200)


def _topic(request: PersonRequest) -> str:
    return f"inbox:{request.user.pk}"


def _row(notice: Notice) -> dict[str, Any]:
    return {
        "pk": notice.pk,
        "url": notice.get_absolute_url(),
        "principle": notice.subject,
        "kind_label": notice.get_kind_display(),
        "about": f"Proposal {notice.amendment_id}: {kind_label(notice.amendment)}" if notice.amendment else "",
        "sentence": notice.sentence,
        "at": notice.created_at,
    }
