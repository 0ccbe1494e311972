"""Who should know: whose turn it is, who was mentioned, what was decided, and what went wrong elsewhere (an alert).
And the mails: a digest, one for a person, and alerts, which do not wait for it.

A turn follows from what a proposal is now, so a notice of one is never marked as read: it goes when the turn is over.
Machines are never in turn. Nothing here follows from a vote that its reader may not see.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from amendments import states
from amendments.board import is_asked, members
from amendments.models import Amendment, Comment, DeskSettings, Digest, HiddenMention, Notice, NoticeKind
from amendments.policies import rule_for
from amendments.visibility import visible_comments
from config.live import publish as announce
from constitution import ledger
from constitution.errors import Refused
from constitution.models import Role, User

MENTION = re.compile(r"(?<![\w@.+-])@(\w[\w.+-]*\w|\w)")
MOST_MENTIONED = 20
LONGEST_SENTENCE = 300
LONGEST_SUBJECT = 120
# Beats are not on time to the second; a mail a day stays at its hour.
INTERVALS = {Digest.DAILY: timedelta(hours=23, minutes=30), Digest.WEEKLY: timedelta(days=7, minutes=-30)}
# Alerts that come in a row share a mail.
BETWEEN_ALERTS = timedelta(minutes=10)
CLASH = "The constitution changed in the same place as your proposal. Settle that, or withdraw it."
CHANGES = "A reviewer asks for changes to your proposal."
CONFLICT = "The reviews differ. Read the reasons, then keep your review or change it."
ASSIGNED = "It was assigned to you."
BOARD = "The advisory board is asked to vote on it."


def after(row: Amendment, *, by: User | str) -> None:
    """Bring the notices in line with `row`, which `by` has just changed. Called in the transaction of the change."""
    people = _turns(row)
    over = Notice.objects.filter(amendment=row, kind=NoticeKind.TURN, read_at=None)
    over.exclude(recipient__in=people).update(read_at=timezone.now())
    _tell(row, NoticeKind.TURN, people)
    if row.is_known:
        tell_known(row)
    elif not row.is_undecided:
        decided(row, by=by)
    unveil(row)


def decided(row: Amendment, *, by: User | str) -> None:
    """Tell whoever proposed `row` and whoever voted on it what came of it; not the one who just decided."""
    people = {*row.reviews.values_list("reviewer", flat=True), *row.board_votes.values_list("member", flat=True)}
    people |= {row.author_id} if row.author_id else set()
    if isinstance(by, User):
        people.discard(by.pk)
    what = f"{row.version} follows from it." if row.version_id else row.reason
    sentence = f"It was {states.OUTCOMES[row.state]}{f': {what}' if what else '.'}"
    _tell(row, NoticeKind.DECIDED, dict.fromkeys((pk for pk in people if pk), sentence))


def alert(*, about: str, path: str, sentence: str, roles: Sequence[Role]) -> None:
    """Tell everybody with one of these roles what happened to something that is no proposal; `path` shows it.

    However often something happens to it, one unread alert about it waits for each, with the newest sentence.
    """
    people = User.objects.filter(roles__overlap=[role.value for role in roles]).order_by("pk")
    sentences = dict.fromkeys(people.values_list("pk", flat=True), sentence)
    _leave(sentences, kind=NoticeKind.ALERT, about=about, path=path)


def tell_known(row: Amendment, *, to: User | None = None) -> None:
    """Tell those whose vote on a known item counts what it is, each once; all who voted when it is closed; and `to`."""
    counts = Q(settles_at__lte=timezone.now()) if row.is_undecided else Q()
    people = set(row.reviews.filter(counts).values_list("reviewer", flat=True)) | ({to.pk} if to else set())
    people |= set(row.board_votes.filter(counts).values_list("member", flat=True))
    told = Notice.objects.filter(amendment=row, kind=NoticeKind.DECIDED, recipient__in=people)
    people -= set(told.values_list("recipient", flat=True))
    if not people:
        return
    what = "It was a known item, planted to measure the desk."
    sentence = f"{what} Right is to {row.known_verdict} it: {row.known.reason}"
    _tell(row, NoticeKind.DECIDED, dict.fromkeys(sorted(people), sentence))


def known_detail(row: Amendment) -> dict[str, Any]:
    """What the ledger says of a known item that is closed: what was right, and who planted it. Before that, nothing."""
    if row.is_undecided or not row.is_known:
        return {}
    by = row.known.planted_by
    told = Notice.objects.filter(amendment=row, kind=NoticeKind.DECIDED)
    early = told.exclude(recipient__in=row.reviews.values("reviewer"))
    return {
        "known_item": row.known.name,
        "right": row.known_verdict,
        "planted_by": str(by) if by else "a command",
        "told_without_a_vote": sorted(early.values_list("recipient__username", flat=True)),
    }


def mention(comment: Comment) -> None:
    """Tell those whom `comment` names and who may read it; the others are told when they may."""
    named = [person for person in _mentioned(comment) if person.pk != comment.author_id]
    readers = {person.pk for person in named if visible_comments(comment.amendment, person).filter(pk=comment.pk)}
    _tell(comment.amendment, NoticeKind.MENTION, dict.fromkeys(readers, _said(comment)))
    HiddenMention.objects.bulk_create(
        HiddenMention(comment=comment, person=person) for person in named if person.pk not in readers
    )


def unveil(row: Amendment) -> None:
    """Tell those who were named in a comment on `row` that they may read by now, each once.

    Called under the lock of `row`, whenever its reviews may all be in, or it is decided.
    """
    hidden = HiddenMention.objects.filter(comment__amendment=row)
    by_person: dict[User, list[int]] = {}
    for each in hidden.select_related("person").order_by("comment"):
        by_person.setdefault(each.person, []).append(each.comment_id)
    sentences = {}
    for person, comments in by_person.items():
        readable = list(visible_comments(row, person).filter(pk__in=comments).select_related("author").order_by("pk"))
        if readable:
            sentences[person.pk] = _said(readable[-1])
            hidden.filter(person=person, comment__in=readable).delete()
    _tell(row, NoticeKind.MENTION, sentences)


def _mentioned(comment: Comment) -> QuerySet[User]:
    names = list(dict.fromkeys(MENTION.findall(comment.text)))[:MOST_MENTIONED]
    return User.objects.filter(username__in=names, is_active=True, roles__len__gt=0).order_by("pk")


def _said(comment: Comment) -> str:
    return f"{comment.author}: {comment.text}"


def waiting(person: User) -> QuerySet[Notice]:
    """What waits for `person`, newest first. Of a proposal that is decided or put off, nobody is in turn."""
    rows = Notice.objects.filter(recipient=person, read_at=None).select_related("amendment").order_by("-pk")
    is_off = Q(amendment__deferred_until__gt=timezone.now()) | ~Q(amendment__state__in=states.UNDECIDED)
    return rows.exclude(is_off & Q(kind=NoticeKind.TURN))


@transaction.atomic
def read(*, by: User, notice: Notice | None = None) -> int:
    """Mark `notice`, or all but the turns, as read; how many there were. Raises Refused for somebody else's, or a turn.

    A turn is over when the thing is done, not when it was seen.
    """
    rows = Notice.objects.filter(recipient=by, read_at=None).exclude(kind=NoticeKind.TURN)
    if notice is not None:
        if notice.recipient_id != by.pk:
            raise Refused("That is not addressed to you.")
        if notice.kind == NoticeKind.TURN:
            raise Refused("It waits until you have done what it asks for, or until it is no longer your turn.")
        rows = rows.filter(pk=notice.pk)
    count = rows.update(read_at=timezone.now())
    if count:
        ledger.append(action="notices read", by=by, subject=f"person:{by.pk}", detail={"count": count})
    return count


@transaction.atomic
def set_digest(*, digest: str, by: User) -> DeskSettings:
    """Choose how often `by` gets a mail. Raises Refused for what is no choice."""
    if digest not in Digest.values:
        raise Refused("Choose one of: no mail, one mail a day, one mail a week.")
    chosen, _ = DeskSettings.objects.select_for_update().update_or_create(person=by, defaults={"digest": digest})
    ledger.append(action="desk settings set", by=by, subject=f"person:{by.pk}", detail={"digest": digest})
    return chosen


def send_digests(*, site: str = "") -> int:
    """Write to everybody for whom something new waits and who is due; how many mails went out.

    Two runs at once write to each person once: the second finds the row locked, or the person not due.
    """
    return _send_to_each(Notice.objects.all(), lambda person: _send_digest(person=person, site=site, by="digest"))


def send_alerts(*, site: str = "") -> int:
    """Write at once of new alerts, one mail with all of them for a person, and in ten minutes one more at most.

    Who chose no mail gets none. How many mails went out; two runs at once write to each person once.
    """
    alerts = Notice.objects.filter(kind=NoticeKind.ALERT)
    return _send_to_each(alerts, lambda person: _send_alert(person=person, site=site, by="alerts"))


def _send_to_each(notices: QuerySet[Notice], send: Callable[[int], list[Notice]]) -> int:
    """How many got a mail. Raises the first error once everybody was tried."""
    unmailed = notices.filter(read_at=None, mailed_at=None).values("recipient")
    people = User.objects.filter(pk__in=unmailed, is_active=True, roles__len__gt=0).exclude(email="")
    DeskSettings.objects.bulk_create(
        [DeskSettings(person=person) for person in people.filter(desk__isnull=True)], ignore_conflicts=True
    )
    sent, failed = 0, []
    for pk in people.order_by("pk").values_list("pk", flat=True):
        try:
            found = send(pk)
        except OSError as error:  # what keeps one mail from going out may not keep the next
            failed.append(error)
            continue
        # Each by itself, and only now: a decision that writes to one of them waits for none of the others.
        for notice in found:
            Notice.objects.filter(pk=notice.pk).update(mailed_at=timezone.now())
        sent += bool(found)
    if failed:
        raise failed[0]
    return sent


@transaction.atomic
def _send_digest(*, person: int, site: str, by: str) -> list[Notice]:
    """One mail with all that is new for this person, and what stood in it. A mail that fails leaves no trace."""
    desk = _desk(person)
    if desk is None or not _is_due(desk):
        return []
    found = list(waiting(desk.person).filter(mailed_at=None))
    if found:
        EmailMessage(subject=_subject(found), body=_body(found, site), to=[desk.person.email]).send()
        DeskSettings.objects.filter(pk=desk.pk).update(mailed_at=timezone.now())
        ledger.append(action="digest sent", by=by, subject=f"person:{person}", detail={"count": len(found)})
    return found


@transaction.atomic
def _send_alert(*, person: int, site: str, by: str) -> list[Notice]:
    """One mail with the alerts that are new for this person, as above."""
    desk = _desk(person)
    if desk is None or desk.digest == Digest.OFF:
        return []
    if desk.alerted_at is not None and desk.alerted_at > timezone.now() - BETWEEN_ALERTS:
        return []
    found = list(waiting(desk.person).filter(mailed_at=None, kind=NoticeKind.ALERT))
    if found:
        subject = f"Ratify: {found[0].subject}: {found[0].sentence}"[:LONGEST_SUBJECT]
        EmailMessage(subject=subject, body=_body(found, site), to=[desk.person.email]).send()
        DeskSettings.objects.filter(pk=desk.pk).update(alerted_at=timezone.now())
        ledger.append(action="alerts sent", by=by, subject=f"person:{person}", detail={"count": len(found)})
    return found


def _desk(person: int) -> DeskSettings | None:
    """The settings of this person, locked; None where somebody else has them."""
    rows = DeskSettings.objects.select_for_update(skip_locked=True, of=("self",)).select_related("person")
    return rows.filter(person=person).first()


def _is_due(desk: DeskSettings) -> bool:
    if desk.digest == Digest.OFF:
        return False
    return desk.mailed_at is None or desk.mailed_at <= timezone.now() - INTERVALS[Digest(desk.digest)]


def _turns(row: Amendment) -> dict[int, str]:
    """Who has to do something before `row` can go on: person -> what. A pure reading of the proposal's state."""
    if not row.is_undecided:
        return {}
    if row.state in (states.NEEDS_REBASE, states.CHANGES_REQUESTED):
        return {row.author_id: CLASH if row.state == states.NEEDS_REBASE else CHANGES} if row.author_id else {}
    board = dict.fromkeys(_board(row), BOARD)
    reviews = row.reviews.filter(digest=row.digest).order_by("pk")
    if row.state == states.CONFLICTED:
        return board | dict.fromkeys(reviews.values_list("reviewer", flat=True), CONFLICT)
    if row.assignee_id is None or reviews.filter(reviewer=row.assignee_id).exists():
        return board
    return board | {row.assignee_id: ASSIGNED}


def _board(row: Amendment) -> list[int]:
    """Of the board, who has yet to vote on the present content; nobody where it is not asked."""
    if not is_asked(row, rule_for(row.tier)):
        return []
    voted = row.board_votes.filter(digest=row.digest)
    return list(members(row).exclude(pk__in=voted.values("member")).values_list("pk", flat=True))


def _tell(row: Amendment, kind: NoticeKind, sentences: Mapping[int, str]) -> None:
    """Leave each person one waiting notice of this kind about `row`."""
    _leave(sentences, kind=kind, amendment=row)


def _leave(sentences: Mapping[int, str], **of: Any) -> None:
    """Leave each person one waiting notice `of` this; where one waits that says the same, nothing changes."""
    if not sentences:
        return
    people = User.objects.filter(pk__in=sentences, is_active=True, roles__len__gt=0)
    found = Notice.objects.select_for_update().filter(recipient__in=people, read_at=None, **of)
    waits = {notice.recipient_id: notice for notice in found.order_by("pk")}
    news: list[int] = []
    for pk in people.order_by("pk").values_list("pk", flat=True):
        sentence = _cut(sentences[pk])
        if pk not in waits:
            Notice.objects.bulk_create([Notice(recipient_id=pk, sentence=sentence, **of)], ignore_conflicts=True)
        elif waits[pk].sentence != sentence:
            changed = Notice.objects.filter(pk=waits[pk].pk)
            changed.update(sentence=sentence, created_at=timezone.now(), mailed_at=None)
        else:
            continue
        news.append(pk)
    for pk in news:
        announce(f"inbox:{pk}")


def _cut(sentence: str) -> str:
    line = " ".join(sentence.split())
    return line if len(line) <= LONGEST_SENTENCE else f"{line[: LONGEST_SENTENCE - 1]}…"


def _subject(found: Iterable[Notice]) -> str:
    turns = sum(notice.kind == NoticeKind.TURN for notice in found)
    if turns:
        return f"Ratify: {turns} proposal{'' if turns == 1 else 's'} wait{'s' if turns == 1 else ''} for you"
    if any(notice.kind == NoticeKind.ALERT for notice in found):
        return "Ratify: something happened that you should know of"
    return "Ratify: what happened to your proposals"


def _body(found: list[Notice], site: str) -> str:
    """Plain text: what waits, by kind, with the address of each proposal and of the settings."""
    parts = []
    for kind in NoticeKind:
        rows = [notice for notice in found if notice.kind == kind]
        lines = [f"- {notice.subject}: {notice.sentence}\n  {_link(site, notice)}" for notice in rows]
        if rows:
            parts.append("\n".join([kind.label, *lines]))
    foot = f"How often you get this mail: {site}{reverse('amendments:desk-settings')}"
    return "\n\n".join([*parts, foot]) + "\n"


def _link(site: str, notice: Notice) -> str:
    return f"{site}{notice.get_absolute_url()}"
