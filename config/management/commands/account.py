"""What a person may do, after their account was made: roles given and taken, the account closed or opened again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from constitution import people
from constitution.errors import Refused
from constitution.models import Role, User


class Command(BaseCommand):
    help = "Give and take roles, close an account or open it again, and say what it is now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--give", action="append", default=[], choices=Role.values, help="repeat for several")
        parser.add_argument("--take", action="append", default=[], choices=Role.values, help="repeat for several")
        end = parser.add_mutually_exclusive_group()
        end.add_argument("--close", action="store_true", help="end its sessions, its sign-in links and its API tokens")
        end.add_argument("--reopen", action="store_true", help="let the person in again, with a new link")
        parser.add_argument("--by", required=True, metavar="USERNAME", help="the operator who says so")

    @transaction.atomic
    def handle(
        self, *, username: str, give: list[str], take: list[str], close: bool, reopen: bool, by: str, **options: Any
    ) -> None:
        person, operator = _find(username), _find(by)
        if both := sorted({*give} & {*take}):
            raise CommandError(f"A role is given or taken, not both: {', '.join(both)}.")
        try:
            if give or take:
                person = people.change_roles(person=person, by=operator, give=_roles(give), take=_roles(take))
            if close:
                person = people.close(person=person, by=operator)
            if reopen:
                person = people.reopen(person=person, by=operator)
        except Refused as error:
            raise CommandError(str(error)) from error
        state = "open" if person.is_active else "closed"
        self.stdout.write(f"{person.username}: {state}, {', '.join(person.roles) or 'no role'}.")


def _find(username: str) -> User:
    found = User.objects.filter(username=username).first()
    if found is None:
        raise CommandError(f"There is no account named {username}.")
    return found


def _roles(names: list[str]) -> list[Role]:
    return [Role(name) for name in names]
