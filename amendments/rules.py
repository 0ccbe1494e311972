"""Changing what it takes to accept."""

from django.db import transaction

from amendments.models import AcceptanceRule
from amendments.policies import DEFAULTS
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import Role, Tier, User


@transaction.atomic
def set_rule(
    *,
    tier: Tier,
    reviewers: int,
    by: User,
    needs_preview: bool | None = None,
    needs_board: bool | None = None,
    quorum: int | None = None,
) -> AcceptanceRule:
    """Ask for `reviewers` approvals on changes to `tier`, for a finished impact preview or none, and for a vote of the
    advisory board or none. `quorum` members have to be present where the board votes.

    What is not said stays as it is. A universal clause always asks for both.
    """
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators change what it takes to accept.")
    if reviewers < 1:
        raise Refused("Somebody has to decide: ask for at least one reviewer.")
    if tier == Tier.UNIVERSAL and needs_preview is False:
        raise Refused("What a change to a universal clause does is always measured before it is accepted.")
    if tier == Tier.UNIVERSAL and needs_board is False:
        raise Refused("On a change to a universal clause the advisory board always votes.")
    if quorum is not None and quorum < 1:
        raise Refused("Silence is no vote: ask for at least one member of the board.")
    said = {"needs_preview": needs_preview, "needs_board": needs_board, "quorum": quorum}
    asked: dict[str, int | bool] = {"reviewers": reviewers}
    asked |= {name: value for name, value in said.items() if value is not None}
    default = DEFAULTS[tier]
    usual = {"needs_preview": default.needs_preview, "needs_board": default.needs_board, "quorum": default.quorum}
    rule, _ = AcceptanceRule.objects.update_or_create(tier=tier, defaults=asked, create_defaults=usual | asked)
    ledger.append(action="acceptance rule set", by=by, subject=f"tier:{tier}", detail=asked)
    return rule
