"""Changing what it takes to accept."""

from django.db import transaction

from amendments.models import AcceptanceRule
from amendments.policies import DEFAULTS
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import Role, Tier, User


@transaction.atomic
def set_rule(*, tier: Tier, reviewers: int, by: User) -> AcceptanceRule:
    """Ask for `reviewers` approvals on changes to `tier`. What else the tier asks for stays as it is."""
    if not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators change what it takes to accept.")
    if reviewers < 1:
        raise Refused("Somebody has to decide: ask for at least one reviewer.")
    default = DEFAULTS[tier]
    rule, _ = AcceptanceRule.objects.update_or_create(
        tier=tier,
        defaults={"reviewers": reviewers},
        create_defaults={
            "reviewers": reviewers,
            "needs_preview": default.needs_preview,
            "needs_board": default.needs_board,
        },
    )
    ledger.append(action="acceptance rule set", by=by, subject=f"tier:{tier}", detail={"reviewers": reviewers})
    return rule
