"""Where a paused round can go back to: the looks before the pause that were within their band."""

from django.db.models import Count, Max, Q

from training.models import Look, LookState, Round, RoundPoint

FIRST, SECOND = "sft", "dpo"


def steps(round_: Round) -> tuple[int, ...]:
    """The steps, counted over sft and dpo, at which the stage that paused could have ended; the newest first.

    Of dpo the last look of sft is one of them: its adapter as it began. Step 0 is none, as nothing is trained there.
    """
    pause = round_.pause or {}
    if not pause:
        return ()
    within = (
        round_.looks.filter(step__gt=0, step__lt=pause["step"])
        .values("stage", "step")
        .annotate(outside=Count("pk", filter=~Q(state=LookState.OK)))
        .filter(outside=0)
    )
    stages = Q(stage=pause["stage"])
    if pause["stage"] == SECOND:
        stages |= Q(stage=FIRST, step=steps_before(round_, SECOND))
    return tuple(within.filter(stages).order_by("-step").values_list("step", flat=True))


def steps_before(round_: Round, stage: str) -> int:
    """How many steps were taken before a stage began: a stage looks once more at its end."""
    if stage == FIRST:
        return 0
    return round_.looks.filter(stage=FIRST).aggregate(last=Max("step"))["last"] or 0


def forget_after(round_: Round, *, stage: str, step: int) -> None:
    """Remove what a stage measured after a step that its round went back to."""
    local = step - steps_before(round_, stage)
    Look.objects.filter(round=round_, stage=stage, step__gt=step).delete()
    RoundPoint.objects.filter(round=round_, stage=stage, step__gt=local).delete()
