from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution import ledger
from constitution.errors import LedgerBroken


class Command(BaseCommand):
    help = "Walk the ledger's chain and name the first entry that was altered, removed or inserted."

    def handle(self, **options: Any) -> None:
        try:
            count = ledger.verify()
        except LedgerBroken as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{count} entries, each following the one before it.")
