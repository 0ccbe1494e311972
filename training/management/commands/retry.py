"""`manage.py retry round PK --by NAME --note WHY`: queue failed work again; it goes on from its last complete step."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.core.management.base import BaseCommand, CommandError

from constitution.errors import Refused
from constitution.models import User
from training import actions
from training.models import RealisedRun, Round, SurfacingRun
from training.realised import asking


class Command(BaseCommand):
    help = "Queue a failed round, a failed reading of the scenarios or a failed comparison with a preview again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=["round", "surfacing", "realised"])
        parser.add_argument("pk", type=int)
        parser.add_argument("--by", required=True, help="username of the operator who decides this")
        parser.add_argument("--note", required=True, help="why; kept in the ledger")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            by = User.objects.get(username=options["by"])
            if options["kind"] == "round":
                actions.retry(round_=Round.objects.get(pk=options["pk"]), by=by, note=options["note"])
            elif options["kind"] == "realised":
                compared = RealisedRun.objects.get(realised=options["pk"])
                asking.retry(run=compared, by=by, note=options["note"])
            else:
                run = SurfacingRun.objects.get(pk=options["pk"])
                actions.retry_surfacing(run=run, by=by, note=options["note"])
        except (Refused, ObjectDoesNotExist) as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write("Queued again.")
