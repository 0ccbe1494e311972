"""Each measure over the versions that were trained on."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from config.http import render_page
from training import batteries
from training.batteries import Battery
from training.models import Arm, LookState, Round
from training.registry import rates
from training.states import DONE
from training.views import plots, report, words

MOST = 40
HEIGHT = 220
LINES = (plots.Line("zero", 0, "0 %"), plots.Line("middle", 50, "50 %"), plots.Line("top", 100, "100 %"))


@require_safe
def show(request: HttpRequest) -> HttpResponse:
    found = Round.objects.filter(state=DONE).select_related("version").prefetch_related("evaluations")
    found = found.annotate(**words.SETTINGS).defer("plan", "data_card", "result").order_by("-version__number", "-pk")
    rounds = list(found[:MOST])[::-1]
    asked = batteries.of([round_.pk for round_ in rounds])
    context = {
        "measures": [
            measure for name, label in words.MEASURE_LABELS.items() if (measure := _measure(name, label, rounds, asked))
        ],
        "most": MOST if len(rounds) == MOST else 0,
    }
    return render_page(request, "training/trends_page.html", context)


def _measure(name: str, label: str, rounds: Sequence[Round], asked: Mapping[int, Battery]) -> dict[str, Any] | None:
    """One chart and its table; None where nothing took this measure."""
    rows = [_row(name, round_) for round_ in rounds]
    measured = [row for row in rows if row["after"]]
    if not measured:
        return None
    for was, now in pairwise(measured):
        now["why_not"] = batteries.why_not_comparable(asked[was["round"]], asked[now["round"]])
    marks = [_mark(row) for row in measured]
    return {
        "name": name,
        "label": label,
        "plot": plots.draw(marks, LINES, plots.scale((0, 100)), height=HEIGHT),
        "rows": measured,
    }


def _row(name: str, round_: Any) -> dict[str, Any]:
    found = rates(round_.evaluations.all())
    before, after = (found.get((name, arm)) for arm in (Arm.REFERENCE, Arm.TRAINED))
    return {
        "round": round_.pk,
        "version": round_.version.number,
        "before": report.arm(before) if before else None,
        "after": report.arm(after) if after else None,
        "is_certified": after is not None and after.can_certify,
        "is_own": bool(round_.overrides),
        "trained_as": words.trained_as(round_.preset, round_.overrides),
        "why_not": "",
    }


def _mark(row: Mapping[str, Any]) -> plots.Mark:
    after = row["after"]
    own = f", {row['trained_as']}" if row["is_own"] else ""
    unsure = "" if row["is_certified"] else ", not certified: too many unscored"
    return plots.Mark(
        label=str(row["version"]),
        value=after["rate"],
        low=after["low"],
        high=after["high"],
        text=f"Version {row['version']}, round {row['round']}: {after['rate']:.0f} %, "
        f"{after['low']:.0f} to {after['high']:.0f}, n = {after['n']}{unsure}{own}",
        url=reverse("training:round-detail", args=[row["round"]]),
        kind=LookState.OK.value if row["is_certified"] else LookState.WARN.value,
        joined=not row["why_not"],
    )
