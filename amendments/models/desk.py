"""What makes a desk of the queue: views that people saved, who has what in hand, what is said, and whose turn it is.

Comment is immutable. The others are mutable.
"""

from django.db import models
from django.db.models import F, Q

from amendments.models.cases import Producer
from amendments.models.proposals import Amendment
from constitution.models import User, immutable


class SavedView(models.Model):
    """Filters of the queue under a name. Mutable."""

    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=1000, blank=True, help_text="The query part of the queue's address.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="saved_view_once")]

    def __str__(self) -> str:
        return self.name


class Claim(models.Model):
    """Who has a proposal in hand, and until when: a lease, which nobody else is handed meanwhile. Mutable."""

    amendment = models.OneToOneField(Amendment, primary_key=True, on_delete=models.CASCADE, related_name="claim")
    holder = models.ForeignKey(User, on_delete=models.CASCADE, related_name="claims")
    until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["holder", "until"], name="claim_by_holder")]

    def __str__(self) -> str:
        return f"proposal {self.amendment_id} in the hands of {self.holder_id}"


class Audience(models.TextChoices):
    EVERYBODY = "everybody", "Everybody"
    REVIEWERS = "reviewers", "Reviewers"


class Phase(models.TextChoices):
    """Independent: each reviews alone. Consolidation: all are in, and they settle what they disagree on."""

    INDEPENDENT = "independent", "Independent review"
    CONSOLIDATION = "consolidation", "Consolidation"


class Comment(models.Model):
    """What somebody said of a proposal, in which phase, and for whom. Immutable."""

    amendment = models.ForeignKey(Amendment, on_delete=models.PROTECT, related_name="comments")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    audience = models.CharField(max_length=10, choices=Audience.choices, default=Audience.REVIEWERS)
    phase = models.CharField(max_length=15, choices=Phase.choices)
    digest = models.CharField(max_length=64, help_text="The content that was proposed then.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        triggers = immutable()

    def __str__(self) -> str:
        return f"comment {self.pk} on proposal {self.amendment_id}"


class HiddenMention(models.Model):
    """Who was named in a comment that they may not read yet. Mutable: it goes when they are told. No page counts it."""

    comment = models.ForeignKey(Comment, on_delete=models.PROTECT, related_name="hidden_mentions")
    person = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["comment", "person"], name="hidden_mention_once")]

    def __str__(self) -> str:
        return f"{self.person_id} in comment {self.comment_id}"


class NoticeKind(models.TextChoices):
    TURN = "turn", "Your turn"
    MENTION = "mention", "You were mentioned"
    DECIDED = "decided", "Decided"
    ALERT = "alert", "Alert"


class Notice(models.Model):
    """One thing that waits for a person, or that they should know. Mutable: it is read, or settled by itself.

    It is about a proposal; an alert is about something else, which `about` names and `path` shows.
    """

    recipient = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notices")
    amendment = models.ForeignKey(Amendment, null=True, on_delete=models.CASCADE, related_name="+")
    about = models.CharField(max_length=60, blank=True)
    path = models.CharField(max_length=200, blank=True, help_text="On this site.")
    kind = models.CharField(max_length=10, choices=NoticeKind.choices)
    sentence = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(F("recipient"), F("id").desc(), name="notice_of_a_person")]
        constraints = [
            # However often something happens to a proposal, one notice of a kind waits.
            models.UniqueConstraint(
                fields=["recipient", "amendment", "kind"], condition=Q(read_at=None), name="notice_waits_once"
            ),
            models.UniqueConstraint(
                fields=["recipient", "path"], condition=Q(read_at=None, amendment=None), name="alert_waits_once"
            ),
            models.CheckConstraint(
                condition=Q(~Q(about=""), ~Q(path=""), kind=NoticeKind.ALERT, amendment=None)
                | Q(~Q(kind=NoticeKind.ALERT), amendment__isnull=False, about="", path=""),
                name="notice_of_a_proposal_or_an_alert",
            ),
        ]

    def __str__(self) -> str:
        return self.sentence

    def get_absolute_url(self) -> str:
        """Where that is shown."""
        return self.amendment.get_absolute_url() if self.amendment else self.path

    @property
    def subject(self) -> str:
        """What it is about, in a word or two."""
        return self.amendment.principle_id if self.amendment else self.about


class Digest(models.TextChoices):
    OFF = "off", "No mail"
    DAILY = "daily", "One mail a day"
    WEEKLY = "weekly", "One mail a week"


class DeskSettings(models.Model):
    """How a person wants to hear from the desk. Mutable."""

    person = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="desk")
    digest = models.CharField(max_length=10, choices=Digest.choices, default=Digest.DAILY)
    mailed_at = models.DateTimeField(null=True)
    alerted_at = models.DateTimeField(null=True, help_text="When the last mail with an alert went out.")

    def __str__(self) -> str:
        return f"settings of {self.person_id}"


class ProducerStanding(models.Model):
    """What people decided of a producer: how much it may leave open, and whether it is in quarantine. Mutable."""

    producer = models.OneToOneField(Producer, primary_key=True, on_delete=models.CASCADE, related_name="standing")
    quota = models.PositiveIntegerField(null=True, help_text="The most of its proposals that may be open at once.")
    quarantined_at = models.DateTimeField(null=True)
    quarantined_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quarantined_at=None, quarantined_by=None)
                | (Q(quarantined_at__isnull=False, quarantined_by__isnull=False) & ~Q(note="")),
                name="quarantine_has_a_person_and_a_note",
            ),
        ]

    def __str__(self) -> str:
        return f"standing of producer {self.producer_id}"
