from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.errors import BadFile, Refused
from constitution.importing.folders import open_folder, read_text
from constitution.importing.histories import read_history
from constitution.importing.markdown import Release, compare, read_release
from constitution.importing.notes import Note
from constitution.importing.publishing import Arrival, import_versions
from constitution.models import User


class Command(BaseCommand):
    help = (
        "Import a document release by release: a FOLDER with versions/DATE.md and, if there are any, examples/NAME.md "
        "and CHANGELOG.md; or a FOLDER that export_history made. Each release becomes a version."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--slug", required=True, help="short name of the constitution, as in its addresses")
        parser.add_argument("--title", required=True)
        parser.add_argument("--source", default="", help="where the document comes from")
        parser.add_argument("--by", required=True, metavar="USERNAME", help="who imports it")
        parser.add_argument("--report", type=Path, metavar="FILE", help="write down what was not mapped word by word")

    def handle(
        self, *, folder: Path, slug: str, title: str, source: str, by: str, report: Path | None, **options: Any
    ) -> None:
        lines: list[str] = []
        try:
            user = User.objects.get(username=by)
            is_history = (folder / "versions.jsonl").is_file()
            arrivals = _exported(folder) if is_history else _released(folder, title, lines)
            results = import_versions(arrivals, slug=slug, title=title, source=source, by=user)
            if report:
                report.write_text("\n".join(lines) + "\n", encoding="utf-8")
        except User.DoesNotExist as error:
            raise CommandError(f"There is no account named {by}.") from error
        except (OSError, Refused) as error:
            raise CommandError(str(error)) from error
        for arrival, version in results:
            outcome = f"{version}, {len(arrival.clauses)} clauses" if version else "nothing new, passed over"
            self.stdout.write(f"{arrival.title}: {outcome}.")
        if lines and not report:
            self.stdout.write(f"{len(lines)} notes on what could not be mapped word by word: --report FILE lists them.")


def _exported(folder: Path) -> Iterator[Arrival]:
    for version in read_history(folder):
        yield Arrival(version.published_at, version.title, version.summary, version.clauses)


def _released(folder: Path, title: str, lines: list[str]) -> Iterator[Arrival]:
    """Each release as it is read; `lines` grows by the notes on it."""
    source, before = open_folder(folder), None
    for released, path in source.files:
        try:
            release = read_release(read_text(path), released=released, linked=source.linked)
        except BadFile as error:
            raise BadFile(f"{path.name}: {error}") from error
        lines += _report(release, compare(before, release) if before else [])
        summary = source.summaries.get(released) or f"The release of {released}."
        yield Arrival(datetime.combine(released, time(), UTC), f"{title}, {released}", summary, release.clauses)
        before = release


def _report(release: Release, since: list[Note]) -> list[str]:
    return [f"{release.released} {note.kind}: {note}" for note in (*since, *release.notes)]
