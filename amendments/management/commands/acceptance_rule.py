from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from amendments.rules import set_rule
from constitution.errors import Refused
from constitution.models import Tier, User


class Command(BaseCommand):
    help = "Say what it takes to accept a change to a tier (2 contextual, 3 style, 1 universal)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tier", type=int, choices=Tier.values)
        parser.add_argument("--reviewers", type=int, required=True)
        parser.add_argument(
            "--preview", action=BooleanOptionalAction, help="whether its effect has to be measured; left out: as before"
        )
        parser.add_argument(
            "--board", action=BooleanOptionalAction, help="whether the advisory board has to vote; left out: as before"
        )
        parser.add_argument("--quorum", type=int, help="members who have to be present where the board votes")
        parser.add_argument("--by", required=True, metavar="USERNAME", help="the operator who says so")

    def handle(
        self,
        *,
        tier: int,
        reviewers: int,
        preview: bool | None,
        board: bool | None,
        quorum: int | None,
        by: str,
        **options: Any,
    ) -> None:
        try:
            operator = User.objects.get(username=by)
            rule = set_rule(
                tier=Tier(tier),
                reviewers=reviewers,
                needs_preview=preview,
                needs_board=board,
                quorum=quorum,
                by=operator,
            )
        except User.DoesNotExist as error:
            raise CommandError(f"There is no account named {by}.") from error
        except Refused as error:
            raise CommandError(str(error)) from error
        measured = " and a finished impact preview" if rule.needs_preview else ""
        voted = f" and a vote of the advisory board ({rule.quorum} present)" if rule.needs_board else ""
        self.stdout.write(f"Changes to tier {rule.tier} need {rule.reviewers} approving{measured}{voted}.")
