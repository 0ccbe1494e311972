"""What became of what a producer proposed: how much was accepted, after how much editing, and why the rest was not.

All of it is of decided proposals, so it tells nobody how a vote stands.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import quantiles
from typing import Any

from django.db.models import Case, CharField, Count, F, Max, Min, Q, QuerySet, Value, When
from django.db.models.functions import TruncWeek

from amendments import states
from amendments.models import Amendment, AmendmentQuerySet, Producer, Revision
from amendments.producers import JUDGED, judged
from amendments.shares import Share
from constitution.diffs import redline

# Of so many of the newest ones that were edited before they were accepted, it is counted how much.
MOST_COMPARED = 500
MOST_WEEKS = 26
TEXTS = ("text", "request", "right", "wrong")  # where operations hold what people read
OTHER_REASON = "In other words"
IS_JUDGED = Q(state__in=JUDGED, cleared_in=None, known_verdict="")
IS_ACCEPTED = Q(state=states.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """`share` is of what people decided one by one; `cleared` were rejected together, `obsolete` closed themselves."""

    share: Share
    by_state: dict[str, int]
    as_written: int
    cleared: int
    first: datetime | None
    last: datetime | None

    @property
    def edited(self) -> int:
        return self.share.k - self.as_written

    @property
    def obsolete(self) -> int:
        return self.by_state.get(states.OBSOLETE, 0)


@dataclass(frozen=True, slots=True)
class Spread:
    """Quartiles of `n` values."""

    low: float
    median: float
    high: float
    n: int


def of_producer(producer: Producer) -> Acceptance:
    rows = Amendment.objects.filter(producer=producer).on_the_desk()
    found = rows.aggregate(
        n=Count("pk", filter=IS_JUDGED),
        cleared=Count("cleared_in"),
        first=Min("created_at"),
        last=Max("created_at"),
    )
    by_state = dict(rows.order_by("state").values_list("state").annotate(n=Count("pk")))
    return Acceptance(
        share=Share(by_state.get(states.ACCEPTED, 0), found["n"]),
        by_state=by_state,
        as_written=_as_written(rows).count(),
        cleared=found["cleared"],
        first=found["first"],
        last=found["last"],
    )


def of_producers(producers: Iterable[Producer]) -> dict[int, dict[str, Any]]:
    """For each that proposed anything: `open`, `k` of `n` accepted, and `last`, in one query."""
    rows = Amendment.objects.filter(producer__in=list(producers)).on_the_desk().order_by("producer").values("producer")
    counted = rows.annotate(
        open=Count("pk", filter=Q(decided_at=None)),
        n=Count("pk", filter=IS_JUDGED),
        k=Count("pk", filter=IS_ACCEPTED),
        last=Max("created_at"),
    )
    return {row["producer"]: dict(row) for row in counted}


def edits(producer: Producer) -> Spread | None:
    """How much of the text people changed before they accepted it, where they changed any."""
    accepted = Amendment.objects.filter(IS_ACCEPTED, producer=producer)
    edited = accepted.exclude(pk__in=_as_written(accepted).values("pk")).order_by("-decided_at", "-pk")
    wanted = Q(number=1) | Q(digest=F("amendment__digest"))
    revisions = Revision.objects.filter(wanted, amendment__in=edited.values("pk")[:MOST_COMPARED])
    texts: dict[int, list[str]] = {}
    for revision in revisions.order_by("amendment", "number"):
        texts.setdefault(revision.amendment_id, []).append(_text(revision))
    return spread([words_changed(found[0], found[-1]) for found in texts.values()])


def words_changed(before: str, after: str) -> float:
    """The words that came or went, as a share of the words of both texts: 0 is as written, 1 nothing in common."""
    total = _words(before) + _words(after)
    changed = sum(_words(part.text) for part in redline(before, after) if part.kind in ("ins", "del"))
    return changed / total if total else 0.0


def spread(values: Sequence[float]) -> Spread | None:
    """None where there is nothing."""
    if not values:
        return None
    low, median, high = quantiles([*values], n=4, method="inclusive") if len(values) > 1 else 3 * [values[0]]
    return Spread(low, median, high, len(values))


def reasons(producer: Producer, canned: Sequence[str]) -> list[tuple[str, int]]:
    """Why it was rejected, the most frequent first; a reason that begins with none of the `canned` ones is another."""
    cases = [When(reason__startswith=sentence, then=Value(sentence)) for sentence in canned]
    label = Case(*cases, default=Value(OTHER_REASON), output_field=CharField())
    rows = judged(Amendment.objects.filter(producer=producer)).filter(state=states.REJECTED)
    found = rows.annotate(label=label).order_by().values_list("label").annotate(n=Count("pk"))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def weeks(producer: Producer) -> list[tuple[datetime, int, int]]:
    """(its Monday, accepted, decided) of the newest weeks in which people decided on any, the oldest first."""
    rows = judged(Amendment.objects.filter(producer=producer))
    counted: QuerySet[Amendment, tuple[datetime, int, int]] = (
        rows.annotate(week=TruncWeek("decided_at"))
        .values_list("week")
        .annotate(k=Count("pk", filter=IS_ACCEPTED), n=Count("pk"))
        .order_by("-week")
    )
    return list(counted[:MOST_WEEKS])[::-1]


def _as_written(rows: AmendmentQuerySet) -> AmendmentQuerySet:
    """Those accepted with the very content that was proposed."""
    return rows.filter(IS_ACCEPTED, revisions__number=1, revisions__digest=F("digest"))


def _text(revision: Revision) -> str:
    """All that it would put into the law: wordings, and decided examples with their answers."""
    return "\n".join(_texts(revision.operations))


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, list):
        for part in content:
            yield from _texts(part)
    elif isinstance(content, dict):
        for name in sorted(content):
            yield from [content[name]] if name in TEXTS else _texts(content[name])


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))
