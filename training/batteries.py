"""How a round measured: what it asked, who judged, with which settings. Only rates taken alike can be compared."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.postgres.aggregates import StringAgg
from django.db.models import Count, TextField, Value
from django.db.models.functions import MD5, Concat

from training.models import Evaluation, Round, Transcript

NOTHING = ("", 0)


@dataclass(frozen=True, slots=True)
class Battery:
    """`requests` is a digest over what was asked, empty where no answer was kept."""

    requests: str
    asked: int
    judges: tuple[str, ...]
    settings: str


def of(rounds: Collection[int]) -> dict[int, Battery]:
    """The batteries of these rounds, in three queries. The order of requests does not matter, their texts do."""
    asked = _requests(rounds)
    judges: dict[int, set[str]] = {}
    for pk, judge in Evaluation.objects.filter(round__in=rounds).order_by().values_list("round", "judge").distinct():
        judges.setdefault(pk, set()).add(judge)
    settings = Round.objects.filter(pk__in=rounds).values_list("pk", "plan__stages__evaluate")
    return {
        pk: Battery(
            requests=asked.get(pk, NOTHING)[0],
            asked=asked.get(pk, NOTHING)[1],
            judges=tuple(sorted(judges.get(pk, ()))),
            settings=json.dumps(found, sort_keys=True),
        )
        for pk, found in settings
    }


def why_not_comparable(one: Battery, other: Battery) -> str:
    """Why rates of the two do not stand for the same thing, as a sentence; empty where they do."""
    if not (one.requests and other.requests):
        return "One of the two kept no answers, so what it was asked is not known."
    if one.requests != other.requests:
        return f"They were asked different requests: {one.asked} and {other.asked}."
    if one.judges != other.judges:
        return f"They were judged by different judges: {_names(one)} and {_names(other)}."
    if one.settings != other.settings:
        return "Their answers were generated with different settings."
    return ""


def _requests(rounds: Collection[int]) -> dict[int, tuple[str, int]]:
    """A digest of what each round asked, and how much that was."""
    request = Concat("label", Value(":"), MD5("prompt"), output_field=TextField())
    rows = Transcript.objects.filter(round__in=rounds).order_by().values("round")
    found = rows.annotate(requests=MD5(StringAgg(request, ",", order_by=request)), asked=Count("pk"))
    return {row["round"]: (row["requests"], row["asked"]) for row in found}


def _names(battery: Battery) -> str:
    return " and ".join(battery.judges) or "nobody"
