"""What a deeper look at a version found: each signal on each request, and which signals are worth anything."""

from django.db import models
from django.db.models import Q

from amendments.models import Scenario, Signal
from constitution.models import immutable


class Part(models.TextChoices):
    SAMPLE = "sample", "Looked at"
    SETTLED = "settled", "Plainly settled"
    HARD = "hard", "Known to be hard"


class SignalReading(models.Model):
    """The signals of one request. Immutable; settled and hard requests are measured on, and never proposed on."""

    run = models.ForeignKey("training.SurfacingRun", on_delete=models.PROTECT, related_name="signal_readings")
    part = models.CharField(max_length=10, choices=Part.choices)
    digest = models.CharField(max_length=64, help_text="Of the request.")
    scenario = models.ForeignKey(Scenario, null=True, on_delete=models.PROTECT, related_name="+")
    principle = models.CharField(max_length=80, blank=True, help_text="Of the clause that it was read under first.")
    signals = models.JSONField(help_text="Each from 0 to 1; a signal that could not be had is not there.")
    unscored = models.JSONField(default=dict, help_text="Why a signal could not be had.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "part", "digest"], name="signal_reading_once"),
            models.CheckConstraint(condition=Q(part__in=Part.values), name="signal_reading_part_known"),
            models.CheckConstraint(
                condition=~Q(part=Part.SAMPLE) | Q(scenario__isnull=False), name="signal_reading_sample_is_a_scenario"
            ),
        ]
        triggers = immutable()


class SignalCards(models.QuerySet["SignalCard"]):
    def newest(self, signal: Signal) -> "SignalCard | None":
        """What the newest look says of a signal; None where none was taken yet."""
        return self.filter(signal=signal).order_by("-pk").first()


class SignalCard(models.Model):
    """How well a signal told hard requests from settled ones in one reading, and what came of it. Immutable."""

    run = models.ForeignKey("training.SurfacingRun", on_delete=models.PROTECT, related_name="signal_cards")
    signal = models.CharField(max_length=20, choices=Signal.choices)
    auc = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    settled = models.PositiveIntegerField(help_text="Scored requests that are plainly settled.")
    hard = models.PositiveIntegerField(help_text="Scored requests that are known to be hard.")
    coverage = models.FloatField()
    mean = models.FloatField(help_text="Over the settled requests.")
    spread = models.FloatField()
    reason = models.TextField(blank=True, help_text="Why it was dropped; empty where it was kept.")
    looked_at = models.PositiveIntegerField(help_text="Scored requests of the sample.")
    found = models.PositiveIntegerField(help_text="Those of them that stand out.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SignalCards.as_manager()

    class Meta:
        ordering = ["run", "signal"]
        constraints = [
            models.UniqueConstraint(fields=["run", "signal"], name="signal_card_once"),
            models.CheckConstraint(
                condition=Q(auc=None) | Q(auc__gte=0, auc__lte=1), name="signal_card_auc_is_an_area"
            ),
            models.CheckConstraint(condition=~Q(auc=None) | ~Q(reason=""), name="signal_card_unmeasured_is_dropped"),
            models.CheckConstraint(condition=Q(found__lte=models.F("looked_at")), name="signal_card_finds_what_it_saw"),
        ]
        triggers = immutable()

    def __str__(self) -> str:
        return f"{self.signal} in reading {self.run_id}"
