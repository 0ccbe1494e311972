"""`manage.py measure_band`: train control rounds, and keep what rounds that train alike are held against."""

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training import bands, plans, room, runner, tasks
from training.errors import StageFailed
from training.models import Round
from training.recipes.band import FEWEST_CONTROLS, BandError
from training.recipes.plan import Plan, PlanError

FIRST_SEED = 1


class Command(BaseCommand):
    help = (
        "Train control rounds: a round's plan and data with other seeds, nothing wrong with them. Rounds that start "
        "afterwards and train alike are held against them at each look. An attempt that was cut off goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        usual = "the newest that trained as those do that begin by themselves"
        parser.add_argument("--round", type=int, help=f"whose plan and data (default: {usual})")
        parser.add_argument("--controls", type=int, default=5, help="how many, each with its seed (default: 5)")
        parser.add_argument("--seed", type=int, default=FIRST_SEED, help="of the first; the others count up from it")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["controls"] < FEWEST_CONTROLS:
            raise CommandError(f"A band needs at least {FEWEST_CONTROLS} control rounds.")
        with room.device() as is_ours:
            if not is_ours:
                raise CommandError("A worker has the device. Try again when it is idle.")
            try:
                self._measure(_round(options["round"]), options)
            except (BandError, PlanError, StageFailed) as refused:
                raise CommandError(str(refused)) from refused

    def _measure(self, round_: Round, options: dict[str, Any]) -> None:
        began = time.monotonic()
        plan = plans.start(round_.plan, round_pk=round_.pk, model=tasks.model_folder())
        seeds = seeds_from(options["seed"], options["controls"], but=plan.seed)
        band = bands.measure(plan, source=runner.folder_of(round_), seeds=seeds, tell=self.stdout.write)
        file = bands.store(plan, band)
        self.stdout.write(
            f"Kept as {file.parent.name}/{file.name}: {len(seeds)} control rounds of round {round_.pk}, "
            f"{len(band.points)} groups, {time.monotonic() - began:.0f} s. Rounds that start from now on use it."
        )
        for (measure, group), points in sorted(band.points.items()):
            looks = ", ".join(f"{point.step}: {point.centre:+.2f} ± {point.width:.2f}" for point in points)
            self.stdout.write(f"  {measure} {group}: {looks}")


def seeds_from(first: int, count: int, *, but: int) -> list[int]:
    """So many seeds from the first on, without that of the round itself."""
    return [seed for seed in range(first, first + count + 1) if seed != but][:count]


def _round(pk: int | None) -> Round:
    # A round with settings of its own would give a band that no other is held against.
    usual = Round.objects.filter(plan__preset=settings.ROUND_PRESET, plan__overrides=[]).order_by("-pk")
    found = Round.objects.filter(pk=pk).first() if pk else usual.first()
    if found is None:
        raise CommandError(
            "There is no such round. Accept an amendment first: a round opens for the new version. "
            "For a round with settings of its own: --round N."
        )
    Plan.from_json(found.plan)
    return found
