"""What one producer left open, rejected together."""

from django.db import models
from django.db.models import Q

from amendments.models.cases import Producer
from constitution.models import User


class Clearance(models.Model):
    """The order to reject together what a producer in quarantine left open, and how far that is. Mutable."""

    producer = models.ForeignKey(Producer, on_delete=models.PROTECT, related_name="clearances")
    ordered_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    ordered_at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField()
    total = models.PositiveIntegerField(help_text="Open when it was ordered.")
    rejected = models.PositiveIntegerField(default=0)
    ended_at = models.DateTimeField(null=True, help_text="When it was done, or stopped before that.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["producer"], condition=Q(ended_at=None), name="clearance_one_at_a_time"),
            models.CheckConstraint(condition=~Q(reason=""), name="clearance_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"clearance {self.pk} of producer {self.producer_id}"
