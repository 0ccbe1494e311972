"""`manage.py generate_scenarios --seed N --count M`: scenarios made from a version, the same for the same numbers."""

from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from amendments.generation import frames
from amendments.generation.drawing import Drawn, draw
from amendments.generation.storing import Report, asked_of, generate, rehearse
from amendments.generation.targets import Asked
from amendments.models import Scenario
from amendments.scenarios import ScenarioText
from constitution.errors import BadFile, Refused
from constitution.models import Version
from training import tasks, variant_engine, variants
from training.errors import StageFailed

BY = "generate_scenarios"


class Command(BaseCommand):
    help = (
        "Make scenarios from the clauses of a version: single principles, the edges of scopes, and pairs that can pull "
        "apart. The same seed, count and version give the same ones; half of them are held out. Safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seed", type=int, required=True)
        parser.add_argument("--count", type=int, required=True, help="how many, both sides together")
        parser.add_argument("--constitution-version", type=int, metavar="NUMBER", help="left out: the one in force")
        parser.add_argument("--principle", default="", metavar="ID", help="only what is about this one")
        parser.add_argument("--frames", type=Path, default=frames.OURS, help="another file of frames")
        parser.add_argument("--dry-run", action="store_true", help="say what would be added, and add nothing")
        parser.add_argument("--with-model", action="store_true", help="have the model reword what was drawn, too")
        parser.add_argument("--samples", type=int, default=2, help="of the model, for each scenario")
        parser.add_argument("--temperature", type=float, default=0.8)

    def handle(self, *, seed: int, count: int, principle: str, dry_run: bool, **options: Any) -> None:
        if options["samples"] < 1 or not 0 < options["temperature"] <= 2:
            raise CommandError("Ask for at least one sample, at a temperature above 0 and up to 2.")
        try:
            version = _version(options["constitution_version"])
            what: dict[str, Any] = {"version": version, "frames": frames.read(options["frames"]), "seed": seed}
            what |= {"count": count, "only": principle}
            made = rehearse(**what, tell=self._tell) if dry_run else generate(**what, by=BY, tell=self._tell)
            self._print(made, version, is_dry=dry_run)
            if options["with_model"] and not dry_run:
                self._reword(what, samples=options["samples"], temperature=options["temperature"])
        except (BadFile, Refused, StageFailed) as refused:
            raise CommandError(str(refused)) from refused

    def _tell(self, done: int, total: int) -> None:
        self.stderr.write(f"{done:>9,} of {total:,}")

    def _print(self, report: Report, version: Version, *, is_dry: bool) -> None:
        self.stdout.write(f"{report.drawn:,} drawn from version {version.number}, digest {report.digest}")
        self.stdout.write(f"{report.added:>9,} {'would be added' if is_dry else 'added'}, {report.held_out:,} held out")
        for word, counts in (("labels", report.labels), ("about", report.kinds), ("left out", report.left_out)):
            self._print_counts(word, counts)
        self.stdout.write(f"{len(report.principles):>9,} principles of {len(version.texts()):,}")
        self.stdout.write(f"{len(report.met):>9,} pairs of values, of {report.to_meet:,} that can meet")

    def _print_counts(self, word: str, counts: Counter[str]) -> None:
        for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
            self.stdout.write(f"{count:>9,} {word}: {name}")

    def _reword(self, what: dict[str, Any], *, samples: int, temperature: float) -> None:
        lm = tasks.language_model()
        writer = variant_engine.writer_for(lm, samples=samples, temperature=temperature, seed=what["seed"])
        asked = asked_of(what["version"], what["frames"], seed=what["seed"], count=what["count"], only=what["only"])
        originals = [one for one in _drawn(asked, what["count"]) if _is_there(one)]
        report = variants.write(originals, writer=writer, seed=what["seed"], by=BY, tell=self._tell)
        self.stdout.write(f"{report.samples:,} samples of {writer.model}")
        self.stdout.write(f"{report.added:>9,} added")
        self._print_counts("left out", report.left_out)


def _version(number: int | None) -> Version:
    home = Version.objects.home()
    found = home.filter(number=number).first() if number else home.head()
    if found is None:
        raise CommandError(f"There is no version {number}." if number else "There is no constitution yet.")
    return found


def _drawn(asked: Asked, count: int) -> list[Drawn]:
    groups = [*draw(asked, count=(count + 1) // 2, held_out=True), *draw(asked, count=count // 2, held_out=False)]
    return [one for group in groups for one in group]


def _is_there(one: Drawn) -> bool:
    return Scenario.objects.filter(digest=ScenarioText(prompt=one.prompt).digest).exists()
