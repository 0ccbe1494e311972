"""Which version made it worse. What is known so far stands in the address, so a search can be kept and passed on."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from config.http import number_in
from constitution.bisection import Search, Value, Verdict, judge, narrowed
from constitution.blame import sources
from constitution.models import Constitution
from constitution.views import documents
from constitution.views.history.parts import lines_of, tabs

LISTED = 40  # versions that are listed one by one; of more, those that were measured
LINES = 12
VERDICTS = {"good": "good", "bad": "bad", "unsure": "cannot be told from the limit", "": ""}


class Question(NamedTuple):
    """What the address says: the search, and the measure with the limit (a percent) from which on it is bad."""

    search: Search
    measure: str
    limit: float | None
    worse_above: bool


class Measured(NamedTuple):
    """One measure of the model that a round on a version ended with."""

    measure: str
    value: Value
    n: int
    unscored: int
    round_pk: int


@require_safe
def show(request: HttpRequest, slug: str = "") -> HttpResponse:
    constitution = documents.find(slug)
    newest = constitution.versions.newest()
    head_number = newest.number if newest else 0
    question = _question(request, head_number)
    refusal = _refusal(request, question.search, head_number)
    context = {
        "constitution": constitution,
        "tabs": tabs(constitution, "bisect"),
        "head_number": head_number,
        "fields": _fields(request, question, head_number),
        "refusal": refusal,
        "is_asked": "good" in request.GET and not refusal,
        "can_ask": head_number > 1,
        **(_progress(constitution, question) if not refusal and head_number > 1 else {"measures": []}),
    }
    return render(request, "constitution/bisect_page.html", context, status=422 if refusal else 200)


def _question(request: HttpRequest, head_number: int) -> Question:
    get = request.GET.get
    skipped = frozenset(
        number for raw in get("skip", "").split(",") if (number := number_in(raw, digits=9)) is not None
    )
    good, bad = number_in(get("good", "1"), digits=9) or 0, number_in(get("bad", str(head_number)), digits=9) or 0
    return Question(Search(good, bad, skipped), get("measure", ""), _percent(get("limit", "")), get("worse") != "below")


def _percent(raw: str) -> float | None:
    try:
        number = float(raw)
    except ValueError:
        return None
    return number if 0 <= number <= 100 else None


def _refusal(request: HttpRequest, search: Search, head_number: int) -> str:
    if head_number > 1 and not 1 <= search.good < search.bad <= head_number:
        return f"Give a good version and a later bad one, from 1 to {head_number}."
    if raw := request.GET.get("limit", ""):
        return "" if _percent(raw) is not None else f"{raw[:40]} is not a percentage from 0 to 100."
    return ""


def _fields(request: HttpRequest, question: Question, head_number: int) -> dict[str, Any]:
    """What stands in the form: what was written, or a beginning."""
    return {
        "good": request.GET.get("good", "1"),
        "bad": request.GET.get("bad", str(head_number)),
        "limit": request.GET.get("limit", ""),
        "measure": question.measure,
        "worse": "above" if question.worse_above else "below",
    }


def _progress(constitution: Constitution, question: Question) -> dict[str, Any]:
    """Where the search stands, what was measured on the way, and what to look at next."""
    search = question.search
    rows = _measured(constitution, search)
    measures = sorted({row.measure for row in rows})
    chosen = question.measure if question.measure in measures else next(iter(measures), "")
    values = {row.value.number: row for row in rows if row.measure == chosen}
    verdicts = {number: _verdict(row.value, question) for number, row in values.items()}
    next_search = narrowed(search, [(number, verdict) for number, verdict in verdicts.items() if verdict])
    middle = search.middle
    suspects = [] if middle else list(search.suspects)
    shown = [middle] if middle else suspects[:LISTED]
    return {
        "search": search,
        "middle": middle,
        "is_single": len(suspects) == 1,
        "suspects": _versions(constitution, shown),
        "suspect_count": len(suspects),
        "measures": [{"value": name, "label": _label(name), "is_chosen": name == chosen} for name in measures],
        "measure_label": _label(chosen),
        "table": _table(constitution, search, values, verdicts),
        "unmeasured_count": search.bad - search.good + 1 - len(values),
        "narrowed": {
            "good": next_search.good,
            "bad": next_search.bad,
            "url": _address(question, next_search, chosen),
        }
        if next_search != search
        else None,
        **_answers(question, middle, chosen),
    }


def _verdict(value: Value, question: Question) -> Verdict | None:
    if question.limit is None:
        return None
    return judge(value, question.limit / 100, worse_above=question.worse_above)


def _measured(constitution: Constitution, search: Search) -> list[Measured]:
    """What the newest round on each version measured of the model that it trained. One query.

    Rounds and evaluations belong to the rooms above: only the way back to them, by its name, is used here.
    """
    names = ("measure", "k", "n", "low", "high", "unscored")
    rows = (
        constitution.versions.filter(number__range=(search.good, search.bad), rounds__evaluations__arm="trained")
        .order_by("number", "rounds__pk")
        .values_list("number", "rounds__pk", *(f"rounds__evaluations__{name}" for name in names))
    )
    newest = {
        (number, measure): Measured(measure, Value(number, k / n, low, high), n, unscored, round_pk)
        for number, round_pk, measure, k, n, low, high, unscored in rows
    }
    return list(newest.values())


def _label(measure: str) -> str:
    return measure.replace("_", " ").capitalize()


def _table(
    constitution: Constitution, search: Search, values: dict[int, Measured], verdicts: dict[int, Verdict | None]
) -> list[dict[str, Any]]:
    """Every version of the range, or, where they are many, those that were measured."""
    is_short = search.bad - search.good < LISTED
    numbers: Iterable[int] = range(search.good, search.bad + 1) if is_short else sorted(values)[:LISTED]
    return [_row(constitution, number, values.get(number), verdicts.get(number)) for number in numbers]


def _row(constitution: Constitution, number: int, measured: Measured | None, verdict: Verdict | None) -> dict[str, Any]:
    return {
        "number": number,
        "url": documents.url(constitution, "version-detail", number=number),
        "measured": measured,
        "percents": [100 * share for share in measured.value[1:]] if measured else [],
        "verdict": VERDICTS[verdict or ""],
    }


def _versions(constitution: Constitution, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """The versions themselves: what changed in each, and what was behind it. A constant number of queries."""
    versions = list(constitution.versions.filter(number__in=numbers).order_by("number"))
    lines, known = lines_of(versions), sources(constitution, numbers)
    return [
        {
            "number": version.number,
            "url": documents.url(constitution, "version-detail", number=version.number),
            "compare_url": documents.url(constitution, "compare", old=version.number - 1, new=version.number),
            "source": known[version.number],
            "changes": lines[version.pk][:LINES],
            "more_count": max(0, len(lines[version.pk]) - LINES),
        }
        for version in versions
    ]


def _answers(question: Question, middle: int | None, measure: str) -> dict[str, str]:
    """Where each answer about the version in the middle leads."""
    if middle is None:
        return {"good_url": "", "bad_url": "", "skip_url": ""}
    search = question.search
    return {
        "good_url": _address(question, Search(middle, search.bad, search.skipped), measure),
        "bad_url": _address(question, Search(search.good, middle, search.skipped), measure),
        "skip_url": _address(question, Search(search.good, search.bad, search.skipped | {middle}), measure),
    }


def _address(question: Question, search: Search, measure: str) -> str:
    skipped = sorted(number for number in search.skipped if search.good < number < search.bad)
    said: dict[str, str | int] = {
        "good": search.good,
        "bad": search.bad,
        "skip": ",".join(map(str, skipped)),
        "measure": measure,
        "limit": "" if question.limit is None else f"{question.limit:g}",
        "worse": "above" if question.worse_above else "below",
    }
    return "?" + urlencode({name: value for name, value in said.items() if value != ""})
