"""What can be done with a client system's token: issue it, revoke it, set its rate, and count each use of it.

The secret is shown once and kept nowhere: the table has its SHA-256. It has 256 random bits, so that no slow hash is
needed against guessing.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.utils import timezone

from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import ApiScope, ApiToken, Role, User

PREFIX = "rat_"
HINT_LENGTH = 8
USUAL_RATE = 600
HIGHEST_RATE = 1_000_000
# One statement knows the token, its owner and the rate, and counts the use. Whoever's token it is not, whoever lost
# all roles and whoever was made inactive gets no row, and nothing is counted.
SPEND = """
    WITH known AS (
        SELECT token.id, token.owner_id, token.scopes, token.per_minute
        FROM constitution_apitoken token JOIN constitution_user person ON person.id = token.owner_id
        WHERE token.digest = %s AND token.revoked_at IS NULL AND person.is_active AND person.roles <> '{}'
    ), counted AS (
        INSERT INTO constitution_apiwindow AS mine (token_id, began, used) SELECT id, now(), 1 FROM known
        ON CONFLICT (token_id) DO UPDATE SET
            used = CASE WHEN mine.began > now() - interval '1 minute' THEN mine.used + 1 ELSE 1 END,
            began = CASE WHEN mine.began > now() - interval '1 minute' THEN mine.began ELSE now() END
        RETURNING used, began
    )
    SELECT known.owner_id, known.scopes, known.per_minute, counted.used,
           ceil(extract(epoch FROM counted.began + interval '1 minute' - now()))::int,
           (SELECT digest FROM constitution_ledgerentry ORDER BY number DESC LIMIT 1)
    FROM known, counted
"""


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a token: whose it is, what it may, how many uses its minute allows and has seen, this one included,
    and in how many seconds the next minute begins.

    `as_of` is the digest of the newest ledger entry. Every write has one, so as long as it stays nothing changed.
    """

    owner: int
    scopes: tuple[str, ...]
    limit: int
    used: int
    resets_in: int
    as_of: str

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def is_over(self) -> bool:
        return self.used > self.limit


def digest_of(secret: str) -> str:
    """What is stored of a secret, and looked for."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def spend(secret: str) -> Use | None:
    """Count one use of the token with this secret; None where there is none that may be used. One query."""
    with connection.cursor() as cursor:
        cursor.execute(SPEND, [digest_of(secret)])
        row = cursor.fetchone()
    return Use(row[0], tuple(row[1]), *row[2:]) if row else None


@transaction.atomic
def issue(*, name: str, scopes: Sequence[str], by: User, per_minute: int | None = None) -> tuple[ApiToken, str]:
    """Make a token of `by`; return it with its secret, which cannot be had again.

    Another rate than the usual one is for operators. Raises NotAllowed and Refused.
    """
    if not by.has_role(*Role):
        raise NotAllowed("Tokens are made by people with a role. An operator can give you one.")
    if per_minute not in (None, USUAL_RATE):
        _check_rate(per_minute, by)
    secret = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        name=_checked_name(name),
        owner=by,
        scopes=_checked_scopes(scopes),
        digest=digest_of(secret),
        hint=secret[:HINT_LENGTH],
        per_minute=per_minute or USUAL_RATE,
    )
    detail = {"name": token.name, "scopes": token.scopes, "per_minute": token.per_minute}
    ledger.append(action="token issued", by=by, subject=f"token:{token.pk}", detail=detail)
    return token, secret


@transaction.atomic
def revoke(*, token: ApiToken, by: User) -> ApiToken:
    """End a token for good, from the next request on. Revoking it again changes nothing. Raises NotAllowed."""
    locked = ApiToken.objects.select_for_update().get(pk=token.pk)
    if by.pk != locked.owner_id and not by.has_role(Role.OPERATOR):
        raise NotAllowed("A token is revoked by its owner or by an operator.")
    if locked.revoked_at is None:
        locked.revoked_at = timezone.now()
        locked.save(update_fields=["revoked_at"])
        ledger.append(action="token revoked", by=by, subject=f"token:{locked.pk}", detail={"name": locked.name})
    return locked


@transaction.atomic
def set_rate(*, token: ApiToken, per_minute: int, by: User) -> ApiToken:
    """Say how many requests a minute a token may make. For operators. Raises NotAllowed and Refused."""
    _check_rate(per_minute, by)
    locked = ApiToken.objects.select_for_update().get(pk=token.pk)
    before, locked.per_minute = locked.per_minute, per_minute
    locked.save(update_fields=["per_minute"])
    detail = {"before": before, "per_minute": per_minute}
    ledger.append(action="token rate set", by=by, subject=f"token:{locked.pk}", detail=detail)
    return locked


def _check_rate(per_minute: int | None, by: User) -> None:
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed(f"A token has {USUAL_RATE} requests a minute. An operator can set another rate.")
    if per_minute is None or not 0 < per_minute <= HIGHEST_RATE:
        raise Refused(f"A rate is a whole number from 1 to {HIGHEST_RATE:,} requests a minute.")


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise Refused("Name the token after the system that will use it, in at most 100 characters on one line.")
    return name


def _checked_scopes(scopes: Sequence[str]) -> list[str]:
    wanted = set(scopes)
    if not wanted or not wanted <= set(ApiScope.values):
        raise Refused("Choose at least one thing that the token may do.")
    return [scope for scope in ApiScope.values if scope in wanted]
