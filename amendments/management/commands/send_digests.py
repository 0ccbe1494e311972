"""`manage.py send_digests`: write to everybody who is due. A beat does the same; by hand it changes nothing twice."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from amendments.notices import send_digests


class Command(BaseCommand):
    help = "Send the digest mails that are due: one for each person for whom something new waits."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", default=settings.SITE, help="the server's address, for the links")

    def handle(self, *, site: str, **_: Any) -> None:
        sent = send_digests(site=site.rstrip("/"))
        self.stdout.write(f"{sent} mail{'' if sent == 1 else 's'} sent.")
