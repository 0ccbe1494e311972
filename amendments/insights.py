"""How the desk works: what comes in, how long it waits, what is accepted, and whether reviewers agree.

Each table is computed on its own, in a fixed number of queries. Whatever could tell how people vote is counted over
decided proposals alone.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import (
    Aggregate,
    CharField,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    Max,
    OuterRef,
    Q,
    Value,
)
from django.db.models.functions import Concat, Left, Now, TruncDay, TruncWeek
from django.db.models.lookups import IsNull

from amendments import states
from amendments.agreement import Agreement, measure
from amendments.models import Amendment, AmendmentQuerySet, Review, Signal, Verdict
from amendments.producers import JUDGED, judged
from amendments.shares import Share
from constitution.models import Tier

LONGEST = 731  # days
DAILY = 31
MOST_PRODUCERS = 50
IS_ACCEPTED = Q(state=states.ACCEPTED)
TEXT, COUNT, SHARE, HOURS, NUMBER = "text", "count", "share", "hours", "number"

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Period:
    """From the first moment of `first` to the last of `last`, in UTC."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def holds(self, field: str) -> Q:
        start = datetime.combine(self.first, time(), UTC)
        return Q(**{f"{field}__gte": start, f"{field}__lt": start + timedelta(days=self.days)})


@dataclass(frozen=True, slots=True)
class Table:
    """Columns are (label, what is in them); a cell is None where there is nothing to say."""

    title: str
    explanation: str
    columns: tuple[tuple[str, str], ...]
    rows: Sequence[tuple[Cell, ...]]


class Quantile(Aggregate):
    """The value below which `fraction` of the others are; between two, in proportion."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(%(fraction)s) WITHIN GROUP (ORDER BY %(expressions)s)"

    def __init__(self, expression: Any, fraction: float, **extra: Any) -> None:
        super().__init__(expression, fraction=fraction, output_field=DurationField(), **extra)


class Unnest(Func):
    """Every value of an array, a row for each."""

    function = "UNNEST"
    set_returning = True
    output_field = CharField()


def decided(period: Period) -> AmendmentQuerySet:
    """What people decided on one by one in that time."""
    return judged(Amendment.objects.filter(period.holds("decided_at")))


def throughput(period: Period) -> Table:
    """By day, or by week where the time is long."""
    truncated, step = (TruncDay, 1) if period.days <= DAILY else (TruncWeek, 7)
    arrived = Amendment.objects.filter(period.holds("created_at")).on_the_desk()
    came = _by_time(arrived, truncated("created_at"), n=Count("pk"))
    went = _by_time(
        Amendment.objects.decided().filter(period.holds("decided_at")),
        truncated("decided_at"),
        n=Count("pk", filter=Q(state__in=JUDGED, cleared_in=None)),
        accepted=Count("pk", filter=IS_ACCEPTED),
        others=Count("pk", filter=~Q(state__in=JUDGED) | Q(cleared_in__isnull=False)),
    )
    nothing: dict[str, Any] = {}
    rows = [
        (
            day.isoformat(),
            came.get(day, nothing).get("n", 0),
            went.get(day, nothing).get("n", 0),
            went.get(day, nothing).get("accepted", 0),
            went.get(day, nothing).get("others", 0),
        )
        for day in _steps(period, step)
    ]
    return Table(
        "Throughput",
        "Proposals that came in, and those that left. Closed otherwise: withdrawn, obsolete, or rejected together.",
        (
            ("Day" if step == 1 else "Week from", TEXT),
            ("Proposed", COUNT),
            ("Decided", COUNT),
            ("Accepted", COUNT),
            ("Closed otherwise", COUNT),
        ),
        rows,
    )


def still_open(period: Period) -> Table:  # noqa: ARG001  what is open is open now
    """How long what is open now has waited, by tier."""
    age = ExpressionWrapper(Now() - F("created_at"), output_field=DurationField())
    grouped = Amendment.objects.undecided().order_by("tier").values("tier")
    found = grouped.annotate(
        n=Count("pk"),
        week=Count("pk", filter=Q(created_at__lt=Now() - timedelta(days=7))),
        month=Count("pk", filter=Q(created_at__lt=Now() - timedelta(days=30))),
        median=Quantile(age, 0.5),
        oldest=Max(age),
    )
    rows = [
        (_tier(row["tier"]), row["n"], row["week"], row["month"], _hours(row["median"]), _hours(row["oldest"]))
        for row in found
    ]
    columns = (
        ("Tier", TEXT),
        ("Open", COUNT),
        ("Over a week", COUNT),
        ("Over a month", COUNT),
        ("Median age", HOURS),
        ("Oldest", HOURS),
    )
    return Table("Open now", "How long what waits for a decision has waited, whatever period is chosen.", columns, rows)


def time_to_decision(period: Period) -> Table:
    took = ExpressionWrapper(F("decided_at") - F("created_at"), output_field=DurationField())
    wanted = {
        "n": Count("pk"),
        "low": Quantile(took, 0.25),
        "median": Quantile(took, 0.5),
        "high": Quantile(took, 0.75),
    }
    by_tier = decided(period).order_by("tier").values("tier").annotate(**wanted)
    found: list[tuple[str, Mapping[str, Any]]] = [(_tier(row["tier"]), row) for row in by_tier]
    if found:
        found.append(("All", decided(period).aggregate(**wanted)))
    rows = [(name, row["n"], *(_hours(row[part]) for part in ("low", "median", "high"))) for name, row in found]
    columns = (("Tier", TEXT), ("Decided", COUNT), ("Quartile", HOURS), ("Median", HOURS), ("Third quartile", HOURS))
    return Table("Time to decision", "From the proposal to what people decided on it.", columns, rows)


def acceptance(period: Period) -> Table:
    """The share that people accepted, by what and by whom."""
    who = {True: "people", False: "models"}
    groups: list[tuple[str, Any, Callable[[Any], str]]] = [
        ("Tier", F("tier"), _tier),
        ("Proposed by", IsNull(F("producer"), True), who.__getitem__),
        ("Signal", F("signal"), lambda signal: Signal(signal).label if signal else "none"),
        ("What it does", Unnest("kinds"), str),
    ]
    rows = [row for what, by, name in groups for row in _shares(what, decided(period), by, name)]
    producer = Concat(F("producer__model"), Value(" · "), Left("producer__checkpoint", 8))
    machines = decided(period).filter(producer__isnull=False)
    rows += _shares("Producer", machines, producer, str)[:MOST_PRODUCERS]
    columns = (
        ("By", TEXT),
        ("Which", TEXT),
        ("Decided", COUNT),
        ("Accepted", COUNT),
        ("Share", SHARE),
        ("From", SHARE),
        ("To", SHARE),
    )
    explanation = (
        "Of what people decided on one by one, with Wilson's 95 % interval. A proposal that does several things "
        "counts for each."
    )
    return Table("Acceptance", explanation, columns, rows)


def votes(period: Period) -> Table:
    """How much deciding an accepted amendment takes, and what should not happen."""
    rows = decided(period)
    accepted = rows.filter(IS_ACCEPTED).count()
    cast = Review.objects.filter(amendment__in=rows.values("pk")).aggregate(
        all=Count("pk"),
        accepted=Count("pk", filter=Q(amendment__state=states.ACCEPTED)),
        changed=Count("pk", filter=~Q(first_verdict=F("verdict"))),
    )
    own = Review.objects.filter(
        amendment=OuterRef("pk"), reviewer=OuterRef("author"), verdict=Verdict.APPROVE, digest=OuterRef("digest")
    )
    approved_own = rows.filter(IS_ACCEPTED).filter(Exists(own) | Q(decided_by=F("author"))).count()
    found: list[tuple[Cell, ...]] = [
        ("Accepted amendments", accepted),
        ("Votes on what was accepted", cast["accepted"]),
        ("Votes on all that was decided", cast["all"]),
        ("Votes for each accepted amendment", round(cast["all"] / accepted, 2) if accepted else None),
        ("Votes changed after they counted", cast["changed"]),
        ("Accepted by who proposed it (should be none)", approved_own),
    ]
    return Table("Votes", "Votes on proposals that are decided.", (("What", TEXT), ("How many", NUMBER)), found)


def agreement(period: Period) -> Table:
    found = agreement_of(period)
    row = ("Reviewers", found.n, found.alpha, found.low, found.high, found.draws)
    columns = (
        ("Between", TEXT),
        ("Proposals", COUNT),
        ("Alpha", NUMBER),
        ("From", NUMBER),
        ("To", NUMBER),
        ("Draws", COUNT),
    )
    explanation = "Krippendorff's alpha of the first votes on the same text: 1 is agreement, 0 is chance."
    return Table("Agreement", explanation, columns, [row])


def agreement_of(period: Period) -> Agreement:
    """Of the votes that reviewers cast first, on the very text that was then decided on."""
    rows = Review.objects.filter(amendment__in=decided(period).values("pk"), digest=F("amendment__digest"))
    counts = {verdict.name: Count("pk", filter=Q(first_verdict=verdict)) for verdict in Verdict}
    by_proposal = rows.order_by("amendment").values("amendment").annotate(**counts)
    return measure(Counter(by_proposal.values_list(*counts).iterator()))


TABLES: dict[str, Callable[[Period], Table]] = {
    "throughput": throughput,
    "open": still_open,
    "time": time_to_decision,
    "acceptance": acceptance,
    "votes": votes,
    "agreement": agreement,
}


def _by_time(rows: AmendmentQuerySet, step: Any, **counts: Any) -> dict[date, dict[str, Any]]:
    found = rows.annotate(step=step).order_by("step").values("step").annotate(**counts)
    return {row["step"].date(): dict(row) for row in found}


def _steps(period: Period, days: int) -> Iterable[date]:
    """The days, or the Mondays, that the period touches."""
    day = period.first - timedelta(days=period.first.weekday()) if days > 1 else period.first
    while day <= period.last:
        yield day
        day += timedelta(days=days)


def _shares(what: str, rows: AmendmentQuerySet, by: Any, name: Callable[[Any], str]) -> list[tuple[Cell, ...]]:
    """One row for each group, the largest first."""
    grouped = rows.annotate(group=by).order_by("group").values("group")
    found = grouped.annotate(n=Count("pk"), k=Count("pk", filter=IS_ACCEPTED)).values_list("group", "k", "n")
    ordered = sorted(found, key=lambda row: -row[2])
    return [(what, name(group), n, k, k / n, *Share(k, n).interval) for group, k, n in ordered]


def _tier(tier: int) -> str:
    return str(Tier(tier).label)


def _hours(took: timedelta | None) -> float | None:
    return None if took is None else took.total_seconds() / 3600
