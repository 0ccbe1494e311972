"""A deeper look, in idle time, at what a finished reading read: more signals, and which of them are worth anything.

It may be left or killed at any moment: what was looked at is not looked at again, and nothing is made of it before all
of it is there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from amendments.joining import Newcomer, place, unpack
from amendments.models import EdgeCase, Label, Producer, Scenario, Signal
from config.live import publish as announce
from constitution import ledger
from constitution.models import Tier
from constitution.resolution import in_force
from constitution.texts import ClauseText
from training import reading
from training.actions import WORKER
from training.models import SurfacingRun
from training.signal_records import Part, SignalCard, SignalReading
from training.states import DONE

MOST_SAMPLED, MOST_SETTLED, MOST_HARD = 40, 60, 60
BATCH = 16
# A batch takes less; a look that fails is not begun again at every tick.
RESTS_AFTER = timedelta(minutes=2)
# The reading itself files what these show, with the answers that the model wrote.
READ_BEFORE = (Signal.OVER_REFUSAL, Signal.CONFLICT)


@dataclass(frozen=True, slots=True)
class Question:
    """A request to look at, under the clauses that apply, the most applicable first."""

    part: Part
    digest: str
    prompt: str
    label: str
    clauses: tuple[ClauseText, ...]
    scenario: int | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """Its signals from 0 to 1, and why others could not be had."""

    question: Question
    signals: Mapping[str, float]
    unscored: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Engine:
    """What the gpu worker lends. `check` takes a signal's values on settled and on hard requests and gives the fields
    of a SignalCard; `standing_out` says which values are beyond what settled requests show; `shown` which decided
    requests a clause's prompt contains; `embed` gives directions of the kind `embedding`, packed; `lacking` says of
    signals why they cannot be had at all."""

    model: str
    checkpoint: str
    prompts: str
    embedding: str
    signals: tuple[str, ...]
    look: Callable[[Sequence[Question]], Iterator[Looked]]
    check: Callable[[Sequence[float | None], Sequence[float | None]], dict[str, Any]]
    standing_out: Callable[[Sequence[float], Sequence[float]], list[bool]]
    shown: Callable[[ClauseText], set[str]]
    embed: Callable[[Sequence[str]], list[bytes]]
    lacking: Mapping[str, str] = field(default_factory=dict)


def waiting() -> SurfacingRun | None:
    """The newest finished reading, where nobody has looked deeper yet."""
    newest = SurfacingRun.objects.select_related("version").filter(state=DONE).order_by("-pk").first()
    if newest is None or not newest.readings.exists() or newest.signal_cards.exists():
        return None
    return newest


def is_left() -> bool:
    """Whether a deeper look rests: nobody began it, or whoever did is gone."""
    run = waiting()
    if run is None:
        return False
    newest = run.signal_readings.aggregate(at=Max("created_at"))["at"] or run.finished_at
    return newest is None or newest < timezone.now() - RESTS_AFTER


def look(run: SurfacingRun, engine: Engine, *, is_to_stop: Callable[[], bool]) -> bool:
    """Look at all that is left of a reading and conclude; False where it was stopped before."""
    known = set(run.signal_readings.values_list("part", "digest"))
    left = [one for one in questions(run, engine) if (one.part, one.digest) not in known]
    found = engine.look(left)
    while batch := list(islice(found, BATCH)):
        SignalReading.objects.bulk_create([_row(run, one) for one in batch], ignore_conflicts=True)
        if is_to_stop():
            return False
    conclude(run, engine)
    return True


def questions(run: SurfacingRun, engine: Engine) -> list[Question]:
    """A bounded sample of what was read, requests that are plainly settled, and held-out twins, known to be hard."""
    clauses = run.version.texts()
    read = Scenario.objects.filter(readings__run=run).order_by("readings__pk")[:MOST_SAMPLED]
    sample = [_of(Part.SAMPLE, row, clauses) for row in read]
    seen = {one.prompt for one in sample}
    style = [clause.principle for clause in clauses if Tier(clause.tier) == Tier.STYLE]
    ordinary = Scenario.objects.filter(held_out=False, label=Label.BENIGN, pair="", settled_by__in=style)
    settled = [*_examples(clauses, engine), *(_of(Part.SETTLED, row, clauses) for row in ordinary.order_by("digest"))]
    twins = Scenario.objects.filter(held_out=True).exclude(pair="").exclude(label=Label.UNKNOWN).order_by("digest")
    hard = [_of(Part.HARD, row, clauses) for row in twins[:MOST_HARD]]
    return [*sample, *[one for one in settled if one.prompt not in seen][:MOST_SETTLED], *hard]


def _examples(clauses: Sequence[ClauseText], engine: Engine) -> Iterator[Question]:
    """Decided requests that are not in the prompt of their own clause, where the answer could be copied."""
    for clause in clauses:
        shown = engine.shown(clause)
        for example in clause.examples:
            if Tier(clause.tier) != Tier.STYLE and example.request not in shown:
                under = tuple(reading.applicable(example.request, clause.principle, clauses))
                label = Label.HARMFUL if example.expects == "decline" else Label.BENIGN
                yield Question(Part.SETTLED, reading.digest_of(example.request), example.request, label, under)


def _of(part: Part, row: Scenario, clauses: Sequence[ClauseText]) -> Question:
    under = tuple(reading.applicable(row.prompt, row.settled_by, in_force(clauses, row.context)))
    return Question(part, row.digest, row.prompt, row.label, under, row.pk)


def _row(run: SurfacingRun, one: Looked) -> SignalReading:
    asked = one.question
    return SignalReading(
        run=run,
        part=asked.part,
        digest=asked.digest,
        scenario_id=asked.scenario,
        principle=asked.clauses[0].principle if asked.clauses else "",
        signals=dict(one.signals),
        unscored=dict(one.unscored),
    )


@transaction.atomic
def conclude(run: SurfacingRun, engine: Engine) -> None:
    """Measure each signal, and keep as edge cases what stands out by one that was kept. Once, or not at all."""
    SurfacingRun.objects.select_for_update().get(pk=run.pk)
    if run.signal_cards.exists():
        return
    rows: dict[str, list[SignalReading]] = {part: [] for part in Part.values}
    for row in run.signal_readings.select_related("scenario").order_by("pk"):
        rows[row.part].append(row)
    told = {}
    for signal in engine.signals:
        card, standing = _measure(run, engine, signal, rows)
        if not card.reason and signal not in READ_BEFORE:
            _keep(run, engine, signal, standing, card)
        told[signal] = {"auc": card.auc, "kept": not card.reason, "found": card.found}
    ledger.append(action="signals measured", by=WORKER, subject=f"surfacing:{run.pk}", detail=told)
    announce("queue")


def _measure(
    run: SurfacingRun, engine: Engine, signal: str, rows: Mapping[str, Sequence[SignalReading]]
) -> tuple[SignalCard, list[SignalReading]]:
    """The card of a signal, and what stands out by it."""
    values = {part: [row.signals.get(signal) for row in found if _has(row, signal)] for part, found in rows.items()}
    facts = engine.check(values[Part.SETTLED], values[Part.HARD])
    facts["reason"] = engine.lacking.get(signal) or facts["reason"]
    scored = [row for row in rows[Part.SAMPLE] if signal in row.signals]
    calm = [value for value in values[Part.SETTLED] if value is not None]
    flags = engine.standing_out([row.signals[signal] for row in scored], calm) if not facts["reason"] else []
    standing = [row for row, flag in zip(scored, flags, strict=True) if flag] if flags else []
    card = SignalCard.objects.create(run=run, signal=signal, looked_at=len(scored), found=len(standing), **facts)
    return card, standing


def _has(row: SignalReading, signal: str) -> bool:
    """Whether the signal means anything for this request; where it does, it may still be unscored."""
    return signal in row.signals or signal in row.unscored


def _keep(run: SurfacingRun, engine: Engine, signal: str, standing: Sequence[SignalReading], card: SignalCard) -> None:
    producer, _ = Producer.objects.get_or_create(
        model=engine.model, checkpoint=engine.checkpoint, prompts=engine.prompts
    )
    taken = EdgeCase.objects.filter(version=run.version_id, signal=signal).values_list("scenario", "principle")
    known = set(taken)
    each = [(row.scenario, row) for row in standing if row.scenario and row.principle]
    rows = [(scenario, row) for scenario, row in each if (scenario.pk, row.principle) not in known]
    if not rows:
        return
    directions = unpack(engine.embed([scenario.prompt for scenario, _ in rows]))
    newcomers = [
        Newcomer(scenario.pk, scenario.prompt, row.principle, signal, direction)
        for (scenario, row), direction in zip(rows, directions, strict=True)
    ]
    places = place(version=run.version_id, kind=engine.embedding, newcomers=newcomers)
    read = dict(run.readings.filter(scenario__in=[scenario for scenario, _ in rows]).values_list("scenario", "detail"))
    spread = card.spread or 1.0
    EdgeCase.objects.bulk_create(
        EdgeCase(
            scenario=scenario,
            version_id=run.version_id,
            principle_id=row.principle,
            cluster=found.cluster,
            producer=producer,
            signal=signal,
            score=min(1.0, max(0.0, row.signals[signal])),
            response=read[scenario.pk]["verdicts"][0]["response"],
            detail={
                "verdicts": read[scenario.pk]["verdicts"],
                "above": round((row.signals[signal] - card.mean) / spread, 2),
                **reading.near_of(found),
            },
        )
        for (scenario, row), found in zip(rows, places, strict=True)
    )
