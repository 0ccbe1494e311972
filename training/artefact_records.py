"""Which files of a round several machines share."""

from django.db import models


class SharedFiles(models.Model):
    """The files of a round's run directory that are in the store, each with digest and size, and which attempt worked
    on them last. Mutable: it grows with the round.
    """

    round = models.OneToOneField("training.Round", on_delete=models.CASCADE, related_name="shared")
    attempt = models.PositiveIntegerField()
    files = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"shared files of round {self.round_id}"
