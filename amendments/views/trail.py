"""The way through the queue: what stands around a proposal in the list that its reader came by."""

from typing import Any
from urllib.parse import parse_qsl

from amendments.filters import LIST, QueueFilter
from amendments.models import Amendment, AmendmentQuerySet
from amendments.views.queue import titled
from amendments.views.words import STATE_LABELS
from constitution.people import PersonRequest

ABOVE, BELOW = 4, 12


class Trail:
    """The list in which `amendment` is read: what is undecided, narrowed by the filters that the address names."""

    def __init__(self, request: PersonRequest, amendment: Amendment) -> None:
        asked = QueueFilter(dict(parse_qsl(request.GET.get(LIST, ""))), viewer=request.user)
        # What is decided is listed by its date: nothing in it waits to be worked through.
        self.filters = QueueFilter({}, viewer=request.user) if asked.is_decided else asked
        self.amendment = amendment
        self.rows: AmendmentQuerySet = self.filters.qs.exclude(pk=amendment.pk)

    def next_url(self) -> str:
        """Where to go once this one is decided: on, else back; empty where nothing else is in the list."""
        found = self.rows.after(self.amendment).first() or self.rows.ahead_of(self.amendment).first()
        return f"{found.get_absolute_url()}{self.filters.trail}" if found else ""

    def context(self) -> dict[str, Any]:
        """The neighbours, and the list around them, in two queries."""
        above = list(reversed(titled(self.rows.ahead_of(self.amendment))[:ABOVE]))
        below = list(titled(self.rows.after(self.amendment))[:BELOW])
        return {
            "trail": self.filters.trail,
            "trail_query": self.filters.query,
            "above": [self._row(row) for row in above],
            "below": [self._row(row) for row in below],
            "previous_url": self._address(above[-1]) if above else "",
            "next_url": self._address(below[0]) if below else "",
        }

    def _row(self, row: Amendment) -> dict[str, Any]:
        return {
            "url": self._address(row),
            "principle": row.principle_id,
            "title": row.title or "A new clause",  # type: ignore[attr-defined]  # annotated in titled
            "state": row.state,
            "state_label": STATE_LABELS[row.state],
        }

    def _address(self, row: Amendment) -> str:
        """Unlike the one where deciding leads: the browser loads it ahead, so that it may be a little old."""
        trail = self.filters.trail
        return f"{row.get_absolute_url()}{trail}{'&' if trail else '?'}from={self.amendment.pk}"
