"""What members of the advisory board said of a proposal that is before them."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from amendments.models.proposals import Amendment
from constitution.models import User


class BoardVerdict(models.TextChoices):
    FOR = "for", "For it"
    AGAINST = "against", "Against it"
    ABSTAIN = "abstain", "Abstain"
    VETO = "veto", "Veto"
    RECUSED = "recused", "Recused"


class BoardVote(models.Model):
    """The vote of a member on exactly one content. Mutable: they may change their mind until it is decided.

    It counts from `settles_at` on; until then the member can take it back.
    """

    amendment = models.ForeignKey(Amendment, on_delete=models.PROTECT, related_name="board_votes")
    member = models.ForeignKey(User, on_delete=models.PROTECT, related_name="board_votes")
    verdict = models.CharField(max_length=10, choices=BoardVerdict.choices)
    digest = models.CharField(max_length=64)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(auto_now=True)
    settles_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["member", "-at"], name="board_vote_by_member")]
        constraints = [
            models.UniqueConstraint(fields=["amendment", "member", "digest"], name="board_vote_once_per_content"),
            models.CheckConstraint(
                condition=~Q(verdict__in=["against", "veto"]) | ~Q(reason=""), name="board_objection_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.member_id} on proposal {self.amendment_id}"
