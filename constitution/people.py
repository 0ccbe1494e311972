"""People: their accounts, and the roles that say what they may do."""

from collections.abc import Collection, Sequence

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import ApiToken, Role, User


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
def change_roles(*, person: User, by: User, give: Collection[Role] = (), take: Collection[Role] = ()) -> User:
    """Give and take roles, from the person's next request on. What changes nothing leaves no entry.

    Raises NotAllowed, and Refused where no operator would be left.
    """
    row = _lock(person, by)
    roles = [role.value for role in Role if (role.value in row.roles or role in give) and role not in take]
    if set(roles) == set(row.roles):
        return row
    row.roles, before = roles, row.roles
    row.save(update_fields=["roles"])
    _check_somebody_operates()
    ledger.append(action="roles changed", by=by, subject=_name(row), detail={"before": before, "roles": roles})
    return row


@transaction.atomic
def close(*, person: User, by: User) -> User:
    """End the person's sessions, sign-in links, password and API tokens. What they did stays under their name.

    Raises NotAllowed, and Refused where it is closed already or no operator would be left.
    """
    row = _lock(person, by)
    if not row.is_active:
        raise Refused(f"The account {row.username} is closed already.")
    row.is_active = False
    row.set_unusable_password()  # sessions and links are bound to the password: reopening brings none of them back
    row.save(update_fields=["is_active", "password"])
    _check_somebody_operates()
    tokens = ApiToken.objects.filter(owner=row, revoked_at=None)
    revoked = list(tokens.order_by("pk").values_list("pk", flat=True))
    tokens.update(revoked_at=timezone.now())
    ledger.append(action="account closed", by=by, subject=_name(row), detail={"roles": row.roles, "tokens": revoked})
    return row


@transaction.atomic
def reopen(*, person: User, by: User) -> User:
    """Let the person in again, with the roles that they had; they need a new link. Raises NotAllowed and Refused."""
    row = _lock(person, by)
    if row.is_active:
        raise Refused(f"The account {row.username} is open.")
    row.is_active = True
    row.save(update_fields=["is_active"])
    ledger.append(action="account reopened", by=by, subject=_name(row), detail={"roles": row.roles})
    return row


@transaction.atomic
def set_single_key_shortcuts(*, enabled: bool, by: User) -> User:
    """Switch the person's own single-key shortcuts on or off."""
    by.single_key_shortcuts = enabled
    by.save(update_fields=["single_key_shortcuts"])
    ledger.append(action="shortcuts set", by=by, subject=f"person:{by.pk}", detail={"enabled": enabled})
    return by


def _lock(person: User, by: User) -> User:
    """The person's row, locked with those of all operators: of two who close each other's account one is too late."""
    operators = Q(roles__contains=[Role.OPERATOR.value], is_active=True)
    rows = User.objects.select_for_update().filter(operators | Q(pk__in=[person.pk, by.pk])).order_by("pk")
    found = {row.pk: row for row in rows}
    if not found[by.pk].has_role(Role.OPERATOR):
        raise NotAllowed("Only operators give and take roles, and close accounts.")
    return found[person.pk]


def _check_somebody_operates() -> None:
    if not User.objects.filter(roles__contains=[Role.OPERATOR.value], is_active=True).exists():
        raise Refused("Then nobody would be left who may manage accounts. Make somebody else an operator first.")


def _name(person: User) -> str:
    return f"person:{person.pk}"
