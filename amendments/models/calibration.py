"""Proposals that are there to measure the desk: what is right about each is known."""

from django.db import models

from amendments.models.proposals import Amendment
from constitution.models import User, immutable


class KnownItem(models.Model):
    """What is known of a known item; what is right stands in the amendment's own row. Immutable."""

    amendment = models.OneToOneField(Amendment, primary_key=True, on_delete=models.PROTECT, related_name="known")
    name = models.CharField(max_length=60, unique=True, help_text="As in the file: each is planted once.")
    digest = models.CharField(max_length=64, help_text="The content that it is known of.")
    reason = models.TextField(help_text="Why that is right.")
    planted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    planted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=~models.Q(reason=""), name="known_item_has_a_reason")]
        triggers = immutable()

    def __str__(self) -> str:
        return self.name
