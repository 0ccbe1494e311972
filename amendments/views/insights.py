"""How the desk works, for a chosen time: tables, drawings of two of them, and each table for spreadsheets."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from amendments import agreement, calibration, insights
from amendments.insights import Cell, Period, Table
from amendments.views import bars
from amendments.views import calibration as known
from config.http import render_page
from constitution.exporting.tables import line
from constitution.people import PersonRequest

TABLES = {**insights.TABLES, "score": calibration.score}
USUAL_DAYS = 30
PRESETS = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "A year"))
LONG_IN_HOURS = 48
MISSING = "–"


@require_safe
def show(request: PersonRequest) -> HttpResponse:
    period, problem = _period(request)
    tables = {name: table(period) for name, table in TABLES.items() if name != "agreement"}
    query = urlencode({"from": period.first, "to": period.last})
    context = {
        "period": period,
        "problem": problem,
        "presets": [_preset(days, label, period) for days, label in PRESETS],
        "tables": [{"name": name, "csv": f"{name}.csv?{query}", **_shown(table)} for name, table in tables.items()],
        "drawing": bars.pairs([(str(row[0]), _int(row[1]), _int(row[2])) for row in tables["throughput"].rows]),
        "acceptance": _intervals(tables["acceptance"]),
        "agreement": insights.agreement_of(period),
        "agreement_csv": f"agreement.csv?{query}",
        "seed": agreement.SEED,
        "draws": agreement.DRAWS,
        "fewest": agreement.FEWEST,
        **known.context(request.user),
    }
    return render_page(request, "amendments/insights_page.html", context, status=422 if problem else 200)


@require_safe
def table(request: PersonRequest, table: str) -> HttpResponse:
    """One table as csv. It is a few hundred lines at most, so it is sent whole."""
    period, problem = _period(request)
    if table not in TABLES or problem:
        raise Http404(problem or "There is no such table.")
    found = TABLES[table](period)
    lines = [line(label if kind != insights.HOURS else f"{label} (hours)" for label, kind in found.columns)]
    lines += [line(_written(cell) for cell in row) for row in found.rows]
    name = f"ratify-{table}-{period.first}-{period.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _period(request: PersonRequest) -> tuple[Period, str]:
    """The time that is asked for; where it makes no sense the usual one, and the sentence that says so."""
    today = timezone.localdate()
    usual = Period(today - timedelta(days=USUAL_DAYS - 1), today)
    if not {"from", "to"} & request.GET.keys():
        return usual, ""
    try:
        asked = Period(*(date.fromisoformat(request.GET.get(name, "")) for name in ("from", "to")))
    except ValueError:
        return usual, "Choose two days, such as 2026-01-31. These are the last 30 days."
    if not 1 <= asked.days <= insights.LONGEST or asked.last == date.max:
        return usual, "The second day comes after the first, two years later at most. These are the last 30 days."
    return asked, ""


def _preset(days: int, label: str, period: Period) -> dict[str, Any]:
    today = timezone.localdate()
    first = today - timedelta(days=days - 1)
    chosen = Period(first, today)
    return {"label": label, "url": f"?{urlencode({'from': first, 'to': today})}", "is_chosen": chosen == period}


def _shown(table: Table) -> dict[str, Any]:
    kinds = [kind for _, kind in table.columns]
    return {
        "title": table.title,
        "explanation": table.explanation,
        "columns": [(label, kind != insights.TEXT) for label, kind in table.columns],
        "rows": [
            [(_words(cell, kind), kind != insights.TEXT) for cell, kind in zip(row, kinds, strict=True)]
            for row in table.rows
        ],
    }


def _words(cell: Cell, kind: str) -> str:
    """A cell as people read it."""
    return MISSING if cell is None else WORDS[kind](cell)


def _duration(hours: Any) -> str:
    return f"{hours:.1f} h" if hours < LONG_IN_HOURS else f"{hours / 24:.1f} days"


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"


WORDS: dict[str, Callable[[Any], str]] = {
    insights.TEXT: str,
    insights.COUNT: "{:,}".format,
    insights.NUMBER: _number,
    insights.SHARE: lambda share: f"{100 * share:.0f} %",
    insights.HOURS: _duration,
}


def _written(cell: Cell) -> str:
    """A cell for a spreadsheet: numbers as they are, nothing where there is none."""
    if cell is None:
        return ""
    return f"{cell:.4f}" if isinstance(cell, float) else str(cell)


def _intervals(table: Table) -> list[dict[str, Any]]:
    """A drawing for each thing that acceptance is told by."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for what, which, n, _, share, low, high in table.rows:
        place = {name: 100 * float(value or 0) for name, value in (("rate", share), ("low", low), ("high", high))}
        groups.setdefault(str(what), []).append({"arm": "trained", "label": f"{which} (n = {n})", **place})
    return [{"label": what, "direction": "accepted", "arms": arms} for what, arms in groups.items()]


def _int(cell: Cell) -> int:
    return int(cell or 0)
