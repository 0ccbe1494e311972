"""How far previews can be read as forecasts: of the changes that rounds brought, the share inside what was foretold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from amendments.models import Realised
from amendments.shares import Share
from training.realised.running import BASE, MEASURES, PREVIOUS

# Of so many of the newest comparisons; so that the page costs the same after years.
MOST_COUNTED = 400
MOST_ROUNDS = 12
STARTS = (BASE, PREVIOUS)


@dataclass(frozen=True, slots=True)
class Tally:
    """Of the changes in one measure since one start, how many lie inside what was foretold."""

    measure: str
    start: str
    share: Share


def newest() -> list[Realised]:
    """The finished comparisons that are counted, the newest first, each with its run."""
    rows = Realised.objects.filter(finished_at__isnull=False).select_related("run", "version")
    return list(rows.order_by("-finished_at", "-pk")[:MOST_COUNTED])


def tallies(found: Iterable[Realised]) -> list[Tally]:
    """One for each measure and start, also where there is nothing to count."""
    rows = [row for realised in found for row in (realised.result or {})["components"]]
    return [
        Tally(measure, start, _share(row["against"].get(start, {}).get(measure) for row in rows))
        for measure in MEASURES
        for start in STARTS
    ]


def by_component(found: Sequence[Realised], measure: str, start: str) -> dict[str, Share]:
    """The same tally by part of the battery."""
    rows = [row for realised in found for row in (realised.result or {})["components"]]
    names = dict.fromkeys(row["name"] for row in rows)
    return {
        name: _share(row["against"].get(start, {}).get(measure) for row in rows if row["name"] == name)
        for name in names
    }


def by_round(found: Sequence[Realised]) -> list[tuple[Realised, list[Tally]]]:
    """For each of the newest rounds one of its comparisons and its tallies, the oldest round first."""
    ordered = sorted(found, key=lambda row: row.run.round_id)
    rounds = [list(rows) for _, rows in groupby(ordered, key=lambda row: row.run.round_id)]
    return [(rows[0], tallies(rows)) for rows in rounds[-MOST_ROUNDS:]]


def _share(changes: Iterable[dict[str, object] | None]) -> Share:
    known = [change["is_inside"] for change in changes if change and change["is_inside"] is not None]
    return Share(sum(bool(is_inside) for is_inside in known), len(known))
