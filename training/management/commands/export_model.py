from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.errors import Refused
from training import registry, tasks
from training.errors import StageFailed
from training.export import export
from training.models import Checkpoint

IN_USE = "in-use"


class Command(BaseCommand):
    help = (
        "Write a model into a new FOLDER that transformers and peft load: weights as safetensors, the tokenizer, a "
        "model card (README.md), and SHA256SUMS. Its files are verified first."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help=f"its number, as its page shows it, or '{IN_USE}'")
        parser.add_argument("folder", type=Path)
        parser.add_argument("--merged", action="store_true", help="whole weights, which need no adapter library")

    def handle(self, *, model: str, folder: Path, merged: bool, **options: Any) -> None:
        try:
            files = export(_find(model), folder, base=tasks.model_folder(self.stderr.write), merged=merged)
        except (OSError, Refused, StageFailed) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{folder}: {', '.join(file.name for file in files)}")
        self.stdout.write("Check it with: sha256sum -c SHA256SUMS")


def _find(model: str) -> Checkpoint:
    if model == IN_USE:
        current = registry.in_use()
        if current is None:
            raise CommandError("No model is in use: an overseer promotes one on the page Models.")
        return current.checkpoint
    row = Checkpoint.objects.filter(pk=int(model)).first() if model.isdecimal() else None
    if row is None:
        raise CommandError(f"There is no model {model}. The page Models shows their numbers; '{IN_USE}' is one, too.")
    return row
