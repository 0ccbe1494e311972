from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.errors import Refused
from constitution.importing.critiques import read_critiques
from constitution.importing.folders import read_text
from constitution.importing.publishing import Arrival, import_versions
from constitution.models import User


class Command(BaseCommand):
    help = "Import pairs of a critique and a revision from a JSON FILE: each pair becomes a clause of the next version."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--slug", required=True, help="short name of the constitution, as in its addresses")
        parser.add_argument("--title", required=True)
        parser.add_argument("--source", default="", help="where the file comes from")
        parser.add_argument("--by", required=True, metavar="USERNAME", help="who imports it")

    def handle(self, *, file: Path, slug: str, title: str, source: str, by: str, **options: Any) -> None:
        try:
            user = User.objects.get(username=by)
            found = read_critiques(read_text(file))
            arrival = Arrival(None, title, f"Imported from {file.name}.", found.clauses)
            ((_arrival, version),) = import_versions([arrival], slug=slug, title=title, source=source, by=user)
        except User.DoesNotExist as error:
            raise CommandError(f"There is no account named {by}.") from error
        except Refused as error:
            raise CommandError(str(error)) from error
        if version is None:
            raise CommandError(f"Nothing would change: the newest version of {title} says exactly this.")
        self.stdout.write(f"Published {version}: {len(found.clauses)} clauses.")
        for note in found.notes:
            self.stdout.write(f"{note.section}, entry {note.line}: {note.text}")
