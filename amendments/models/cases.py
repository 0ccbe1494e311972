"""What was found: the requests that are asked, by whom proposals are made, and the cases that the law does not settle.

Producer, PromptSet, Embedding and ClusterMove are immutable. Scenario, Cluster, Centroid and CaseMark are mutable; of
an EdgeCase the cluster alone is.
"""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import F, Q, QuerySet, Sum
from django.urls import reverse

from constitution.models import Principle, User, Version, immutable

# The weight of marks from which on a case is left out: two people, or one operator.
ENOUGH = 2


class Label(models.TextChoices):
    HARMFUL = "harmful", "Harmful"
    BENIGN = "benign", "Benign"
    UNKNOWN = "unknown", "Not labelled"


class Signal(models.TextChoices):
    OVER_REFUSAL = "over-refusal", "Over-refusal"
    CONFLICT = "conflict", "Conflict"
    AMBIGUITY = "ambiguity", "Ambiguity"
    GAP = "gap", "Gap"
    CONTEXT = "context", "Context"
    PRECEDENT = "precedent", "Precedent"
    CHANNEL = "channel", "Channel"
    FLIP = "flip", "Flip"
    ENSEMBLE = "ensemble", "Ensemble"
    REPORTED = "reported", "Reported"

    @property
    def meaning(self) -> str:
        """What it says of a case, in a sentence."""
        return MEANINGS[self]


MEANINGS = {
    Signal.OVER_REFUSAL: "A harmless request is declined.",
    Signal.CONFLICT: "Two clauses that both apply lead to different answers.",
    Signal.AMBIGUITY: "The same rule in other words leads to another answer, so the wording decides.",
    Signal.GAP: "No decided case lies near it, and the nearest ones were declined.",
    Signal.CONTEXT: "The answer changes with a fact of the deployment that must not matter.",
    Signal.PRECEDENT: "The answer differs from what was decided in the cases nearest to it.",
    Signal.CHANNEL: "The answer changes when the request is phrased otherwise, or comes with a planted instruction.",
    Signal.FLIP: "The model finds its answer in breach of the clause, and its revision does not mend it.",
    Signal.ENSEMBLE: "The reference, the newest model and the one in use disagree on whether to decline.",
    Signal.REPORTED: "A person saw it and says why.",
}


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


class Embedding(models.Model):
    """What a request is about, as a model has it: a direction of length 1. Immutable.

    `kind` names the weights, the way and the decided cases that it was measured against; only equals compare.
    """

    scenario = models.ForeignKey(Scenario, on_delete=models.PROTECT, related_name="embeddings")
    kind = models.CharField(max_length=100)
    direction = models.BinaryField(help_text="16-bit floats, the lowest byte first.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scenario", "kind"], name="embedding_once")]
        triggers = immutable()

    def __str__(self) -> str:
        return f"{self.kind} of {self.scenario_id}"


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


class PromptSet(models.Model):
    """The prompts behind a digest that producers carry: name and version, and own digest, of each. Immutable."""

    digest = models.CharField(max_length=64, unique=True)
    templates = models.JSONField(help_text="[name and version, digest] of each.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = immutable()

    def __str__(self) -> str:
        return self.digest[:12]


class Cluster(models.Model):
    """Edge cases of one cause: one signal of one version, at first under one principle. Mutable.

    It grows, and people merge and split it. One that was merged into another is empty from then on and stays, so that
    links to it and proposals from it go on to where its cases are. A label tells those apart that people split off.
    """

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="clusters")
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="clusters")
    signal = models.CharField(max_length=20, choices=Signal.choices)
    label = models.CharField(max_length=80, blank=True)
    merged_into = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="merged_here")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "principle", "signal", "label"], name="cluster_once"),
            models.CheckConstraint(
                condition=Q(merged_into=None) | ~Q(merged_into=F("pk")), name="cluster_is_not_merged_into_itself"
            ),
        ]

    def __str__(self) -> str:
        name = f"{self.get_signal_display()} under {self.principle_id}"
        return f"{name}: {self.label}" if self.label else name

    def get_absolute_url(self) -> str:
        return reverse("amendments:cluster-detail", args=[self.pk])

    @property
    def present(self) -> "Cluster":
        """Where its cases are now: itself, or what it was merged into, however often."""
        found = self
        while found.merged_into is not None:
            found = found.merged_into
        return found


class Centroid(models.Model):
    """The mean direction of a cluster's embedded cases. Mutable: it grows with each, and is dropped where people move
    cases, to be measured anew when the next case looks for its place.
    """

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="centroids")
    kind = models.CharField(max_length=100)
    mean = models.BinaryField(help_text="As Embedding.direction, not of length 1.")
    size = models.PositiveIntegerField(help_text="How many cases it is the mean of.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "kind"], name="centroid_once"),
            models.CheckConstraint(condition=Q(size__gt=0), name="centroid_of_something"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of cluster {self.cluster_id}"


class EdgeCaseQuerySet(models.QuerySet["EdgeCase"]):
    def counted(self) -> "EdgeCaseQuerySet":
        """Without those that two people, or an operator, called noise: no evidence rests on them."""
        return self.exclude(pk__in=left_out())

    def strongest_first(self) -> "EdgeCaseQuerySet":
        return self.order_by("-score", "-pk")


class EdgeCase(models.Model):
    """A scenario and a response on which the constitution does not settle what is right, by a machine or a person.

    Mutable in one thing: it moves between clusters.
    """

    scenario = models.ForeignKey(Scenario, on_delete=models.PROTECT, related_name="edge_cases")
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="+", db_index=False)
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="+", db_index=False)
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="edge_cases", db_index=False)
    producer = models.ForeignKey(Producer, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    author = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    signal = models.CharField(max_length=20, choices=Signal.choices)
    score = models.FloatField(help_text="Strength of the signal, 0 to 1; 1 where a person saw it.")
    response = models.TextField()
    why = models.TextField(blank=True, help_text="What the person who added it says of it.")
    detail = models.JSONField(default=dict, help_text="Responses and verdicts by clause, and the judge.")
    surfaced_at = models.DateTimeField(auto_now_add=True)
    found_by = SearchVectorField(null=True, editable=False, help_text="Words of the request and of the response.")

    objects = EdgeCaseQuerySet.as_manager()

    class Meta:
        # The list is read newest first and strongest first, whole and by each of these.
        indexes = [
            models.Index(F("score").desc(), F("id").desc(), name="edge_case_by_score"),
            models.Index(F("cluster"), F("score").desc(), F("id").desc(), name="edge_case_of_cluster"),
            models.Index(F("signal"), F("id").desc(), name="edge_case_of_signal"),
            models.Index(F("principle"), F("id").desc(), name="edge_case_of_principle"),
            models.Index(F("version"), F("id").desc(), name="edge_case_of_version"),
            models.Index(F("producer"), F("id").desc(), name="edge_case_of_producer"),
            models.Index(F("author"), F("id").desc(), name="edge_case_of_author", condition=Q(author__isnull=False)),
            GinIndex(fields=["found_by"], name="edge_case_words"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["scenario", "version", "principle", "signal"], name="edge_case_once"),
            models.CheckConstraint(condition=Q(score__gte=0, score__lte=1), name="edge_case_score_is_a_share"),
            models.CheckConstraint(
                condition=Q(producer__isnull=False, author=None) | Q(producer=None, author__isnull=False),
                name="edge_case_has_one_finder",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="only_the_cluster_moves", exclude=["cluster"]),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            *(trigger for trigger in immutable() if trigger.operation == pgtrigger.Truncate),
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
            ),
            pgtrigger.Trigger(
                name="found_by_its_words",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    NEW.found_by := to_tsvector('english', NEW.response || ' ' || (
                        SELECT prompt FROM amendments_scenario WHERE id = NEW.scenario_id
                    ));
                    RETURN NEW;
                """,
            ),
            # The lock makes it wait for a merge that is under way, and then see that the cluster was emptied.
            pgtrigger.Trigger(
                name="in_a_cluster_of_its_kind",
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("cluster_id"),
                when=pgtrigger.Before,
                func="""
                    PERFORM 1 FROM amendments_cluster
                    WHERE id = NEW.cluster_id AND version_id = NEW.version_id AND signal = NEW.signal
                    AND merged_into_id IS NULL
                    FOR KEY SHARE;
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'cluster % takes no % cases of version %',
                            NEW.cluster_id, NEW.signal, NEW.version_id;
                    END IF;
                    RETURN NEW;
                """,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.signal} on {self.scenario_id}"

    def get_absolute_url(self) -> str:
        return reverse("amendments:edge-case-detail", args=[self.pk])

    @property
    def digest(self) -> str:
        """Its request's; a query unless the scenario was selected, too."""
        return self.scenario.digest

    @property
    def finder(self) -> User | Producer:
        found = self.author or self.producer
        assert found is not None  # noqa: S101  the schema says so: edge_case_has_one_finder
        return found


class MarkKind(models.TextChoices):
    REAL = "real", "Real"
    DUPLICATE = "duplicate", "Duplicate"
    NOISE = "noise", "Noise"
    WRONG_TYPE = "wrong-type", "Wrong signal"


class CaseMark(models.Model):
    """What one person holds of an edge case. Mutable: they may change their mind; the ledger keeps both."""

    case = models.ForeignKey(EdgeCase, on_delete=models.PROTECT, related_name="marks")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="case_marks")
    kind = models.CharField(max_length=12, choices=MarkKind.choices)
    duplicate_of = models.ForeignKey(EdgeCase, null=True, on_delete=models.PROTECT, related_name="+")
    signal = models.CharField(max_length=20, choices=Signal.choices, blank=True, help_text="The one it should have.")
    note = models.CharField(max_length=500, blank=True)
    weight = models.PositiveSmallIntegerField(default=1, help_text="An operator's counts as two people's.")
    at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(F("kind"), F("case").desc(), name="case_mark_by_kind")]
        constraints = [
            models.UniqueConstraint(fields=["case", "person"], name="case_mark_once_per_person"),
            models.CheckConstraint(
                condition=Q(kind="duplicate", duplicate_of__isnull=False)
                | (~Q(kind="duplicate") & Q(duplicate_of=None)),
                name="case_mark_duplicate_names_the_other",
            ),
            models.CheckConstraint(
                condition=(Q(kind="wrong-type") & ~Q(signal="")) | (~Q(kind="wrong-type") & Q(signal="")),
                name="case_mark_names_the_right_signal",
            ),
            models.CheckConstraint(
                condition=Q(duplicate_of=None) | ~Q(duplicate_of=F("case")), name="case_mark_is_not_of_itself"
            ),
            models.CheckConstraint(condition=Q(weight__in=[1, ENOUGH]), name="case_mark_weighs_one_or_two"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} on case {self.case_id}"


def left_out() -> QuerySet[CaseMark, int]:
    """The keys of the cases that enough people called noise."""
    noise = CaseMark.objects.filter(kind=MarkKind.NOISE).order_by().values("case").annotate(total=Sum("weight"))
    return noise.filter(total__gte=ENOUGH).values_list("case", flat=True)


class MoveKind(models.TextChoices):
    MERGE = "merge", "Merged"
    SPLIT = "split", "Split off"
    UNDO = "undo", "Moved back"


class ClusterMove(models.Model):
    """Which cases went from one cluster to another, and who moved them. Immutable; a merge is undone by it."""

    kind = models.CharField(max_length=10, choices=MoveKind.choices)
    source = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="moves_out")
    target = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="moves_in")
    cases = ArrayField(models.BigIntegerField(), help_text="The keys of the cases that moved.")
    undoes = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="undone_by")
    person = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = immutable()

    def __str__(self) -> str:
        return f"{self.kind} of cluster {self.source_id} into {self.target_id}"
