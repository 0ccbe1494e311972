"""What machines do with the law: reading scenarios under it, training rounds on it, and what came out.

Evaluation, Transcript, Checkpoint, Reading and JudgeCard are immutable. SurfacingRun, Round, RoundPoint and Look are
mutable (state and progress move; a stage that resumes writes its points again); what a round was planned to do is not.
"""

import pgtrigger
from django.db import models
from django.db.models import F, Q

from amendments.models import Label, Preview, Realised, Scenario
from constitution.models import User, Version, immutable
from training import states
from training.alert_records import Alert, AlertKind, Delivery, Webhook  # noqa: F401  as with the next
from training.artefact_records import SharedFiles  # noqa: F401  as with the next
from training.promotion_records import (  # noqa: F401  Django finds tables through this module
    Clearance,
    Promotion,
    Removal,
)
from training.scheduling_records import DiskUse, Hold, Pace, Unplanned  # noqa: F401  as with the one before
from training.signal_records import SignalCard, SignalReading  # noqa: F401

MAX_UNSCORED = 0.05


class Job(models.Model):
    """Long work that one gpu worker holds by a lease. `attempt` counts the claims and fences every write."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="%(class)ss")
    state = models.CharField(max_length=12, default=states.QUEUED)
    seed = models.PositiveIntegerField()
    attempt = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0, help_text="Claims since a person last had a say.")
    lease_owner = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


def leased(name: str) -> models.CheckConstraint:
    """A job is leased exactly while it runs."""
    return models.CheckConstraint(
        condition=Q(state=states.RUNNING, lease_until__isnull=False) | (~Q(state=states.RUNNING) & Q(lease_until=None)),
        name=name,
    )


class SurfacingRun(Job):
    """One reading of scenarios under a version, looking for what it does not settle. Mutable."""

    state = models.CharField(max_length=12, default=states.QUEUED, choices=[(s, s) for s in states.SURFACING.states])
    read = models.PositiveIntegerField(default=0, help_text="Scenarios read so far.")
    total = models.PositiveIntegerField(default=0, help_text="Scenarios to read; 0 until they are chosen.")
    message = models.CharField(max_length=200, blank=True, help_text="What it is doing, for people.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=~Q(state=states.DONE), name="surfacing_one_at_a_time_per_version"
            ),
            models.CheckConstraint(condition=Q(read__lte=F("total")), name="surfacing_read_within_total"),
            leased("surfacing_leased_while_running"),
        ]
        triggers = [
            *states.SURFACING.triggers(),
            pgtrigger.ReadOnly(name="frozen", fields=["version", "seed"]),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"surfacing on {self.version}"


class Reading(models.Model):
    """What the model answered to one scenario under a version. Immutable; what was read is not read again."""

    run = models.ForeignKey(SurfacingRun, on_delete=models.PROTECT, related_name="readings")
    scenario = models.ForeignKey(Scenario, on_delete=models.PROTECT, related_name="readings")
    detail = models.JSONField(help_text="Responses, verdicts and signals by clause.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "scenario"], name="reading_once")]
        triggers = immutable()


class Round(Job):
    """One training run for one version. Mutable: state, lease and progress move; its plan is frozen at creation."""

    state = models.CharField(max_length=12, default=states.QUEUED, choices=[(s, s) for s in states.ROUND.states])
    plan = models.JSONField(help_text="What training.recipes.plan.Plan holds, without the round's number.")
    data_digest = models.CharField(max_length=64, help_text="Of everything the plan names as data.")
    stage = models.CharField(max_length=12, blank=True)
    step = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0, help_text="Steps of the stage; 0 while unknown.")
    progress_offset = models.PositiveBigIntegerField(default=0, help_text="Bytes of progress taken over.")
    pause = models.JSONField(null=True, help_text="Stage, step, reason and evidence of the last pause.")
    paused_at = models.DateTimeField(null=True)
    result = models.JSONField(null=True)
    data_card = models.JSONField(default=list)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(state__in=states.LIVE_ROUNDS), name="round_one_live_per_version"
            ),
            models.CheckConstraint(
                condition=~Q(state=states.PAUSED) | Q(pause__isnull=False, paused_at__isnull=False),
                name="round_paused_has_a_reason",
            ),
            models.CheckConstraint(
                condition=~Q(state=states.DONE) | Q(result__isnull=False), name="round_done_has_a_result"
            ),
            models.CheckConstraint(
                condition=~Q(state=states.ABORTED) | (Q(decided_by__isnull=False) & ~Q(note="")),
                name="round_aborted_by_somebody",
            ),
            leased("round_leased_while_running"),
        ]
        triggers = [
            *states.ROUND.triggers(),
            pgtrigger.ReadOnly(name="plan_frozen", fields=["version", "seed", "plan", "data_digest"]),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            pgtrigger.Trigger(
                name="paused_until_decided",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Q(old__state=states.PAUSED) & ~pgtrigger.Q(new__state=states.PAUSED),
                func="""
                    IF NEW.decided_by_id IS NULL OR NEW.note = ''
                       OR NEW.decided_at IS NOT DISTINCT FROM OLD.decided_at THEN
                        RAISE EXCEPTION 'round % is paused until a named person decides, with a note', NEW.id;
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.pk}"


class PreviewRun(Job):
    """The measuring of one impact preview; what is known of it stands in `preview`. Mutable: state and lease move.

    The requests are drawn once: whoever takes it up again goes on with the same ones.
    """

    state = models.CharField(max_length=12, default=states.QUEUED, choices=[(s, s) for s in states.PREVIEW.states])
    preview = models.OneToOneField(Preview, on_delete=models.PROTECT, related_name="run")
    plan = models.JSONField(null=True, help_text="The requests in order, each with its components.")

    class Meta:
        constraints = [leased("preview_leased_while_running")]
        triggers = [
            *states.PREVIEW.triggers(),
            pgtrigger.ReadOnly(name="frozen", fields=["version", "seed", "preview"]),
            pgtrigger.Protect(
                name="drawn_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__plan__isnull=False, old__plan__df=pgtrigger.F("new__plan")),
            ),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"preview {self.preview_id}"


class RealisedRun(Job):
    """The measuring of what a round made of an amendment; what is known of it stands in `realised`. Mutable."""

    state = models.CharField(max_length=12, default=states.QUEUED, choices=[(s, s) for s in states.REALISED.states])
    realised = models.OneToOneField(Realised, on_delete=models.PROTECT, related_name="run")
    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="realised_runs")
    previous = models.ForeignKey(
        Round, null=True, on_delete=models.PROTECT, related_name="+", help_text="The last one trained without it."
    )

    class Meta:
        constraints = [leased("realised_leased_while_running")]
        triggers = [
            *states.REALISED.triggers(),
            pgtrigger.ReadOnly(name="frozen", fields=["version", "seed", "realised", "round", "previous"]),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"realised effect {self.realised_id}"


class LoadedModel(models.Model):
    """Which weights workers found under a model's name when they last loaded it. Mutable: files change."""

    name = models.CharField(max_length=200, unique=True)
    digest = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"{self.name} · {self.digest[:8]}"


class RoundPoint(models.Model):
    """A measured value of a training curve. Mutable: a resumed stage writes its last steps again."""

    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="points")
    stage = models.CharField(max_length=12)
    series = models.CharField(max_length=40)
    step = models.PositiveIntegerField()
    value = models.FloatField()

    class Meta:
        ordering = ["round", "stage", "series", "step"]
        constraints = [
            models.UniqueConstraint(fields=["round", "stage", "series", "step"], name="round_point_once"),
        ]


class LookState(models.TextChoices):
    OK = "ok", "Within its band"
    WARN = "warn", "Close to the edge of its band"
    FAIL = "fail", "Outside its band"
    NONE = "none", "Cannot be certified"


class Look(models.Model):
    """One measure of a constitutional checkpoint: the mean difference to the frozen reference. Mutable (see above)."""

    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="looks")
    stage = models.CharField(max_length=12)
    step = models.PositiveIntegerField(help_text="Counted over sft and dpo.")
    measure = models.CharField(max_length=40)
    # A principle has a group of its own, by its id.
    group = models.CharField(max_length=80)
    value = models.FloatField()
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    state = models.CharField(max_length=4, choices=LookState.choices)
    # Empty where a round ended before it was written down.
    detail = models.JSONField(default=dict, help_text="Each prompt's margin under the reference and now.")

    class Meta:
        ordering = ["round", "step", "measure", "group"]
        constraints = [
            models.UniqueConstraint(fields=["round", "step", "measure", "group"], name="look_once"),
            models.CheckConstraint(condition=Q(state__in=LookState.values), name="look_state_known"),
        ]


class Arm(models.TextChoices):
    REFERENCE = "reference", "Before"
    TRAINED = "trained", "After"


class Evaluation(models.Model):
    """A rate on held-out scenarios: `k` of `n` scored responses, with what could not be scored. Immutable."""

    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="evaluations")
    measure = models.CharField(max_length=40)
    arm = models.CharField(max_length=10, choices=Arm.choices)
    k = models.PositiveIntegerField()
    n = models.PositiveIntegerField()
    unscored = models.PositiveIntegerField()
    low = models.FloatField()
    high = models.FloatField()
    judge = models.CharField(max_length=200)
    seed = models.PositiveIntegerField()

    class Meta:
        ordering = ["round", "measure", "arm"]
        constraints = [
            models.UniqueConstraint(fields=["round", "measure", "arm"], name="evaluation_once"),
            models.CheckConstraint(condition=Q(n__gt=0, k__lte=F("n")), name="evaluation_of_something"),
            models.CheckConstraint(condition=Q(arm__in=Arm.values), name="evaluation_arm_known"),
        ]
        triggers = immutable()

    @property
    def can_certify(self) -> bool:
        """Whether so few responses went unscored that the rate stands for the whole battery."""
        return self.unscored <= MAX_UNSCORED * (self.n + self.unscored)


class Transcript(models.Model):
    """The two models' answers to one held-out scenario; a verdict is None where it went unscored. Immutable."""

    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="transcripts")
    key = models.CharField(max_length=80)
    label = models.CharField(max_length=10, choices=Label.choices)
    prompt = models.TextField()
    reference = models.TextField()
    trained = models.TextField()
    reference_refuses = models.BooleanField(null=True)
    trained_refuses = models.BooleanField(null=True)

    class Meta:
        ordering = ["round", "id"]
        constraints = [models.UniqueConstraint(fields=["round", "key"], name="transcript_once")]
        triggers = immutable()


class Checkpoint(models.Model):
    """The weights that a round ended with. Immutable; `path` is relative to VAR."""

    round = models.OneToOneField(Round, on_delete=models.PROTECT, related_name="checkpoint")
    path = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)
    # What follows is empty where a round ended before it was written down.
    config_digest = models.CharField(max_length=64, blank=True, help_text="Of the adapter's settings.")
    base_digest = models.CharField(max_length=64, blank=True, help_text="Of the weights that the adapter belongs to.")
    code = models.CharField(max_length=64, blank=True, help_text="Digest of the source of the engine and the recipes.")
    size = models.PositiveBigIntegerField(null=True, help_text="Bytes of the adapter.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = immutable()

    def __str__(self) -> str:
        return f"the model of round {self.round_id}"


class JudgeCard(models.Model):
    """What is known of a judge on one labelled set. Immutable; an advisory judge is shown and gates nothing."""

    judge = models.CharField(max_length=200)
    template_version = models.CharField(max_length=40, blank=True)
    calibration_digest = models.CharField(max_length=64)
    dataset = models.CharField(max_length=200)
    metrics = models.JSONField()
    advisory = models.BooleanField()
    measured_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["judge", "dataset", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["judge", "template_version", "calibration_digest", "dataset"], name="judge_card_once"
            ),
        ]
        triggers = immutable()

    def __str__(self) -> str:
        return f"{self.judge} on {self.dataset}"
