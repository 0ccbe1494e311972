"""What the law is. Immutable, all of it: PostgreSQL refuses UPDATE, DELETE and TRUNCATE."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from constitution.models.immutable import immutable
from constitution.models.people import User
from constitution.texts import RELATIONS, ClauseText


class Tier(models.IntegerChoices):
    UNIVERSAL = 1, "Universal"
    CONTEXTUAL = 2, "Contextual"
    STYLE = 3, "Style"


class Constitution(models.Model):
    """A document with a history of versions. Immutable.

    One is at home here: it is the one that is amended and trained on. The others were imported to be read, compared
    and asked over the API.
    """

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=200)
    source = models.CharField(max_length=500, blank=True, help_text="Where an imported document comes from.")
    is_home = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-is_home", "slug"]
        constraints = [
            models.UniqueConstraint(fields=["is_home"], condition=Q(is_home=True), name="constitution_one_is_home"),
        ]
        triggers = immutable()

    def __str__(self) -> str:
        return self.title


class Principle(models.Model):
    """A rule with a stable id that survives rewording. Immutable."""

    id = models.CharField(primary_key=True, max_length=80)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = immutable()

    def __str__(self) -> str:
        return self.id


class Clause(models.Model):
    """One wording of a principle. Immutable; equal content is one row."""

    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="clauses")
    tier = models.PositiveSmallIntegerField(choices=Tier.choices)
    title = models.CharField(max_length=200)
    text = models.TextField()
    scope = models.JSONField(default=dict, blank=True)
    examples = models.JSONField(default=list, blank=True)
    refers_to = ArrayField(models.CharField(max_length=80), default=list, blank=True)
    precedes = ArrayField(models.CharField(max_length=80), default=list, blank=True)
    exclusive_with = ArrayField(models.CharField(max_length=80), default=list, blank=True)
    may_narrow = models.BooleanField(default=False)
    digest = models.CharField(max_length=64, unique=True)
    words = models.GeneratedField(
        expression=SearchVector("title", "text", config="english"), output_field=SearchVectorField(), db_persist=True
    )

    class Meta:
        indexes = [GinIndex(fields=["words"], name="clause_words")]
        constraints = [
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="clause_tier_known"),
            models.CheckConstraint(
                condition=~Q(tier=Tier.UNIVERSAL) | Q(scope={}),
                name="clause_universal_holds_everywhere",
                violation_error_message="A universal clause holds everywhere: it cannot have a scope.",
            ),
            models.CheckConstraint(
                condition=~Q(tier=Tier.UNIVERSAL) | Q(may_narrow=False), name="clause_universal_is_never_narrowed"
            ),
        ]
        triggers = immutable()

    def __str__(self) -> str:
        return f"{self.principle_id} {self.title}"

    @property
    def value(self) -> ClauseText:
        """The clause as a value."""
        return ClauseText.model_validate(
            {
                "principle": self.principle_id,
                "tier": self.tier,
                "title": self.title,
                "text": self.text,
                "scope": self.scope,
                "examples": self.examples,
                **{name: getattr(self, name) for name in RELATIONS},
            }
        )


class VersionQuerySet(models.QuerySet["Version"]):
    def home(self) -> "VersionQuerySet":
        """Versions of the constitution that is amended and trained on here."""
        return self.filter(constitution__is_home=True)

    def head(self) -> "Version | None":
        """The newest version of the constitution that is at home here, or None before the founding one."""
        return self.home().newest()

    def newest(self) -> "Version | None":
        """The one with the highest number; of versions of one constitution, its head."""
        return self.order_by("-number").first()

    def as_of(self, moment: datetime) -> "Version | None":
        """The newest that was published at `moment`; None before the first."""
        return self.filter(published_at__lte=moment).order_by("-published_at", "-number").first()

    def texts(self) -> dict[int, list[ClauseText]]:
        """By key of the version, its clauses as values in the order of the document. One query."""
        rows = VersionClause.objects.filter(version__in=self).select_related("clause").order_by("version", "position")
        found: dict[int, list[ClauseText]] = {}
        for row in rows:
            found.setdefault(row.version_id, []).append(row.clause.value)
        return found


class Version(models.Model):
    """A published constitution. Immutable, as its set of clauses is: they are written first, this row seals them."""

    constitution = models.ForeignKey(Constitution, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    parent = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="child")
    digest = models.CharField(max_length=64)
    title = models.CharField(max_length=200)
    summary = models.TextField()
    published_at = models.DateTimeField(default=timezone.now)
    published_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    clauses = models.ManyToManyField(Clause, through="VersionClause", related_name="versions")

    objects = VersionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["constitution", "number"], name="version_number_once"),
            models.CheckConstraint(
                condition=Q(number=1, parent=None) | Q(number__gt=1, parent__isnull=False),
                name="version_history_is_linear",
            ),
        ]
        indexes = [
            models.Index(fields=["constitution", "published_at"], name="version_as_of"),
            models.Index(fields=["digest"], name="version_by_digest", opclasses=["varchar_pattern_ops"]),
        ]
        triggers = immutable(
            pgtrigger.Trigger(
                # One root, one child each, no holes, and time never runs backwards.
                name="follows",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                condition=pgtrigger.Q(new__number__gt=1),
                func="""
                    IF NOT EXISTS (
                        SELECT 1 FROM constitution_version
                        WHERE id = NEW.parent_id AND constitution_id = NEW.constitution_id
                              AND number = NEW.number - 1 AND published_at <= NEW.published_at
                    ) THEN
                        RAISE EXCEPTION 'version % does not follow the one before it', NEW.number
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"version {self.number}"

    @property
    def subject(self) -> str:
        """How the ledger calls it: `version:2`, or `version:slug/2` of a constitution that is not at home here."""
        home = self.constitution.is_home
        return f"version:{self.number}" if home else f"version:{self.constitution.slug}/{self.number}"

    def texts(self) -> list[ClauseText]:
        """The clauses as values, in the order of the document. One query, and none for a set that is known already."""
        return list(_read(_Set(self.digest, self)))


@dataclass(frozen=True, slots=True)
class _Set:
    """A version under the digest of its clauses: whatever has the same digest says the same."""

    digest: str
    version: Version = field(compare=False)


@lru_cache(maxsize=32)
def _read(wanted: _Set) -> tuple[ClauseText, ...]:
    rows = wanted.version.version_clauses.select_related("clause").order_by("position")
    return tuple(row.clause.value for row in rows)


class VersionClause(models.Model):
    """A clause's place in a version. Immutable; refused once the version's own row is there.

    `since` is the number of the version with which its present wording came in; `origins` says the same of each of
    its sentences. Both are carried from version to version, so that blame is a look-up however long the history is.
    """

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="version_clauses")
    clause = models.ForeignKey(Clause, on_delete=models.PROTECT, related_name="+")
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveIntegerField()
    since = models.PositiveIntegerField()
    origins = ArrayField(models.PositiveIntegerField())

    class Meta:
        ordering = ["version", "position"]
        indexes = [
            # One clause's life, and what carried a wording: both in the order of the history.
            models.Index(fields=["principle", "version"], name="clause_life"),
            models.Index(fields=["clause", "version"], name="clause_carriers"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["version", "principle"], name="version_one_clause_per_principle"),
            models.UniqueConstraint(fields=["version", "position"], name="version_one_clause_per_place"),
        ]
        triggers = immutable(
            pgtrigger.Trigger(
                name="sealed",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    IF EXISTS (SELECT 1 FROM constitution_version WHERE id = NEW.version_id) THEN
                        RAISE EXCEPTION 'this version is published and never changes';
                    END IF;
                    IF NEW.principle_id <> (SELECT principle_id FROM constitution_clause WHERE id = NEW.clause_id) THEN
                        RAISE EXCEPTION 'clause % is not a wording of %', NEW.clause_id, NEW.principle_id;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"{self.principle_id} in {self.version}"
