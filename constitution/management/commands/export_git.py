from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.errors import Refused
from constitution.exporting.git import write_repository
from constitution.exporting.histories import history, named


class Command(BaseCommand):
    help = "Write the history of a constitution into a new FOLDER as a git repository: each version is a commit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--slug", help="which constitution; the one at home here if none is named")

    def handle(self, *, folder: Path, slug: str | None, **options: Any) -> None:
        try:
            constitution = named(slug)
            commit = write_repository(history(constitution), folder)
        except (OSError, Refused) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{constitution}: the last commit is {commit}.")
