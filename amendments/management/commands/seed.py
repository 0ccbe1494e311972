from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from amendments.models import AcceptanceRule, Scenario
from amendments.rules import set_rule
from amendments.scenarios import import_file, import_twins
from constitution.actions import publish
from constitution.files import read
from constitution.models import Role, Tier, User, Version
from constitution.people import register

APPS = Path(__file__).resolve().parents[3]
CONSTITUTION = APPS / "constitution" / "seed" / "constitution.yaml"
SCENARIOS = APPS / "amendments" / "seed" / "scenarios.yaml"
ORDINARY = APPS / "amendments" / "seed" / "ordinary.jsonl"


class Command(BaseCommand):
    help = "Give an empty installation its first administrator, constitution, scenarios and rules. Safe to repeat."

    @transaction.atomic
    def handle(self, **options: Any) -> None:
        admin = User.objects.filter(is_superuser=True).order_by("pk").first()
        if admin is None:
            admin = register(username="admin", roles=list(Role), by="seed", is_administrator=True)
            self.stdout.write("Made the account admin, with every role.")
        if Version.objects.head() is None:
            content = read(CONSTITUTION.read_text(encoding="utf-8"))
            publish(base=None, clauses=content.clauses, title=content.title, summary="The founding version.", by=admin)
            self.stdout.write(f"Published version 1: {len(content.clauses)} clauses.")
        if not Scenario.objects.exists():
            self.stdout.write(f"Added {import_twins(SCENARIOS, by='seed').accepted} scenarios.")
        # Asked anew each time: an installation seeded before the ordinary requests came lacks them.
        if Scenario.objects.filter(source=SCENARIOS.name).exists():
            import_file(ORDINARY, by="seed")
        if not AcceptanceRule.objects.exists():
            self._ask_one_reviewer(admin)

    def _ask_one_reviewer(self, admin: User) -> None:
        """A first installation has one person: every quorum is 1 until an operator asks for more."""
        for tier in (Tier.CONTEXTUAL, Tier.STYLE):
            set_rule(tier=tier, reviewers=1, quorum=1, by=admin)
        self.stdout.write("One reviewer decides on tiers 2 and 3; `manage.py acceptance_rule` asks for more.")
