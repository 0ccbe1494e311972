from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from constitution.errors import Refused
from constitution.models import User
from training import retention


class Command(BaseCommand):
    help = (
        "Remove the weights of models that were never promoted, but for the newest KEEP. What was promoted stays, "
        "and so does every record."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--keep", type=int, required=True, help="how many of those never promoted stay")
        parser.add_argument("--by", default="", help="username of the operator who decides this")
        parser.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")

    def handle(self, *, keep: int, by: str, dry_run: bool, **options: Any) -> None:
        try:
            actor = User.objects.get(username=by) if by else retention.PROCESS
            rooms = retention.rooms(keep=keep)
            for room in rooms:
                self.stdout.write(_line(room))
                if not room.stays and not dry_run:
                    retention.remove(room=room, by=actor)
            if not dry_run:
                retention.sweep()
        except (OSError, Refused, User.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        freed = filesizeformat(sum(room.size for room in rooms if not room.stays))
        self.stdout.write(f"{freed} would be freed." if dry_run else f"{freed} freed.")


def _line(room: retention.Room) -> str:
    size = filesizeformat(room.size)
    return f"Model {room.checkpoint.pk}, of round {room.checkpoint.round_id}, {size}: {room.stays or 'goes'}"
