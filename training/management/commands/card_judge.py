"""`manage.py card_judge --xstest DIR`: measure the judge on answers that people have labelled."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.errors import BadFile
from training import judging, tasks
from training.errors import StageFailed

LABELS = "XSTest, full refusals and full answers"


class Command(BaseCommand):
    help = "Measure the judge of the version in force on XSTest's human-labelled completions (minutes)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--xstest", type=Path, required=True, help="folder with xstest_v2_completions_*.csv")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            cards = tasks.measure_judge_on(judging.read_xstest(options["xstest"]))
        except (BadFile, StageFailed) as refused:
            raise CommandError(str(refused)) from refused
        for source, metrics in cards.items():
            card = judging.record(
                dataset=f"{LABELS}, {source}", metrics=metrics, template=metrics["template"], by="card_judge"
            )
            shown = {name: card.metrics[name]["value"] for name in ("auc", "sensitivity", "specificity", "coverage")}
            numbers = ", ".join(f"{name} {value:.3f}" for name, value in shown.items() if value is not None)
            word = "advisory" if card.advisory else "may gate"
            self.stdout.write(f"{source}: {numbers} (n = {card.metrics['n']}, {word})")
