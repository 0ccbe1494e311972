"""How fast a round goes and how long it will take, from when its steps were heard of and from rounds before it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Func, IntegerField
from django.utils import timezone

from training.models import Round
from training.recipes.plan import STAGES
from training.scheduling_records import Pace
from training.states import DONE, RUNNING

# Nothing heard for so long, and for so many steps' time: nobody knows.
SILENCE = timedelta(minutes=2)
SILENT_STEPS = 10
# So much more or less to train on, as a share, is about as much.
ABOUT = 0.2


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """`stage`: until the stage is over. `whole`: until the round is, going by round `like`, if one is alike."""

    stage: timedelta
    whole: timedelta | None
    like: int | None

    def __str__(self) -> str:
        here = f"About {_words(self.stage)} left in this stage"
        if self.whole is None or self.like is None:
            return f"{here}."
        return f"{here}, about {_words(self.whole)} in all, going by round {self.like}."


def note(row: Round) -> None:
    """Remember that the round was just heard of where it is. Called in the transaction that moved it."""
    now = timezone.now()
    found = Pace.objects.filter(round=row, stage=row.stage).first()
    if found is None or found.attempt != row.attempt:
        started = {"attempt": row.attempt, "first_step": row.step, "first_at": now, "step": row.step, "at": now}
        Pace.objects.update_or_create(round=row, stage=row.stage, defaults=started)
    elif row.step != found.step:
        Pace.objects.filter(pk=found.pk).update(step=row.step, at=now)


def time_left(round_: Round, now: datetime | None = None) -> TimeLeft | None:
    """What is left of a running round; None where too little is known, or it has not been heard of for long."""
    if round_.state != RUNNING or not round_.total:
        return None
    pace = Pace.objects.filter(round=round_, stage=round_.stage, attempt=round_.attempt).first()
    if pace is None or pace.step <= pace.first_step:
        return None
    step = (pace.at - pace.first_at) / (pace.step - pace.first_step)
    silence = (now or timezone.now()) - pace.at
    if silence > max(SILENCE, SILENT_STEPS * step):
        return None
    stage = max(step * (round_.total - pace.step) - silence, timedelta())
    later = STAGES[STAGES.index(round_.stage) + 1 :]
    if not later:
        return TimeLeft(stage, stage, None)
    like, took = _durations(round_)
    if any(name not in took for name in later):
        return TimeLeft(stage, None, None)
    return TimeLeft(stage, stage + sum((took[name] for name in later), timedelta()), like)


def _durations(round_: Round) -> tuple[int | None, dict[str, timedelta]]:
    """How long each stage took in the newest finished round that nothing interrupted, with the same settings and about
    as much to train on.
    """
    alike = Round.objects.filter(
        state=DONE, attempt=1, plan__stages=round_.plan["stages"], plan__model=round_.plan["model"]
    )
    rows = len(round_.plan["train"])
    count = Func(F("plan__train"), function="jsonb_array_length", output_field=IntegerField())
    alike = alike.alias(rows=count).filter(rows__gte=round(rows * (1 - ABOUT)), rows__lte=round(rows * (1 + ABOUT)))
    last = alike.filter(pace__isnull=False).exclude(pk=round_.pk).order_by("-pk").defer("plan").first()
    if last is None or last.finished_at is None:
        return None, {}
    began = {pace.stage: pace.first_at for pace in last.pace.all()}
    ends = [*(began.get(name) for name in STAGES[1:]), last.finished_at]
    pairs = zip(STAGES, ends, strict=True)
    return last.pk, {name: end - began[name] for name, end in pairs if name in began and end is not None}


def _words(time: timedelta) -> str:
    seconds = time.total_seconds()
    if seconds < 60:
        return "a minute"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"{minutes / 60:.1f} hours"
