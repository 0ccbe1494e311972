"""The discussion of a proposal as its page shows it, newest part first to be read, and what a person tried to say."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from amendments.discussion import COMMENT_LIMIT, check_can_say
from amendments.models import Amendment, Audience, Comment
from amendments.notices import MENTION
from amendments.policies import rule_for
from amendments.visibility import is_judge, visible_comments
from constitution.errors import Refused
from constitution.models import User

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody tried to say and was refused, so that it is not lost."""

    text: str = ""
    audience: str = Audience.EVERYBODY
    error: str = ""
    status: int = 200


def discussion(amendment: Amendment, viewer: User, *, before: str = "", said: Said | None = None) -> dict[str, Any]:
    """What includes of the discussion show: the newest comments, or those said before the time `before`."""
    said = said or Said()
    rows = visible_comments(amendment, viewer).select_related("author").order_by("-created_at", "-pk")
    # The cursor is a time, not a key: gaps between keys would tell of comments that the reader may not see.
    cursor = _time(before)
    if cursor:
        rows = rows.filter(created_at__lt=cursor)
    found = list(rows[: SHOWN + 1])
    shown = found[:SHOWN][::-1]
    url = reverse("amendments:discussion", args=[amendment.pk])
    older = f"?{urlencode({'before': shown[0].created_at.isoformat()})}" if len(found) > SHOWN else ""
    return {
        "url": url,
        "topic": f"discussion:{amendment.pk}",
        "page_url": amendment.get_absolute_url(),
        "comments": [_comment(amendment, comment) for comment in shown],
        "earlier": older,
        "is_earlier": cursor is not None,
        "refusal": _refusal(amendment, viewer),
        "audiences": _audiences(amendment, viewer),
        "audience": said.audience,
        "text": said.text,
        "error": said.error,
        "limit": COMMENT_LIMIT,
    }


def parts(text: str) -> Iterator[tuple[str, str]]:
    """The text as ("text", …) and ("mention", "@ada"), in order."""
    end = 0
    for found in MENTION.finditer(text):
        if found.start() > end:
            yield "text", text[end : found.start()]
        yield "mention", found[0]
        end = found.end()
    if text[end:]:
        yield "text", text[end:]


def _comment(amendment: Amendment, comment: Comment) -> dict[str, Any]:
    is_private = comment.audience == Audience.REVIEWERS
    return {
        "by": str(comment.author),
        "at": comment.created_at,
        "parts": list(parts(comment.text)),
        "is_private": is_private,
        "phase_label": comment.get_phase_display() if is_private else "",
        "is_of_earlier": comment.digest != amendment.digest,
    }


def _audiences(amendment: Amendment, viewer: User) -> list[tuple[str, str, str]]:
    """(value, label, who reads it when)."""
    everybody = (Audience.EVERYBODY.value, "Everybody", "Read at once, also by those who have not decided yet.")
    if not is_judge(amendment, viewer):
        return [everybody]
    alone = rule_for(amendment.tier).reviewers < 2
    when = (
        "Read after the decision."
        if alone
        else "Read by them when all reviews are in, by everybody after the decision."
    )
    return [everybody, (Audience.REVIEWERS.value, "Reviewers", when)]


def _refusal(amendment: Amendment, viewer: User) -> str:
    try:
        check_can_say(amendment, viewer, Audience.EVERYBODY)
    except Refused as refused:
        return str(refused)
    return ""


def _time(raw: str) -> datetime | None:
    """The time in an address; None where somebody made one up: then the newest are shown."""
    try:
        found = datetime.fromisoformat(raw)
    except ValueError:
        return None
    return found if timezone.is_aware(found) else None
