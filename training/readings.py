"""When scenarios are read under a version, and which: first of all, after a round, now and then, and when asked to."""

from collections.abc import Collection
from datetime import timedelta

from django.conf import settings
from django.db.models import Case, Exists, OuterRef, QuerySet, Value, When
from django.db.models.functions import MD5, Concat
from django.utils import timezone

from amendments.models import Label, Scenario
from constitution import ledger
from constitution.models import Version
from training import actions
from training.models import Reading, Round, SurfacingRun
from training.states import DONE

RANDOM_SHARE = 0.1
# Of the rest. Nobody says of them whether helping is right, so they show conflicts and no wrong answers.
UNLABELLED_SHARE = 0.2


def unread(version: Version, *, but_for: SurfacingRun | None = None) -> QuerySet[Scenario]:
    """The scenarios that no reading of a version has read; those of the reading `but_for` are among them."""
    read = Reading.objects.filter(scenario=OuterRef("pk"), run__version=version)
    if but_for is not None:
        read = read.exclude(run=but_for)
    return Scenario.objects.filter(~Exists(read), held_out=False)


def choose(pool: QuerySet[Scenario], *, contextual: Collection[str], seed: int, most: int) -> list[Scenario]:
    """Up to `most` scenarios: a tenth drawn from all, for an unbiased view, then harmless ones before harmful ones, and
    a fifth of which nobody has said which they are. The same for a seed, whatever order they were stored in.

    Harmless requests show over-refusal, and where a clause of tier 2 should settle them, one of `contextual`, a machine
    may propose. Those that a clause of style settles show little: nobody asks whether to help with them.
    """
    as_told = Case(
        When(label=Label.BENIGN, settled_by__in=contextual, then=0),
        When(label=Label.BENIGN, then=1),
        When(settled_by__in=contextual, then=2),
        default=3,
    )
    rows = pool.annotate(place=MD5(Concat("digest", Value(f" {seed}")))).order_by("place")
    drawn = list(rows[: drawn_of(most)])
    left = most - len(drawn)
    rest = rows.exclude(pk__in=[row.pk for row in drawn])
    unlabelled = list(rest.filter(label=Label.UNKNOWN)[:left])
    labelled = list(rest.exclude(label=Label.UNKNOWN).order_by(as_told, "place")[:left])
    share = max(round(left * UNLABELLED_SHARE), left - len(labelled))
    unlabelled = unlabelled[:share]
    return [*drawn, *labelled[: left - len(unlabelled)], *unlabelled]


def drawn_of(most: int) -> int:
    """How many of the first that were chosen are drawn from all, and stand for all."""
    return max(1, round(most * RANDOM_SHARE))


def is_due(version: Version) -> bool:
    """Whether scenarios are to be read under a version without anybody asking: nothing was read yet; or something is
    left, and since the last reading a round has ended or `READING_EVERY` hours have gone by."""
    newest = newest_of(version)
    if newest is None:
        return unread(version).exists()
    if newest.state != DONE or newest.finished_at is None:
        return False  # it goes on, or waits for an operator
    every = timedelta(hours=settings.READING_EVERY)
    is_time = bool(every) and newest.finished_at < timezone.now() - every
    since = Round.objects.filter(version=version, state=DONE, finished_at__gt=newest.finished_at)
    return (is_time or since.exists()) and unread(version).exists()


def open_next(version: Version, *, seed: int, by: ledger.Actor = actions.COORDINATOR) -> SurfacingRun:
    """Queue a reading; each of a version draws otherwise."""
    before = SurfacingRun.objects.filter(version=version).count()
    return actions.open_surfacing(version=version, seed=seed + before, by=by)


def hindrance(version: Version) -> str:
    """Why no further reading of a version can begin now; empty where one can."""
    newest = newest_of(version)
    if newest is not None and newest.state != DONE:
        return f"Reading {newest.pk} of this version is {newest.state}; one goes on at a time."
    if not unread(version).exists():
        return "All scenarios are read under this version. Import or generate more, then read those."
    return ""


def newest_of(version: Version) -> SurfacingRun | None:
    """The newest reading of a version."""
    return SurfacingRun.objects.filter(version=version).order_by("-pk").first()
