"""`manage.py measure_band`: train control rounds, and keep what rounds that train alike are held against."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.models import Version
from training import bands, coordinator, judging, plans, room, tasks
from training.errors import StageFailed, TooLittleData
from training.models import Round
from training.recipes.band import FEWEST_CONTROLS, BandError
from training.recipes.plan import Plan, PlanError

FIRST_SEED = 1


class Command(BaseCommand):
    help = (
        "Train control rounds: a round's plan with other seeds, nothing wrong with them. Rounds that start afterwards "
        "and train alike are held against them at each look. An attempt that was cut off goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        usual = "the plan of a round for the version in force"
        parser.add_argument("--round", type=int, help=f"whose plan (default: {usual})")
        parser.add_argument("--controls", type=int, default=5, help="how many, each with its seed (default: 5)")
        parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first; the others count up from it")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["controls"] < FEWEST_CONTROLS:
            raise CommandError(f"A band needs at least {FEWEST_CONTROLS} control rounds.")
        with room.device() as is_ours:
            if not is_ours:
                raise CommandError("A worker has the device. Try again when it is idle.")
            try:
                self._measure(_plan(options["round"]), options)
            except (BandError, PlanError, StageFailed, TooLittleData) as refused:
                raise CommandError(str(refused)) from refused

    def _measure(self, plan: Plan, options: dict[str, Any]) -> None:
        began = time.monotonic()
        seeds = seeds_from(options["seed"], options["controls"], but=plan.seed)
        band = bands.measure(plan, judge=judging.choice("rounds"), seeds=seeds, tell=self.stdout.write)
        file = bands.store(plan, band)
        self.stdout.write(
            f"Kept as {file.parent.name}/{file.name}: {len(seeds)} control rounds of version {plan.version}, "
            f"{len(band.points)} groups, {time.monotonic() - began:.0f} s. Rounds that start from now on use it."
        )
        for (measure, group), points in sorted(band.points.items()):
            looks = ", ".join(f"{point.step}: {point.centre:+.2f} ± {point.width:.2f}" for point in points)
            self.stdout.write(f"  {measure} {group}: {looks}")


def seeds_from(first: int, count: int, *, but: int) -> list[int]:
    """So many seeds from the first on, without that of the round itself."""
    return [seed for seed in range(first, first + count + 1) if seed != but][:count]


def _plan(pk: int | None) -> Plan:
    """The plan of round `pk`, or that of a round for the version in force, with the folder of the model."""
    if pk is None:
        head = Version.objects.head()
        if head is None:
            raise CommandError("There is no constitution yet. Import one first.")
        frozen = coordinator.plan_for(head).as_json()
    else:
        round_ = Round.objects.filter(pk=pk).first()
        if round_ is None:
            raise CommandError(f"There is no round {pk}.")
        Plan.from_json(round_.plan)
        frozen = round_.plan
    return plans.start(frozen, round_pk=pk or 0, model=tasks.model_folder())
