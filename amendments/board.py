"""The advisory board: what is before it, who of it may vote, and what their votes come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db.models import Exists, OuterRef, Q, QuerySet

from amendments.models import AcceptanceRule, Amendment, BoardVerdict, BoardVote, Review
from constitution.models import Role, User


class Outcome(StrEnum):
    UNDER_WAY = "under way"
    CARRIED = "carried"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Board:
    """The vote on one content: the votes of those who may vote, and how many may."""

    votes: Sequence[BoardVote]
    members: int
    quorum: int

    @property
    def outcome(self) -> Outcome:
        return outcome([vote.verdict for vote in self.votes], members=self.members, quorum=self.quorum)


def outcome(verdicts: Sequence[str], *, members: int, quorum: int) -> Outcome:
    """What `verdicts`, one of each member who voted, come to. Who is recused takes no part, who abstains is present.

    Carried: a quorum is present, two thirds of those for or against are for it, and no veto stands. Lost: a quorum is
    present, and it would not be carried if all the others voted for it. A veto alone loses nothing: it can be talked
    about, and be withdrawn.
    """
    present = [verdict for verdict in verdicts if verdict != BoardVerdict.RECUSED]
    pro, con = present.count(BoardVerdict.FOR), present.count(BoardVerdict.AGAINST)
    if len(present) < quorum:
        return Outcome.UNDER_WAY
    if BoardVerdict.VETO not in present and pro and _is_two_thirds(pro, con):
        return Outcome.CARRIED
    to_come = members - len(verdicts)
    return Outcome.UNDER_WAY if _is_two_thirds(pro + to_come + present.count(BoardVerdict.VETO), con) else Outcome.LOST


def is_asked(amendment: Amendment, rule: AcceptanceRule) -> bool:
    """Whether acceptance takes a vote of the board: by the rule of its tier, or because reviewers sent it there."""
    return rule.needs_board or amendment.referred_at is not None


def members(amendment: Amendment) -> QuerySet[User]:
    """Those of the board who may vote on the present content: not who proposed it, nor who reviewed it."""
    reviewed = Review.objects.filter(amendment=amendment, digest=amendment.digest, reviewer=OuterRef("pk"))
    return appointed(amendment).filter(~Exists(reviewed))


def appointed(amendment: Amendment) -> QuerySet[User]:
    """The board but for who proposed it. Unlike `members`, it tells nothing of any review."""
    people = User.objects.filter(is_active=True, roles__contains=[Role.BOARD]).order_by("pk")
    return people.filter(~Q(pk=amendment.author_id)) if amendment.author_id else people


def standing(amendment: Amendment, rule: AcceptanceRule) -> Board | None:
    """Where the vote on the present content is; None where the board is not asked."""
    if not is_asked(amendment, rule):
        return None
    people = set(members(amendment).values_list("pk", flat=True))
    votes = amendment.board_votes.filter(digest=amendment.digest, member__in=people).select_related("member")
    return Board(list(votes.order_by("at", "pk")), len(people), rule.quorum)


def _is_two_thirds(pro: int, con: int) -> bool:
    return 3 * pro >= 2 * (pro + con)
