"""Why work does not start, what rounds take of a machine's disk, and how fast a round goes."""

from django.db import models


class Hold(models.Model):
    """A machine that has too little room to start anything, and why. Mutable: it goes when there is room."""

    host = models.CharField(max_length=200, unique=True)
    sentence = models.CharField(max_length=300)
    since = models.DateTimeField(auto_now_add=True)
    checked_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.host}: {self.sentence}"


class Unplanned(models.Model):
    """A version for which no round can be planned, and why. Mutable: it goes once one can be, or a newer one cannot.

    `tried_on` is a digest of what a plan is made from, `tried_at` when it was tried: so it is not tried all the time.
    """

    version = models.OneToOneField("constitution.Version", on_delete=models.PROTECT, related_name="+")
    sentence = models.TextField()
    tried_on = models.CharField(max_length=64)
    tried_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.version}: {self.sentence}"


class DiskUse(models.Model):
    """What the files of rounds take on a machine, in bytes, when it last looked. Mutable: it looks again."""

    host = models.CharField(max_length=200, unique=True)
    kept = models.PositiveBigIntegerField(help_text="Models that stay.")
    could_go = models.PositiveBigIntegerField(help_text="What pruning would remove of finished rounds.")
    aborted = models.PositiveBigIntegerField(help_text="What pruning would remove of aborted rounds.")
    other = models.PositiveBigIntegerField(help_text="Records, answers and logs, and rounds that are not over.")
    free = models.PositiveBigIntegerField(help_text="What is free on that disk.")
    keep = models.PositiveIntegerField(help_text="How many models that were never promoted were counted as kept.")
    at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["host"]

    def __str__(self) -> str:
        return f"rounds on {self.host}"


class Pace(models.Model):
    """When a round was first and last heard of in a stage, in its last attempt at it. Mutable."""

    round = models.ForeignKey("training.Round", on_delete=models.CASCADE, related_name="pace")
    stage = models.CharField(max_length=12)
    attempt = models.PositiveIntegerField()
    first_step = models.PositiveIntegerField()
    first_at = models.DateTimeField()
    step = models.PositiveIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "stage"], name="pace_once_per_stage")]

    def __str__(self) -> str:
        return f"pace of round {self.round_id}"
