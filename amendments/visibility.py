"""Who sees what. Reviews are blind until all that the rule asks for are in; then reviewers settle what divides them.

| who | independent review | consolidation | after the decision |
|---|---|---|---|
| reviewer | their own review | all reviews of the present content | all |
| proposer | requests for changes, without names | the same | all |
| anybody else with a role | nothing | nothing | all |

Of the advisory board's votes everybody reads their own, and a veto at once, with its name and reason: it stands until
it is talked about. The others are read after the decision.

Of a known item everybody reads their own review alone, for good. What one reviewer writes for the others follows the
same table. Where a machine proposed, a request for changes is answered by the reviewers, so they read it, without the
name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from amendments import states
from amendments.models import (
    Amendment,
    AmendmentQuerySet,
    Audience,
    BoardVerdict,
    BoardVote,
    Comment,
    Notice,
    NoticeKind,
    Phase,
    Review,
    Verdict,
)
from amendments.policies import rule_for
from constitution.models import Role, User


@dataclass(frozen=True, slots=True)
class Seen:
    """A review as somebody may read it: without a name where that is kept from them."""

    review: Review
    is_named: bool = True


def phase(amendment: Amendment) -> Phase:
    """Where the review of the present content is. One reviewer alone has nothing to consolidate."""
    return Phase.CONSOLIDATION if consolidating_since(amendment) else Phase.INDEPENDENT


def consolidating_since(amendment: Amendment) -> datetime | None:
    """When the last of the reviews that the rule asks for settled; None before that, and where one decides alone.

    Somebody who disagreed and is just changing their review does not hide the others again. On a known item everybody
    decides alone.
    """
    wanted = rule_for(amendment.tier).reviewers
    if wanted < 2 or amendment.is_known:
        return None
    settled = list(_settled(amendment).order_by("settles_at", "pk").values_list("settles_at", flat=True)[:wanted])
    are_in = len(settled) == wanted or amendment.state == states.CONFLICTED
    return max(settled, default=None) if are_in else None


def visible_reviews(amendment: Amendment, viewer: User) -> list[Seen]:
    """The reviews that `viewer` may read now, the oldest first."""
    rows = amendment.reviews.select_related("reviewer").order_by("at", "pk")
    own = Q(reviewer=viewer)
    if amendment.is_known:
        return _named(rows.filter(own))
    if not amendment.is_undecided:
        return _named(rows.filter(own | Q(settles_at__lte=timezone.now())))
    if _may_consolidate(amendment, viewer):
        return _named(rows.filter(own | Q(pk__in=_settled(amendment))))
    asked = Q(pk__in=_settled(amendment), verdict=Verdict.CHANGES) if _has_to_act(amendment, viewer) else Q(pk=None)
    return [Seen(review, is_named=review.reviewer_id == viewer.pk) for review in rows.filter(own | asked)]


def visible_board_votes(amendment: Amendment, viewer: User) -> list[BoardVote]:
    """The votes of the board that `viewer` may read now, the oldest first."""
    rows = amendment.board_votes.select_related("member").order_by("at", "pk")
    own, counts = Q(member=viewer), Q(settles_at__lte=timezone.now())
    if not amendment.is_undecided:
        return list(rows.filter(own if amendment.is_known else own | counts))
    return list(rows.filter(own | (counts & Q(verdict=BoardVerdict.VETO, digest=amendment.digest))))


def in_sight(rows: AmendmentQuerySet, viewer: User) -> AmendmentQuerySet:
    """Without the known items of which `viewer` has been told: see `policies.is_told`."""
    voted = Review.objects.filter(amendment=OuterRef("pk"), reviewer=viewer, settles_at__lte=timezone.now())
    told = Notice.objects.filter(amendment=OuterRef("pk"), recipient=viewer, kind=NoticeKind.DECIDED)
    return rows.filter(Q(known_verdict="") | ~(Exists(voted) | Exists(told)))


def visible_comments(amendment: Amendment, viewer: User) -> QuerySet[Comment]:
    """What `viewer` may read of the discussion. Reviewers read each other once all reviews are in."""
    rows = Comment.objects.filter(amendment=amendment)
    if not amendment.is_undecided:
        return rows
    shown = Q(audience=Audience.EVERYBODY) | Q(author=viewer)
    if _may_consolidate(amendment, viewer):
        return rows
    if is_judge(amendment, viewer):
        # What reviewers said to each other stays readable when a new wording starts another independent review.
        shown |= Q(phase=Phase.CONSOLIDATION)
    return rows.filter(shown)


def is_judge(amendment: Amendment, viewer: User) -> bool:
    """Whether `viewer` is one of those who decide on `amendment`: a reviewer, and not who proposed it."""
    return viewer.has_role(Role.REVIEWER) and amendment.author_id != viewer.pk


def _may_consolidate(amendment: Amendment, viewer: User) -> bool:
    return is_judge(amendment, viewer) and phase(amendment) == Phase.CONSOLIDATION


def _has_to_act(amendment: Amendment, viewer: User) -> bool:
    """Whether it is for `viewer` to answer a request for changes. A machine answers none: reviewers edit its text."""
    if amendment.author_id is not None:
        return amendment.author_id == viewer.pk
    return amendment.state == states.CHANGES_REQUESTED and viewer.has_role(Role.REVIEWER)


def _settled(amendment: Amendment) -> QuerySet[Review]:
    """The reviews of the present content that nobody can take back any more. Each reviewer has one at most."""
    return amendment.reviews.filter(digest=amendment.digest, settles_at__lte=timezone.now())


def _named(reviews: Iterable[Review]) -> list[Seen]:
    return [Seen(review) for review in reviews]
