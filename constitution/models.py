"""What the law is, who the people are, and the ledger of everything that was done.

Constitution, Principle, Clause, Version, VersionClause, ProfileRevision and LedgerEntry are immutable: PostgreSQL
refuses UPDATE, DELETE and TRUNCATE. User, Profile and ApiToken are mutable.
"""

from datetime import datetime

import pgtrigger
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from constitution.texts import RELATIONS, ClauseText


def immutable(*extra: pgtrigger.Trigger) -> list[pgtrigger.Trigger]:
    """Triggers for a table whose rows are written once. (Protect alone does not stop TRUNCATE.)"""
    return [
        pgtrigger.Protect(name="write_once", operation=pgtrigger.Update | pgtrigger.Delete),
        pgtrigger.Trigger(
            name="no_truncate",
            operation=pgtrigger.Truncate,
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            func="RAISE EXCEPTION 'table % is written once', TG_TABLE_NAME;",
        ),
        *extra,
    ]


class Role(models.TextChoices):
    REVIEWER = "reviewer", "Reviewer"
    BOARD = "board", "Board member"
    RESEARCHER = "researcher", "Researcher"
    OVERSEER = "overseer", "Overseer"
    OPERATOR = "operator", "Operator"


class User(AbstractUser):
    """A person. Mutable. Roles say what they may do; a person without any can only sign in."""

    roles = ArrayField(models.CharField(max_length=20, choices=Role.choices), default=list, blank=True)
    single_key_shortcuts = models.BooleanField(
        default=True, help_text="Decide with single keys. Off, every action still has its button."
    )

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    def has_role(self, *roles: Role) -> bool:
        """Whether the person is active and holds at least one of `roles`."""
        return self.is_active and any(role.value in self.roles for role in roles)


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
        """The clauses as values, in the order of the document. One query."""
        rows = self.version_clauses.select_related("clause").order_by("position")
        return [row.clause.value for row in rows]


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


class LedgerEntry(models.Model):
    """One thing that was done. Immutable, append-only; each entry's digest covers the one before it."""

    number = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=100)
    detail = models.JSONField(default=dict)
    previous = models.CharField(max_length=64, unique=True)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["number"]
        verbose_name_plural = "ledger entries"
        indexes = [models.Index(fields=["subject", "number"], name="ledger_subject")]
        triggers = immutable(
            pgtrigger.Trigger(
                name="chained",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                declare=[("last", "RECORD")],
                func="""
                    SELECT number, digest INTO last FROM constitution_ledgerentry ORDER BY number DESC LIMIT 1;
                    IF NEW.number <> COALESCE(last.number, 0) + 1
                       OR NEW.previous <> COALESCE(last.digest, repeat('0', 64)) THEN
                        RAISE EXCEPTION 'ledger entry % does not follow the last one', NEW.number;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"{self.number} {self.action} {self.subject}"


class Profile(models.Model):
    """An organisation's layer on the base. Mutable in what it follows; what it says is in its revisions."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=200)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="profiles")
    pinned_to = models.ForeignKey(
        Version, null=True, blank=True, on_delete=models.PROTECT, related_name="+", help_text="Empty: follows the head."
    )
    seen = models.ForeignKey(
        Version, on_delete=models.PROTECT, related_name="+", help_text="The newest base that its owner has looked at."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.name


class ProfileRevision(models.Model):
    """What a profile says: clauses, narrowings, default context. Immutable; the one with the highest number holds."""

    profile = models.ForeignKey(Profile, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    content = models.JSONField()
    digest = models.CharField(max_length=64)
    base = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="+", help_text="Checked against it.")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["profile", "-number"]
        constraints = [models.UniqueConstraint(fields=["profile", "number"], name="profile_revision_once")]
        triggers = immutable()

    def __str__(self) -> str:
        return f"{self.profile} {self.number}"


class ApiScope(models.TextChoices):
    READ = "read", "Read constitutions, versions and profiles"
    PROFILES = "profiles", "Write the profiles of its owner"


class ApiToken(models.Model):
    """A client system's key. Mutable (it is used and revoked). The secret itself is nowhere: only its digest."""

    name = models.CharField(max_length=100)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="api_tokens")
    scopes = ArrayField(models.CharField(max_length=20, choices=ApiScope.choices))
    digest = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=12, help_text="The first characters, to tell tokens apart.")
    per_minute = models.PositiveIntegerField(default=600)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(per_minute__gt=0), name="token_rate_is_positive"),
            models.CheckConstraint(condition=Q(scopes__len__gt=0), name="token_has_a_scope"),
        ]

    def __str__(self) -> str:
        return self.name


class ApiWindow(models.Model):
    """How often a token was used in its current minute. Mutable, and counted anew after a crash: nothing rests on it.

    Its table is UNLOGGED, so that counting a request waits for no disk. There is no constraint to the token either:
    checking it would lock the token's row, which is logged.
    """

    token = models.OneToOneField(
        ApiToken, primary_key=True, on_delete=models.CASCADE, related_name="window", db_constraint=False
    )
    began = models.DateTimeField()
    used = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.used} since {self.began}"
