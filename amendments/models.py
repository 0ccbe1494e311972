"""How people change the law: what was found, what is proposed, who said what, and what was decided.

EdgeCase, Producer and Revision are immutable. Scenario, Cluster, Amendment, Review and AcceptanceRule are mutable.
"""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q
from django.urls import reverse

from amendments import states
from amendments.operations import Operations, read_operations
from constitution.models import Principle, Tier, User, Version, immutable


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


class AmendmentQuerySet(models.QuerySet["Amendment"]):
    def undecided(self) -> "AmendmentQuerySet":
        return self.filter(state__in=states.UNDECIDED)

    def decided(self) -> "AmendmentQuerySet":
        return self.exclude(state__in=states.UNDECIDED)

    def in_queue_order(self) -> "AmendmentQuerySet":
        """Most pressing first; the id settles ties, so that a page has a last row to go on from."""
        return self.order_by("-priority", "-id")

    def next_to(self, amendment: "Amendment", *, before: bool) -> "Amendment | None":
        """The one just before or just after `amendment` in queue order."""
        place = Q(priority=amendment.priority)
        if before:
            ahead = self.filter(Q(priority__gt=amendment.priority) | (place & Q(pk__gt=amendment.pk)))
            return ahead.order_by("priority", "id").first()
        behind = self.filter(Q(priority__lt=amendment.priority) | (place & Q(pk__lt=amendment.pk)))
        return behind.in_queue_order().first()


class Amendment(models.Model):
    """A proposed change on a base version. Mutable: its state moves, its wording is the newest Revision."""

    state = models.CharField(max_length=12, default=states.OPEN, choices=[(s, s) for s in states.AMENDMENT.states])
    base = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="amendments")
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="amendments")
    tier = models.PositiveSmallIntegerField(choices=Tier.choices, help_text="The highest tier it touches.")
    touches = ArrayField(models.CharField(max_length=80), help_text="Every principle that its operations name.")
    kinds = ArrayField(models.CharField(max_length=20), help_text="What its operations do, each kind once.")
    cluster = models.ForeignKey(Cluster, null=True, on_delete=models.PROTECT, related_name="amendments")
    producer = models.ForeignKey(Producer, null=True, on_delete=models.PROTECT, related_name="amendments")
    author = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="amendments")
    rationale = models.TextField()
    alternatives = models.JSONField(default=list, help_text="Other drafts, each with its text, kind and score.")
    measured = models.JSONField(default=dict, help_text="How the draft was scored against the others.")
    priority = models.FloatField(default=0)
    priority_reason = models.TextField(blank=True)
    digest = models.CharField(max_length=64, help_text="Digest of the content that is proposed now.")
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True)
    version = models.OneToOneField(Version, null=True, on_delete=models.PROTECT, related_name="amendment")

    objects = AmendmentQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(
                F("priority").desc(),
                F("id").desc(),
                name="amendment_queue",
                condition=Q(state__in=["open", "conflicted", "needs-rebase"]),
            ),
            models.Index(F("decided_at").desc(), F("id").desc(), name="amendment_decided"),
            GinIndex(fields=["touches"], name="amendment_touches"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(producer__isnull=False, author=None) | Q(producer=None, author__isnull=False),
                name="amendment_has_one_proposer",
            ),
            # A retried job files its proposal once.
            models.UniqueConstraint(
                fields=["cluster", "producer"],
                condition=Q(producer__isnull=False),
                name="amendment_once_per_cluster_and_producer",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "conflicted", "needs-rebase"], decided_at=None)
                | Q(state__in=["accepted", "rejected", "withdrawn", "obsolete"], decided_at__isnull=False),
                name="amendment_decided_has_a_date",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["accepted", "rejected", "withdrawn"], decided_by__isnull=False)
                | Q(state__in=["open", "conflicted", "needs-rebase", "obsolete"], decided_by=None),
                name="amendment_only_a_person_decides",
            ),
            models.CheckConstraint(
                condition=Q(state="accepted", version__isnull=False) | (~Q(state="accepted") & Q(version=None)),
                name="amendment_accepted_has_a_version",
            ),
        ]
        triggers = [
            *states.AMENDMENT.triggers(),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"proposal {self.pk} on {self.principle_id}"

    def get_absolute_url(self) -> str:
        return reverse("amendments:amendment-detail", args=[self.pk])

    @property
    def is_undecided(self) -> bool:
        return self.state in states.UNDECIDED

    @property
    def proposer(self) -> User | Producer:
        found = self.author or self.producer
        assert found is not None  # noqa: S101  the schema says so: amendment_has_one_proposer
        return found


class Revision(models.Model):
    """One content of an amendment, and who wrote it (the producer where `author` is empty). Immutable."""

    amendment = models.ForeignKey(Amendment, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    operations = models.JSONField()
    digest = models.CharField(max_length=64)
    author = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["amendment", "number"]
        constraints = [
            models.UniqueConstraint(fields=["amendment", "number"], name="revision_once"),
        ]
        triggers = immutable()

    def __str__(self) -> str:
        return f"revision {self.number} of proposal {self.amendment_id}"

    @property
    def content(self) -> Operations:
        return read_operations(self.operations)


class Verdict(models.TextChoices):
    APPROVE = "approve", "Approve"
    REJECT = "reject", "Reject"


class Review(models.Model):
    """What a reviewer said of exactly one content. Mutable: they may change their mind until it is decided."""

    amendment = models.ForeignKey(Amendment, on_delete=models.PROTECT, related_name="reviews")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    digest = models.CharField(max_length=64)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["amendment", "reviewer", "digest"], name="review_once_per_content"),
            models.CheckConstraint(
                condition=~Q(verdict="reject") | ~Q(reason=""), name="review_rejection_has_a_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.reviewer_id} on proposal {self.amendment_id}"


class AcceptanceRule(models.Model):
    """What it takes to accept a change, by the highest tier it touches. Mutable: the policy is editable data."""

    tier = models.PositiveSmallIntegerField(primary_key=True, choices=Tier.choices)
    reviewers = models.PositiveSmallIntegerField(default=1)
    needs_preview = models.BooleanField(default=False)
    needs_board = models.BooleanField(default=False)

    class Meta:
        ordering = ["tier"]
        constraints = [
            # Silence is never consent: no rule can ask for nobody.
            models.CheckConstraint(condition=Q(reviewers__gte=1), name="rule_asks_somebody"),
        ]

    def __str__(self) -> str:
        return f"rule for tier {self.tier}"
