"""`manage.py register_evaluation_set PATH --name NAME`: nothing trains on its prompts; their texts are not copied."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from amendments.evaluation_sets import register, retire
from amendments.models import EvaluationSet
from constitution.errors import BadFile, Refused

BY = "register_evaluation_set"


class Command(BaseCommand):
    help = (
        "Keep digests and sketches of a set that models are measured with, so that nothing trains on its prompts or on "
        "near-duplicates of them: csv (XSTest, HarmBench, AdvBench, StrongREJECT, MultiJail and the like), JSON lines "
        "or a JSON list. Without FILE, list the sets."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="?")
        parser.add_argument("--name", default="", help="left out: the file's name without its ending")
        parser.add_argument("--field", default="", help="the column or key with the prompt, where it is not found")
        parser.add_argument("--retire", action="store_true", help="the set --name keeps nothing out from now on")

    def handle(self, *, file: Path | None, name: str, field: str, **options: Any) -> None:
        try:
            if options["retire"]:
                found = retire(name=name, by=BY)
                self.stdout.write(f"{found.name} is retired.")
            elif file is not None:
                found = register(path=file, name=name or file.stem[:60], by=BY, field=field)
                self.stdout.write(f"{found.count:,} prompts of {found.name} are kept out of training.")
            else:
                self._list()
        except (BadFile, Refused) as refused:
            raise CommandError(str(refused)) from refused

    def _list(self) -> None:
        for row in EvaluationSet.objects.order_by("name"):
            retired = f", retired {row.retired_at:%Y-%m-%d}" if row.retired_at else ""
            self.stdout.write(f"{row.count:>9,}  {row.name} ({row.source}){retired}")
