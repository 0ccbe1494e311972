"""Give a colleague an account and a link to sign in with."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.sign_in import link_for
from constitution.errors import Refused
from constitution.models import Role, User
from constitution.people import register


class Command(BaseCommand):
    help = "Make an account with the given roles and print its one-time sign-in link. For a known name: a new link."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--role", action="append", default=[], choices=Role.values, help="repeat for several")
        parser.add_argument("--site", default=settings.SITE, help="the server's address; SITE unless given")

    def handle(self, *, username: str, role: list[str], site: str, **options: Any) -> None:
        user = User.objects.filter(username=username).first()
        if user and role:
            raise CommandError(
                f"{username} has an account already: leave --role out to get a new sign-in link;"
                " manage.py account gives and takes roles."
            )
        if user and not user.is_active:
            raise CommandError(f"The account {username} is closed: manage.py account {username} --reopen --by NAME")
        try:
            user = user or register(username=username, roles=[Role(name) for name in role], by="invite")
        except Refused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(link_for(user, site=site.rstrip("/")))
