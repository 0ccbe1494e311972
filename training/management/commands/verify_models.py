from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.errors import Refused
from training import registry


class Command(BaseCommand):
    help = "Compare the files of every model on this machine with the digests that their rounds wrote down."

    def handle(self, *args: Any, **options: Any) -> None:
        found, bad = 0, 0
        for row in registry.registered().filter(removal=None):
            found += 1
            try:
                registry.check_intact(row)
            except Refused as refused:
                bad += 1
                self.stderr.write(f"Model {row.pk}: {refused}")
            else:
                self.stdout.write(f"Model {row.pk}, of round {row.round_id}: as the round left it.")
        if bad:
            raise CommandError(f"{bad} of {found} models are not here as their rounds left them.")
        self.stdout.write(f"{found} models, all as their rounds left them.")
