from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from amendments.actions import plant
from amendments.known_items import OURS, read
from constitution.errors import Refused


class Command(BaseCommand):
    help = (
        "Plant known items among the open proposals, to measure the desk: those of FILE, or our own. Each is planted "
        "once. A few at a time are told from other proposals less easily than all at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?", default=OURS)
        parser.add_argument("--most", type=int, help="plant so many at most")
        parser.add_argument("--bare", action="store_true", help="also items under which no edge case was found yet")

    def handle(self, *, file: Path, most: int | None, bare: bool, **options: Any) -> None:
        try:
            planted = plant(items=read(file), by="plant_known_items", most=most, is_bare_too=bare)
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{len(planted.amendments):>4} planted")
        self.stdout.write(f"{len(planted.before):>4} planted before")
        self.stdout.write(f"{len(planted.kept):>4} left out")
        for name, sentence in planted.kept:
            self.stdout.write(f"     {name}: {sentence}")
