from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.actions import publish
from constitution.errors import Refused
from constitution.files import read
from constitution.models import User


class Command(BaseCommand):
    help = "Found the constitution: publish FILE as version 1. Afterwards it changes by amendments only."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--by", required=True, metavar="USERNAME", help="who publishes it")

    def handle(self, *, file: Path, by: str, **options: Any) -> None:
        try:
            user = User.objects.get(username=by)
            content = read(file.read_text(encoding="utf-8"))
            version = publish(
                base=None, clauses=content.clauses, title=content.title, summary="The founding version.", by=user
            )
        except User.DoesNotExist as error:
            raise CommandError(f"There is no account named {by}.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read: {error}") from error
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Published {version}: {len(content.clauses)} clauses.")
