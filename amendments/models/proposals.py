"""What is proposed and what people said of it.

Revision is immutable. Amendment, Review and AcceptanceRule are mutable.
"""

from datetime import datetime

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.urls import reverse
from django.utils import timezone

from amendments import states
from amendments.models.cases import Cluster, Producer, Signal
from amendments.models.clearing import Clearance
from amendments.operations import Operations, read_operations
from constitution.models import Principle, Tier, User, Version, immutable

PLACE = Tuple(F("priority"), F("pk"))
KNOWN_VERDICTS = (("approve", "Approve"), ("reject", "Reject"))


def _in_queue_order(name: str, *fields: str, only: Q | None = None) -> models.Index:
    """An index over what is undecided: by `fields`, and then as the queue goes."""
    condition = Q(decided_at=None) & only if only else Q(decided_at=None)
    return models.Index(*fields, F("priority").desc(), F("id").desc(), name=name, condition=condition)


class AmendmentQuerySet(models.QuerySet["Amendment"]):
    def undecided(self) -> "AmendmentQuerySet":
        """Asked by the date, which the schema ties to the state: so a statement that is planned once, for any
        values, can still use the partial indexes.
        """
        return self.filter(decided_at=None)

    def decided(self) -> "AmendmentQuerySet":
        """What became law or did not; of a known item that closed there is nothing to tell."""
        return self.real().filter(decided_at__isnull=False)

    def real(self) -> "AmendmentQuerySet":
        """Without the known items, which measure the desk and change nothing."""
        return self.filter(known_verdict="")

    def known(self) -> "AmendmentQuerySet":
        return self.exclude(known_verdict="")

    def on_the_desk(self) -> "AmendmentQuerySet":
        """What people see: all that is real, and known items until they close. A count without them would tell."""
        return self.filter(Q(known_verdict="") | Q(decided_at=None))

    def in_queue_order(self) -> "AmendmentQuerySet":
        """Most pressing first; the id settles ties, so that a page has a last row to go on from."""
        return self.order_by("-priority", "-id")

    def ahead_of(self, amendment: "Amendment") -> "AmendmentQuerySet":
        """Those before it in queue order, the nearest first."""
        return self.filter(TupleGreaterThan(PLACE, amendment.place)).order_by("priority", "id")

    def after(self, amendment: "Amendment") -> "AmendmentQuerySet":
        """Those after it in queue order, the nearest first."""
        return self.behind(amendment.place).in_queue_order()

    def behind(self, place: tuple[float, int]) -> "AmendmentQuerySet":
        """Those after a place in queue order, found in the index however far behind it is."""
        return self.filter(TupleLessThan(PLACE, place))

    def decided_before(self, at: datetime, pk: int) -> "AmendmentQuerySet":
        return self.filter(TupleLessThan(Tuple(F("decided_at"), F("pk")), (at, pk)))


class Amendment(models.Model):
    """A proposed change on a base version. Mutable: its state moves, its wording is the newest Revision."""

    state = models.CharField(max_length=20, default=states.OPEN, choices=[(s, s) for s in states.AMENDMENT.states])
    base = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="amendments")
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="amendments")
    tier = models.PositiveSmallIntegerField(choices=Tier.choices, help_text="The highest tier it touches.")
    touches = ArrayField(models.CharField(max_length=80), help_text="Every principle that its operations name.")
    kinds = ArrayField(models.CharField(max_length=20), help_text="What its operations do, each kind once.")
    scopes = ArrayField(
        models.CharField(max_length=120), default=list, help_text="Where its clauses hold: `region:EU`, each once."
    )
    signal = models.CharField(max_length=20, choices=Signal.choices, blank=True, help_text="That of its cluster.")
    words = models.TextField(
        blank=True, help_text="What a search finds it by: ids, titles and texts, beside its rationale."
    )
    found_by = models.GeneratedField(
        expression=SearchVector("words", "rationale", config="english"),
        output_field=SearchVectorField(),
        db_persist=True,
    )
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
    assignee = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="assigned")
    deferred_until = models.DateTimeField(null=True, blank=True, help_text="Until then the queue leaves it out.")
    referred_at = models.DateTimeField(null=True, help_text="When a reviewer sent it to the advisory board.")
    referred_by = models.ForeignKey(User, null=True, db_index=False, on_delete=models.PROTECT, related_name="+")
    votes_due_at = models.DateTimeField(null=True, help_text="When the newest vote on it can no longer be taken back.")
    duplicate_of = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="duplicates")
    conflicted_since = models.DateTimeField(
        null=True, editable=False, help_text="Since when its reviewers disagree; PostgreSQL writes it."
    )
    context_changed_in = models.ForeignKey(
        Version, null=True, on_delete=models.PROTECT, related_name="+", help_text="Where clauses beside its own moved."
    )
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True)
    cleared_in = models.ForeignKey(
        Clearance,
        null=True,
        db_index=False,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="Rejected together with others of its producer, not read by itself.",
    )
    version = models.OneToOneField(Version, null=True, on_delete=models.PROTECT, related_name="amendment")
    # With a default of the database's own: whatever writes rows without Django writes real proposals.
    known_verdict = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        choices=KNOWN_VERDICTS,
        help_text="Of a known item, which is there to measure the desk: what is right. See KnownItem.",
    )

    objects = AmendmentQuerySet.as_manager()

    class Meta:
        indexes = [
            _in_queue_order("amendment_queue"),
            _in_queue_order("amendment_by_tier", "tier"),
            _in_queue_order("amendment_by_state", "state"),
            _in_queue_order("amendment_by_signal", "signal"),
            _in_queue_order("amendment_by_producer", "producer"),
            _in_queue_order("amendment_by_assignee", "assignee", only=Q(assignee__isnull=False)),
            _in_queue_order("amendment_by_people", only=Q(author__isnull=False)),
            _in_queue_order("amendment_referred", only=Q(referred_at__isnull=False)),
            models.Index(
                "deferred_until", name="amendment_deferred", condition=Q(decided_at=None, deferred_until__isnull=False)
            ),
            models.Index("created_at", name="amendment_waiting", condition=Q(decided_at=None)),
            models.Index(F("decided_at").desc(), F("id").desc(), name="amendment_decided"),
            GinIndex(fields=["touches"], name="amendment_touches"),
            models.Index(fields=["votes_due_at"], name="amendment_votes_due", condition=Q(votes_due_at__isnull=False)),
            GinIndex(fields=["found_by"], name="amendment_words"),
            GinIndex(fields=["kinds"], name="amendment_kinds"),
            GinIndex(fields=["scopes"], name="amendment_scopes"),
            models.Index("id", name="amendment_known_open", condition=Q(decided_at=None) & ~Q(known_verdict="")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(producer__isnull=False, author=None) | Q(producer=None, author__isnull=False),
                name="amendment_has_one_proposer",
            ),
            # A retried job files its proposal once.
            models.UniqueConstraint(
                fields=["cluster", "producer"],
                condition=Q(producer__isnull=False, known_verdict=""),
                name="amendment_once_per_cluster_and_producer",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["open", "conflicted", "needs-rebase", "changes-requested"], decided_at=None)
                | Q(state__in=["accepted", "rejected", "withdrawn", "duplicate", "obsolete"], decided_at__isnull=False),
                name="amendment_decided_has_a_date",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["accepted", "rejected", "withdrawn", "duplicate"], decided_by__isnull=False)
                | Q(state__in=["open", "conflicted", "needs-rebase", "changes-requested", "obsolete"], decided_by=None),
                name="amendment_only_a_person_decides",
            ),
            models.CheckConstraint(
                condition=Q(state="accepted", version__isnull=False) | (~Q(state="accepted") & Q(version=None)),
                name="amendment_accepted_has_a_version",
            ),
            models.CheckConstraint(
                condition=Q(state="duplicate", duplicate_of__isnull=False)
                | (~Q(state="duplicate") & Q(duplicate_of=None)),
                name="amendment_duplicate_names_the_other",
            ),
            models.CheckConstraint(
                condition=Q(referred_at=None, referred_by=None)
                | Q(referred_at__isnull=False, referred_by__isnull=False),
                name="amendment_is_sent_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(known_verdict="") | Q(known_verdict__in=["approve", "reject"], producer__isnull=False),
                name="amendment_known_is_a_machines",
            ),
            models.CheckConstraint(
                condition=Q(known_verdict="") | Q(version=None), name="amendment_known_is_never_published"
            ),
        ]
        triggers = [
            *states.AMENDMENT.triggers(),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
            # Whatever moves the state, and however often those who disagree vote again meanwhile.
            pgtrigger.Trigger(
                name="conflict_has_a_start",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Q(old__state="conflicted") | pgtrigger.Q(new__state="conflicted"),
                func="""
                    NEW.conflicted_since = CASE
                        WHEN NEW.state <> 'conflicted' THEN NULL
                        WHEN OLD.state = 'conflicted' THEN OLD.conflicted_since
                        ELSE clock_timestamp()
                    END;
                    RETURN NEW;
                """,
            ),
            # Nothing real becomes a known item, and no known item becomes real.
            pgtrigger.ReadOnly(name="known_from_the_start", fields=["known_verdict"]),
        ]

    def __str__(self) -> str:
        return f"proposal {self.pk} on {self.principle_id}"

    def get_absolute_url(self) -> str:
        return reverse("amendments:amendment-detail", args=[self.pk])

    @property
    def is_undecided(self) -> bool:
        return self.state in states.UNDECIDED

    @property
    def is_known(self) -> bool:
        """Whether it is there to measure the desk. Before they voted, nobody who decides on it may be able to tell."""
        return self.known_verdict != ""

    @property
    def place(self) -> tuple[float, int]:
        """Where it stands in the queue."""
        return self.priority, self.pk

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
    CHANGES = "changes", "Request changes"


class Review(models.Model):
    """What a reviewer said of exactly one content. Mutable: they may change their mind until it is decided.

    It counts from `settles_at` on; until then the reviewer can take it back.
    """

    amendment = models.ForeignKey(Amendment, on_delete=models.PROTECT, related_name="reviews")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=10, choices=Verdict.choices)
    first_verdict = models.CharField(
        max_length=10, blank=True, help_text="Before any talk with the others, which agreement is measured on."
    )
    digest = models.CharField(max_length=64)
    reason = models.TextField(blank=True)
    at = models.DateTimeField(auto_now=True)
    settles_at = models.DateTimeField(default=timezone.now)
    score_shown = models.BooleanField(
        null=True, help_text="Whether they saw the model's own score when they first voted; empty where it has none."
    )

    class Meta:
        indexes = [models.Index(fields=["reviewer", "-at"], name="review_by_reviewer")]
        constraints = [
            models.UniqueConstraint(fields=["amendment", "reviewer", "digest"], name="review_once_per_content"),
            models.CheckConstraint(
                condition=Q(verdict="approve") | ~Q(reason=""), name="review_objection_has_a_reason"
            ),
        ]
        triggers = [
            # Whatever writes a review, what was said first stays; what was taken back in time was never said.
            pgtrigger.Trigger(
                name="first_verdict_stays",
                operation=pgtrigger.Insert | pgtrigger.Update,
                when=pgtrigger.Before,
                func="""
                    IF TG_OP = 'INSERT' OR OLD.settles_at > clock_timestamp() THEN
                        NEW.first_verdict = NEW.verdict;
                    ELSE
                        NEW.first_verdict = OLD.first_verdict;
                    END IF;
                    RETURN NEW;
                """,
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
    quorum = models.PositiveSmallIntegerField(
        default=3, db_default=3, help_text="Members of the board that have to be present where it votes."
    )

    class Meta:
        ordering = ["tier"]
        constraints = [
            # Silence is never consent: no rule can ask for nobody.
            models.CheckConstraint(condition=Q(reviewers__gte=1), name="rule_asks_somebody"),
            models.CheckConstraint(condition=Q(quorum__gte=1), name="rule_has_a_quorum"),
        ]

    def __str__(self) -> str:
        return f"rule for tier {self.tier}"
