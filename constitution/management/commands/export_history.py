from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.errors import Refused
from constitution.exporting.folders import write_history
from constitution.exporting.histories import named


class Command(BaseCommand):
    help = (
        "Write the whole history of a constitution into a new FOLDER: JSON, Markdown, a table of changes, the ledger, "
        "and verify.py, with which anybody can check it without this program."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--slug", help="which constitution; the one at home here if none is named")

    def handle(self, *, folder: Path, slug: str | None, **options: Any) -> None:
        try:
            constitution = named(slug)
            head = write_history(constitution, folder)
        except (OSError, Refused) as error:
            raise CommandError(str(error)) from error
        signed = "signed" if "signature" in head else "not signed"
        self.stdout.write(f"{head['version']['number']} versions, {head['ledger']['number']} ledger entries, {signed}.")
        self.stdout.write(f"The ledger ends with {head['ledger']['digest']}: keep it, to check later exports against.")
