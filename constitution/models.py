"""What the law is, who the people are, and the ledger of everything that was done.

Principle, Clause, Version, VersionClause and LedgerEntry are immutable: PostgreSQL refuses UPDATE, DELETE and TRUNCATE.
User is mutable.
"""

import pgtrigger
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from constitution.texts import ClauseText


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


class Principle(models.Model):
    """A rule with a stable id that survives rewording. Immutable."""

    id = models.CharField(primary_key=True, max_length=8)
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
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="clause_tier_known"),
            models.CheckConstraint(
                condition=~Q(tier=Tier.UNIVERSAL) | Q(scope={}),
                name="clause_universal_holds_everywhere",
                violation_error_message="A universal clause holds everywhere: it cannot have a scope.",
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
            }
        )


class VersionQuerySet(models.QuerySet["Version"]):
    def head(self) -> "Version | None":
        """The newest version, or None before the founding one."""
        return self.order_by("-number").first()


class Version(models.Model):
    """A published constitution. Immutable, as its set of clauses is: they are written first, this row seals them."""

    number = models.PositiveIntegerField(primary_key=True)
    parent = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="child")
    digest = models.CharField(max_length=64)
    title = models.CharField(max_length=200)
    summary = models.TextField()
    published_at = models.DateTimeField(auto_now_add=True)
    published_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    clauses = models.ManyToManyField(Clause, through="VersionClause", related_name="versions")

    objects = VersionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [
            # One root, one child each, no holes: the history is a line because the numbers are.
            models.CheckConstraint(
                condition=Q(number=1, parent=None) | Q(number__gt=1, parent__isnull=False, parent=F("number") - 1),
                name="version_history_is_linear",
            ),
        ]
        triggers = immutable()

    def __str__(self) -> str:
        return f"version {self.number}"

    def texts(self) -> list[ClauseText]:
        """The clauses as values, in the order of the document. One query."""
        rows = self.version_clauses.select_related("clause").order_by("position")
        return [row.clause.value for row in rows]


class VersionClause(models.Model):
    """A clause's place in a version. Immutable; refused once the version's own row is there."""

    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="version_clauses")
    clause = models.ForeignKey(Clause, on_delete=models.PROTECT, related_name="+")
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveIntegerField()

    class Meta:
        ordering = ["version", "position"]
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
                    IF EXISTS (SELECT 1 FROM constitution_version WHERE number = NEW.version_id) THEN
                        RAISE EXCEPTION 'version % is published and never changes', NEW.version_id;
                    END IF;
                    IF NEW.principle_id <> (SELECT principle_id FROM constitution_clause WHERE id = NEW.clause_id) THEN
                        RAISE EXCEPTION 'clause % is not a wording of %', NEW.clause_id, NEW.principle_id;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"{self.principle_id} in version {self.version_id}"


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
