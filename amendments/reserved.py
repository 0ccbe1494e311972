"""What nothing trains or proposes on: scenarios held out, and the prompts of registered evaluation sets."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from amendments.likeness import Entry, Index, Sketch, sketch
from amendments.models import EvaluationPrompt, Scenario

# Whose a reserved text is, as the sentence of a reason ends.
HELD_OUT = "what is held out"
CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a text is not trained on, in words for a data card, and how alike it is."""

    sentence: str
    share: float


class Reserved:
    """What nothing trains on: scenarios held out, and registered sets. Ask it about a text."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._index = Index(entries)

    def __len__(self) -> int:
        return len(self._index)

    def why(self, text: str, label: str = "") -> Reason | None:
        """Why this text is kept out, or None: it says the same as a reserved one, or nearly the same."""
        found = self._index.nearest(sketch(text), label=label)
        if found is None:
            return None
        how = "stands in" if found.is_same else "nearly the same as one of"
        return Reason(f"{how} {found.entry.owner}", found.share)


def held_out_entries(scenarios: Iterable[Scenario]) -> Iterator[Entry]:
    """Those of some scenarios that are held out, as entries of an index."""
    return (Entry(sketch(row.prompt), row.label, HELD_OUT) for row in scenarios if row.held_out)


def registered_entries(*, since: datetime | None = None) -> Iterator[Entry]:
    """The prompts of all sets that are registered (`since` then) and not retired, as entries of an index. Streams."""
    rows = EvaluationPrompt.objects.filter(set__retired_at=None).order_by("pk")
    if since:
        rows = rows.filter(set__registered_at__gte=since)
    fields = ("digest", "marks", "label", "set__name")
    for found, marks, label, name in rows.values_list(*fields).iterator(chunk_size=CHUNK):
        yield Entry(Sketch(found, bytes(marks)), label, f"the evaluation set {name}")


def reserved() -> Reserved:
    """All that is reserved now: every scenario held out, and every registered set."""
    rows = Scenario.objects.filter(held_out=True).order_by("pk").iterator(chunk_size=CHUNK)
    return Reserved([*held_out_entries(rows), *registered_entries()])
