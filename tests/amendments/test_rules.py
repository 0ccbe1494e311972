"""What it takes to accept, as operators set it."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from amendments.models import AcceptanceRule
from amendments.policies import rule_for
from amendments.rules import set_rule
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, Tier, User


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("acceptance_rule", *arguments, stdout=out)
    return out.getvalue()


def test_what_is_not_said_stays(operator: User) -> None:
    by = f"--by={operator.username}"
    assert command("2", "--reviewers=1", "--preview", by) == (
        "Changes to tier 2 need 1 approving and a finished impact preview.\n"
    )
    assert "3 approving and a finished" in command("2", "--reviewers=3", by)
    assert command("2", "--reviewers=3", "--no-preview", by) == "Changes to tier 2 need 3 approving.\n"
    said = [entry.detail for entry in LedgerEntry.objects.filter(subject="tier:2").order_by("number")]
    assert said == [
        {"reviewers": 1, "needs_preview": True},
        {"reviewers": 3},
        {"reviewers": 3, "needs_preview": False},
    ]


def test_universal_clauses_keep_what_protects_them(operator: User) -> None:
    with pytest.raises(Refused, match="always measured"):
        set_rule(tier=Tier.UNIVERSAL, reviewers=2, needs_preview=False, by=operator)
    assert not AcceptanceRule.objects.filter(tier=Tier.UNIVERSAL).exists()
    rule = set_rule(tier=Tier.UNIVERSAL, reviewers=3, by=operator)
    assert rule.needs_preview
    assert rule.needs_board
    assert rule_for(Tier.UNIVERSAL).reviewers == 3


def test_only_operators_say_and_somebody_decides(operator: User, reviewer: User) -> None:
    with pytest.raises(NotAllowed):
        set_rule(tier=Tier.STYLE, reviewers=1, by=reviewer)
    with pytest.raises(Refused, match="at least one"):
        set_rule(tier=Tier.STYLE, reviewers=0, by=operator)
    with pytest.raises(CommandError, match="no account named nobody"):
        command("3", "--reviewers=1", "--by=nobody")
    assert not LedgerEntry.objects.filter(action="acceptance rule set").exists()
