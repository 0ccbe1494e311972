"""What was found: the requests that are asked, by whom proposals are made, and the cases that the law does not settle.

EdgeCase and Producer are immutable. Scenario and Cluster are mutable.
"""

import pgtrigger
from django.db import models
from django.db.models import Q

from constitution.models import Principle, Version, immutable


class Label(models.TextChoices):
    HARMFUL = "harmful", "Harmful"
    BENIGN = "benign", "Benign"
    UNKNOWN = "unknown", "Not labelled"


class Signal(models.TextChoices):
    OVER_REFUSAL = "over-refusal", "Over-refusal"
    CONFLICT = "conflict", "Conflict"


class Scenario(models.Model):
    """A request that the model is asked, with what people know of it. Mutable (an import may add a label)."""

    digest = models.CharField(max_length=64, unique=True)
    prompt = models.TextField()
    label = models.CharField(max_length=10, choices=Label.choices, default=Label.UNKNOWN)
    pair = models.CharField(max_length=60, blank=True, help_text="Contrast twins share it.")
    settled_by = models.CharField(max_length=80, blank=True, help_text="The principle that should settle it.")
    context = models.JSONField(default=dict, blank=True)
    held_out = models.BooleanField(default=False, help_text="Nothing trains or proposes on it.")
    source = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["held_out", "label", "id"], name="scenario_by_split")]

    def __str__(self) -> str:
        return self.prompt[:80]


class Producer(models.Model):
    """Who wrote a machine's proposal: model, checkpoint and prompts, by digest. Immutable."""

    model = models.CharField(max_length=200)
    checkpoint = models.CharField(max_length=64)
    prompts = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["model", "checkpoint", "prompts"], name="producer_once"),
        ]
        triggers = immutable()

    def __str__(self) -> str:
        return f"{self.model} · {self.checkpoint[:8]}"


class Cluster(models.Model):
    """Edge cases of one cause: so far, one signal under one principle of one version. Mutable (it grows)."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="clusters")
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="clusters")
    signal = models.CharField(max_length=20, choices=Signal.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "principle", "signal"], name="cluster_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_signal_display()} under {self.principle_id}"


class EdgeCase(models.Model):
    """A scenario and a response on which the constitution does not settle what is right. Immutable."""

    scenario = models.ForeignKey(Scenario, on_delete=models.PROTECT, related_name="edge_cases")
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="+")
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="+")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="edge_cases")
    producer = models.ForeignKey(Producer, on_delete=models.PROTECT, related_name="+")
    signal = models.CharField(max_length=20, choices=Signal.choices)
    score = models.FloatField(help_text="Strength of the signal, 0 to 1.")
    response = models.TextField()
    detail = models.JSONField(default=dict, help_text="Responses and verdicts by clause, and the judge.")
    surfaced_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scenario", "version", "principle", "signal"], name="edge_case_once"),
            models.CheckConstraint(condition=Q(score__gte=0, score__lte=1), name="edge_case_score_is_a_share"),
        ]
        triggers = immutable(
            pgtrigger.Trigger(
                name="not_held_out",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    IF (SELECT held_out FROM amendments_scenario WHERE id = NEW.scenario_id) THEN
                        RAISE EXCEPTION 'scenario % is held out: nothing proposes on it', NEW.scenario_id;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"{self.signal} on {self.scenario_id}"
