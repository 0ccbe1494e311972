"""What people were alerted of, where else it is sent, and whether it arrived."""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from constitution.models import User, immutable
from training import states


class AlertKind(models.TextChoices):
    """What happened. The values are what receivers of webhooks tell it by."""

    PAUSED = "round.paused", "Round paused"
    FAILED = "round.failed", "Round failed"
    UNCERTIFIED = "round.uncertified", "Round not certified"
    HELD = "round.held", "No room to start"
    UNPLANNED = "round.unplanned", "No round can be planned"
    PROMOTED = "model.promoted", "Model put into use"
    ROLLED_BACK = "model.rolled_back", "Rolled back"


class Alert(models.Model):
    """Something that overseers and operators must know. Immutable; the same thing is told once.

    It is about a round or its model; without one only where none can be planned.
    """

    kind = models.CharField(max_length=20, choices=AlertKind.choices)
    key = models.CharField(max_length=80, unique=True, help_text="What happened, so that it is not told twice.")
    sentence = models.CharField(max_length=300)
    round = models.ForeignKey("training.Round", null=True, on_delete=models.PROTECT, related_name="alerts")
    checkpoint = models.ForeignKey("training.Checkpoint", null=True, on_delete=models.PROTECT, related_name="alerts")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=AlertKind.values), name="alert_kind_known"),
            models.CheckConstraint(
                condition=Q(kind=AlertKind.UNPLANNED, round=None)
                | (~Q(kind=AlertKind.UNPLANNED) & Q(round__isnull=False)),
                name="alert_of_a_round_or_of_none",
            ),
        ]
        triggers = immutable()

    def __str__(self) -> str:
        return self.sentence


class Webhook(models.Model):
    """An address to which alerts are sent. Mutable: it is removed, once.

    The secret follows from SECRET_KEY and `salt`, so that a copy of the database does not hold it. `hint` is the start
    of its digest: where it differs, SECRET_KEY is another one than when the receiver was told the secret.
    """

    name = models.CharField(max_length=100)
    url = models.CharField(max_length=500)
    salt = models.CharField(max_length=64)
    hint = models.CharField(max_length=16)
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    removed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    removed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(removed_at=None, removed_by=None) | Q(removed_at__isnull=False, removed_by__isnull=False),
                name="webhook_removed_by_somebody",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="frozen", fields=["name", "url", "salt", "hint", "made_by"]),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One alert on its way to one webhook. Mutable: it is tried until it arrives, or until it has failed too often.

    `message` is the same in every try, so that a receiver can tell a repetition.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="deliveries")
    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="deliveries")
    message = models.CharField(max_length=40, unique=True)
    state = models.CharField(max_length=12, default=states.WAITING, choices=[(s, s) for s in states.DELIVERY.states])
    tries = models.PositiveIntegerField(default=0, help_text="Since a person last had a say.")
    attempt = models.PositiveIntegerField(default=0, help_text="All tries; fences what a try writes.")
    due_at = models.DateTimeField()
    held_until = models.DateTimeField(null=True, help_text="While a worker sends it.")
    error = models.CharField(max_length=400, blank=True, help_text="Why the last try failed.")
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(F("due_at"), condition=Q(state=states.WAITING), name="delivery_due")]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "alert"], name="delivery_once"),
            models.CheckConstraint(
                condition=Q(state=states.DELIVERED, delivered_at__isnull=False)
                | (~Q(state=states.DELIVERED) & Q(delivered_at=None)),
                name="delivered_at_some_time",
            ),
        ]
        triggers = [
            *states.DELIVERY.triggers(),
            pgtrigger.ReadOnly(name="frozen", fields=["webhook", "alert", "message"]),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.message} to {self.webhook_id}"
