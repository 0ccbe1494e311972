"""People: registering one, with the roles that say what they may do."""

from collections.abc import Sequence

from django.db import transaction
from django.http import HttpRequest

from constitution import ledger
from constitution.errors import Refused
from constitution.models import Role, User


class PersonRequest(HttpRequest):
    """A request behind the sign-in, for type checkers: there is always a person."""

    user: User


@transaction.atomic
def register(*, username: str, roles: Sequence[Role], by: ledger.Actor, is_administrator: bool = False) -> User:
    """Make an account that signs in by link until its owner sets a password. Raises Refused where the name is taken."""
    if User.objects.filter(username=username).exists():
        raise Refused(f"There is already an account named {username}.")
    user = User(username=username, roles=[role.value for role in roles])
    user.is_staff = user.is_superuser = is_administrator
    user.set_unusable_password()
    user.full_clean(exclude=["password"])
    user.save()
    ledger.append(action="person registered", by=by, subject=f"person:{user.pk}", detail={"roles": user.roles})
    return user


@transaction.atomic
def set_single_key_shortcuts(*, enabled: bool, by: User) -> User:
    """Switch the person's own single-key shortcuts on or off."""
    by.single_key_shortcuts = enabled
    by.save(update_fields=["single_key_shortcuts"])
    ledger.append(action="shortcuts set", by=by, subject=f"person:{by.pk}", detail={"enabled": enabled})
    return by
