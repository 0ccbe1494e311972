from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.files import ConstitutionFile, write
from constitution.models import Version


class Command(BaseCommand):
    help = "Print a version (the head, unless --number) as a file that load_constitution reads."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--number", type=int)

    def handle(self, *, number: int | None, **options: Any) -> None:
        version = Version.objects.home().filter(number=number).first() if number else Version.objects.head()
        if version is None:
            raise CommandError(f"There is no version {number}." if number else "Nothing has been published yet.")
        self.stdout.write(write(ConstitutionFile(title=version.title, clauses=tuple(version.texts()))), ending="")
