"""Who the people are, and what they may do. User is mutable."""

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models


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
