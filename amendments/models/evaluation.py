"""What nothing may train or propose on beside the scenarios held out: evaluation sets, as sketches without their texts.

EvaluationSet is mutable in one thing: it can be retired. EvaluationPrompt is immutable.
"""

import pgtrigger
from django.db import models

from constitution.models import User, immutable


class EvaluationSet(models.Model):
    """A set that models are measured with. Mutable: it can be retired, and then it keeps nothing out any more."""

    name = models.CharField(max_length=60, unique=True)
    source = models.CharField(max_length=200, help_text="The file's name and format.")
    digest = models.CharField(max_length=64, help_text="SHA-256 over the digests of its texts, sorted.")
    count = models.PositiveIntegerField()
    registered_at = models.DateTimeField(auto_now_add=True)
    registered_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["name"]
        triggers = [
            pgtrigger.ReadOnly(name="only_retired", exclude=["retired_at"]),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.name


class EvaluationPrompt(models.Model):
    """One text of a set: its digest and sketch (amendments.likeness). Immutable. The text itself is not kept."""

    set = models.ForeignKey(EvaluationSet, on_delete=models.PROTECT, related_name="prompts")
    digest = models.CharField(max_length=64, help_text="Of the normalised words.")
    marks = models.BinaryField(help_text="The numbers that its runs of characters fall on.")
    label = models.CharField(max_length=10, blank=True, help_text="Harmful or benign, where the set says so.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["set", "digest"], name="evaluation_prompt_once")]
        triggers = immutable()

    def __str__(self) -> str:
        return self.digest[:12]
