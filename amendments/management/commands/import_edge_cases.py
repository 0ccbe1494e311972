from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from amendments.case_files import import_cases
from amendments.scenarios import Report, import_file
from constitution.errors import BadFile, Refused
from constitution.models import User

SHOWN = 20


class Command(BaseCommand):
    help = (
        "Add the requests of FILE to the scenarios that surfacing reads: JSON lines "
        "(prompt, and if known label, principle, context, pair), or the csv of XSTest, HarmBench or AdvBench. "
        "With --by, rows that have a response, a principle and why become edge cases of that person."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--held-out", action="store_true", help="for evaluation only: nothing trains on them")
        parser.add_argument("--by", metavar="USERNAME", help="the person who saw the cases")

    def handle(self, *, file: Path, held_out: bool, by: str | None, **options: Any) -> None:
        if by and held_out:
            raise CommandError("Nothing is proposed on what is held out, so it cannot be an edge case.")
        try:
            report = self._import(file, by) if by else import_file(file, by="import_edge_cases", held_out=held_out)
        except BadFile as error:
            raise CommandError(f"{error} Nothing was added.") from error
        except Refused as error:
            raise CommandError(str(error)) from error
        self._print(report)

    def _import(self, file: Path, username: str) -> Report:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"There is no account named {username}.")
        try:
            with file.open("rb") as stream:
                return import_cases(stream=stream, name=file.name, by=person, is_valid_only=True)
        except OSError as error:
            raise BadFile(f"{file.name} cannot be read: {error}.") from error

    def _print(self, report: Report) -> None:
        self.stdout.write(f"Read as {report.format}.")
        self.stdout.write(f"{report.accepted:>8,} accepted")
        self.stdout.write(f"{len(report.duplicates):>8,} duplicate{_lines(report.duplicates)}")
        self.stdout.write(f"{len(report.refusals):>8,} refused")
        for refusal in report.refusals[:SHOWN]:
            self.stdout.write(f"         line {refusal.line}: {refusal.reason}")
        if len(report.refusals) > SHOWN:
            self.stdout.write(f"         and {len(report.refusals) - SHOWN:,} more")


def _lines(numbers: list[int]) -> str:
    if not numbers:
        return ""
    more = ", …" if len(numbers) > SHOWN else ""
    return f" (lines {', '.join(map(str, numbers[:SHOWN]))}{more})"
