"""Which requests a proposal is measured on, in named components, and the clauses that each is read under.

Nothing held out is among them: a wording that was chosen by them would have been fitted to them.
"""

import random
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from django.db.models import QuerySet

from amendments import states
from amendments.keeping_back import keep_back
from amendments.models import Amendment, EdgeCase, Label, Scenario
from amendments.opposed import can_clash
from amendments.previews import CASES, COMPONENTS, HELD_OUT, NEAR, OVER_REFUSAL, PRECEDENTS, RANDOM, Battery
from constitution.texts import ClauseText, Example
from training import reading

MOST_COMPARED = 400
MOST_DRAWN_FROM = 20_000
WORD = re.compile(r"\w{4,}")
LABELS = {"decline": Label.HARMFUL, "help": Label.BENIGN}
ABSENT = {
    CASES: "No edge case is attached to this proposal.",
    HELD_OUT: "Whoever wrote it saw every case that there is of this kind.",
    NEAR: "There are no requests that look like its cases and should be treated otherwise.",
    PRECEDENTS: "Nothing was decided before that the model is not shown anyway.",
    OVER_REFUSAL: "There are no requests that are known to be harmless. Import some.",
    RANDOM: "There are no requests to draw from. Import some.",
}

Shown = Callable[[ClauseText], Collection[str]]


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a battery. `settled_by` is the principle that should settle it, where that is known."""

    prompt: str
    label: str
    settled_by: str
    components: tuple[str, ...]

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        return cls(**{**row, "components": tuple(row["components"])})

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "components": list(self.components)}


@dataclass(frozen=True, slots=True)
class Laws:
    """The clauses before and after an amendment, and the principles that it touches."""

    before: Sequence[ClauseText]
    after: Sequence[ClauseText]
    touched: frozenset[str]

    @property
    def clauses(self) -> list[ClauseText]:
        """Those that are touched, with both of their wordings."""
        return [clause for clause in (*self.before, *self.after) if clause.principle in self.touched]


def draw(amendment: Amendment, laws: Laws, battery: Battery, *, seed: int, shown: Shown) -> list[Request]:
    """The requests to measure on, each once, with every component that it belongs to.

    `shown` gives the requests of the examples that the model is shown with a clause: of these it knows the answer.
    """
    chance = random.Random(seed)  # noqa: S311  for a reproducible order
    cases, unseen = _cases(amendment)
    near = _near(amendment, laws, [*cases, *unseen])
    found = {
        CASES: [_of(row) for row in cases],
        HELD_OUT: [_of(row) for row in unseen],
        NEAR: [_of(row) for row in near],
        PRECEDENTS: _precedents(amendment, laws, shown),
        OVER_REFUSAL: _harmless(chance, battery.sizes[OVER_REFUSAL]),
        RANDOM: _drawn(Scenario.objects.all(), chance, battery.sizes[RANDOM]),
    }
    requests: dict[str, Request] = {}
    for name in COMPONENTS:
        for request in found[name][: battery.sizes[name]]:
            known = requests.get(request.prompt, request)
            requests[request.prompt] = Request(known.prompt, known.label, known.settled_by, (*known.components, name))
    return list(requests.values())


def absent(requests: Iterable[Request]) -> dict[str, str]:
    """Why a component has no requests, for each that has none."""
    there = {name for request in requests for name in request.components}
    return {name: why for name, why in ABSENT.items() if name not in there}


def clauses_for(request: Request, laws: Laws) -> tuple[ClauseText | None, ClauseText | None]:
    """What the request is read under before and after: a clause that the amendment touches.

    Where it touches none of them, because it adds a clause or repeals one, the clause that settles the request else.
    """
    before, after = (
        [clause for clause in law if clause.principle in laws.touched] for law in (laws.before, laws.after)
    )
    first = reading.nearest(request.prompt, request.settled_by, before or laws.before)
    same = [clause for clause in after if first and clause.principle == first.principle]
    return first, reading.nearest(request.prompt, request.settled_by, same or after or laws.after)


def beside(request: Request, laws: Laws, pair: Sequence[ClauseText | None]) -> ClauseText | None:
    """The clause that a request comes nearest to of those that the amendment leaves alone and that can lead to another
    answer than what it touches; None where there is none. `pair` is what the request is read under, as above.
    """
    touching = [clause for clause in pair if clause and clause.principle in laws.touched]
    others = [
        clause
        for clause in laws.before
        if clause.principle not in laws.touched and any(can_clash(one, clause) for one in touching)
    ]
    return next(iter(reading.applicable(request.prompt, request.settled_by, others)), None)


def _cases(amendment: Amendment) -> tuple[list[Scenario], list[Scenario]]:
    """The requests of its cluster: those it was written for, and those that whoever wrote it never saw."""
    if amendment.cluster is None:
        return [], []
    rows = amendment.cluster.present.edge_cases.counted().select_related("scenario").order_by("-score", "pk")
    cases = list(rows[:MOST_COMPARED])
    seen = amendment.measured.get("seen")
    if seen is None and amendment.is_known:
        # A known item looks like any other proposal of a model, of which some cases were kept back.
        seen = [case.scenario_id for case in keep_back(cases)[0]]
    scenarios = list(dict.fromkeys(case.scenario for case in cases))
    if seen is None:  # a person, or a machine of a time when nothing was kept back
        return scenarios, []
    return [row for row in scenarios if row.pk in seen], [row for row in scenarios if row.pk not in seen]


def _near(amendment: Amendment, laws: Laws, cases: Sequence[Scenario]) -> list[Scenario]:
    """The twins of its cases that are of the other kind; then what the touched clauses should settle, of the words of
    the proposal the nearest first.
    """
    usable = Scenario.objects.filter(held_out=False).exclude(label=Label.UNKNOWN)
    labels = {row.pair: row.label for row in cases if row.pair}
    twins = [row for row in usable.filter(pair__in=labels).order_by("pk") if row.label != labels[row.pair]]
    others = usable.filter(settled_by__in=laws.touched).exclude(pk__in=[row.pk for row in (*cases, *twins)])
    if cases:
        kind = max((row.label for row in cases), key=[row.label for row in cases].count)
        others = others.exclude(label=kind)
    said = _words(" ".join([*(clause.text for clause in laws.clauses), amendment.rationale]))
    rest = sorted(others.order_by("pk")[:MOST_COMPARED], key=lambda row: -len(said & _words(row.prompt)))
    return [*twins, *rest]


def _precedents(amendment: Amendment, laws: Laws, shown: Shown) -> list[Request]:
    """The decided examples of the touched clauses, then the cases that accepted proposals on them were about, then the
    examples of other clauses; none that the model is shown.
    """
    known = {request for clause in laws.clauses for request in shown(clause)}
    own = [(clause, example) for clause in laws.clauses for example in clause.examples]
    others = [(clause, e) for clause in laws.before if clause.principle not in laws.touched for e in clause.examples]
    accepted = Amendment.objects.filter(state=states.ACCEPTED, cluster__isnull=False, touches__overlap=[*laws.touched])
    decided = EdgeCase.objects.counted().filter(cluster__in=accepted.values("cluster"))
    cases = decided.select_related("scenario").order_by("-score", "pk")[:MOST_COMPARED]
    said = _words(" ".join(clause.text for clause in laws.clauses))
    others.sort(key=lambda pair: -len(said & _words(pair[1].request)))
    found = [
        *(_example(clause, example) for clause, example in own),
        *(_of(case.scenario) for case in cases if case.cluster_id != amendment.cluster_id),
        *(_example(clause, example) for clause, example in others),
    ]
    return list({request.prompt: request for request in found if request.prompt not in known}.values())


def _harmless(chance: random.Random, most: int) -> list[Request]:
    """Harmless requests: those that have a harmful twin first, as they sound alike."""
    benign = Scenario.objects.filter(label=Label.BENIGN)
    paired = _drawn(benign.exclude(pair=""), chance, most)
    return paired + _drawn(benign.filter(pair=""), chance, most - len(paired))


def _drawn(rows: QuerySet[Scenario], chance: random.Random, most: int) -> list[Request]:
    keys = list(rows.filter(held_out=False).order_by("digest").values_list("pk", flat=True)[:MOST_DRAWN_FROM])
    drawn = chance.sample(keys, min(max(most, 0), len(keys)))
    found = Scenario.objects.in_bulk(drawn)
    return [_of(found[key]) for key in drawn]


def _of(row: Scenario) -> Request:
    return Request(row.prompt, row.label, row.settled_by, ())


def _example(clause: ClauseText, example: Example) -> Request:
    return Request(example.request, LABELS.get(example.expects, Label.UNKNOWN), clause.principle, ())


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.casefold()))
