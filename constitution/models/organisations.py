"""What organisations and their systems bring: profiles, and tokens for the API.

ProfileRevision is immutable. Profile, ApiToken and ApiWindow are mutable.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from constitution.models.immutable import immutable
from constitution.models.law import Version
from constitution.models.people import User


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
