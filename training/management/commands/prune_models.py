from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from constitution.errors import Refused
from constitution.models import User
from training import retention
from training.states import ABORTED


class Command(BaseCommand):
    help = (
        "Remove the weights of models that were never promoted, but for the newest KEEP, and what is large of rounds "
        "that were aborted. What was promoted stays, and so does every record."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--keep", type=int, required=True, help="how many of those never promoted stay")
        parser.add_argument("--by", default="", help="username of the operator who decides this")
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")

    def handle(self, *, keep: int, by: str, dry_run: bool, **options: Any) -> None:
        try:
            actor = User.objects.get(username=by) if by else retention.PROCESS
            found = retention.find(keep=keep)
            self.stdout.write("".join(f"{line}\n" for line in _lines(found)), ending="")
            if not dry_run:
                retention.prune(found, by=actor)
                retention.measure()
        except (OSError, Refused, User.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        freed = filesizeformat(found.size)
        self.stdout.write(f"{freed} would be freed." if dry_run else f"{freed} freed.")


def _lines(found: retention.Found) -> Iterator[str]:
    for room in found.rooms:
        size = filesizeformat(room.size)
        yield f"Model {room.checkpoint.pk}, of round {room.checkpoint.round_id}, {size}: {room.stays or 'goes'}"
    for one in found.left:
        what = "aborted" if one.round.state == ABORTED else "what training saved on the way"
        yield f"Round {one.round.pk}, {what}, {filesizeformat(one.size)}: goes"
