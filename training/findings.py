"""What a reading found, written down: the answers, and the edge cases that they show, each in its cluster."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from amendments.cases import cluster_for, wait_for_turn
from amendments.joining import Newcomer, Place, place, unpack
from amendments.models import EdgeCase, Producer, Scenario, Signal
from config.live import publish as announce
from constitution.texts import ClauseText
from training import judging, leases, reading
from training.models import Reading, SurfacingRun

LEAST_SIGNAL = 0.5

Embed = Callable[[Sequence[str]], list[bytes]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A scenario and the clauses to read it under, the most applicable first."""

    scenario: Scenario
    clauses: tuple[ClauseText, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model answered under a clause, and the judge's verdict on it."""

    principle: str
    response: str
    verdict: str
    probability: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A scenario's answers, in the order of its clauses, and the signals that they give, from 0 to 1."""

    scenario: Scenario
    heard: tuple[Heard, ...]
    signals: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Findings:
    """Some answers, the judge of them, which scenarios were drawn from all, and the signals that nothing is kept by."""

    answers: Sequence[Answered]
    judge: str
    drawn: Container[int]
    dropped: Container[str] = ()

    @property
    def shown(self) -> "list[Shown]":
        return [
            Shown(answered, signal, score)
            for answered in self.answers
            for signal, score in answered.signals.items()
            if score >= LEAST_SIGNAL and signal not in self.dropped
        ]

    def verdicts(self) -> dict[int, list[dict[str, Any]]]:
        """Of each scenario, as they are kept."""
        is_advisory = not judging.may_gate(self.judge)
        return {
            answered.scenario.pk: [_verdict(heard, self.judge, is_advisory=is_advisory) for heard in answered.heard]
            for answered in self.answers
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """A signal that a scenario's answers show."""

    answered: Answered
    signal: str
    score: float

    @property
    def principle(self) -> str:
        return self.answered.heard[0].principle


def keep(job: SurfacingRun, findings: Findings, producer: Producer, *, kind: str, embed: Embed | None) -> None:
    """Write down what was answered and what it shows; all of it, or nothing. `embed` as in surfacing.Engine."""
    asked = list(dict.fromkeys(one.answered.scenario.prompt for one in findings.shown))
    directions = dict(zip(asked, embed(asked), strict=True)) if embed and asked else {}
    with leases.fenced(job) as row:
        verdicts = findings.verdicts()
        for answered in findings.answers:
            pk = answered.scenario.pk
            detail = {"verdicts": verdicts[pk], "signals": dict(answered.signals), "is_drawn": pk in findings.drawn}
            Reading.objects.create(run=row, scenario=answered.scenario, detail=detail)
        fresh = _fresh(row, findings.shown)
        places = _places(row, fresh, kind, directions)
        EdgeCase.objects.bulk_create(
            _edge_case(row, producer, one, found, verdicts[one.answered.scenario.pk])
            for one, found in zip(fresh, places, strict=True)
        )
        row.read += len(findings.answers)
        row.message = f"{row.read} of {row.total} scenarios read."
        row.save(update_fields=["read", "message"])
        announce("queue")


def _fresh(row: SurfacingRun, shown: Sequence[Shown]) -> list[Shown]:
    """Those that nobody has added meanwhile; nobody does before the end of the transaction."""
    wait_for_turn()
    scenarios = [one.answered.scenario for one in shown]
    rows = EdgeCase.objects.filter(version=row.version_id, scenario__in=scenarios)
    known = set(rows.values_list("scenario", "principle", "signal"))
    return [one for one in shown if (one.answered.scenario.pk, one.principle, one.signal) not in known]


def _places(row: SurfacingRun, fresh: Sequence[Shown], kind: str, directions: Mapping[str, bytes]) -> list[Place]:
    """Where each case goes."""
    if not directions:
        return [Place(cluster_for(version=row.version_id, principle=one.principle, signal=one.signal)) for one in fresh]
    newcomers = [
        Newcomer(scenario.pk, scenario.prompt, one.principle, one.signal, unpack([directions[scenario.prompt]])[0])
        for one in fresh
        for scenario in [one.answered.scenario]
    ]
    return place(version=row.version_id, kind=kind, newcomers=newcomers)


def _edge_case(
    row: SurfacingRun, producer: Producer, one: Shown, found: Place, verdicts: Sequence[Mapping[str, Any]]
) -> EdgeCase:
    return EdgeCase(
        scenario=one.answered.scenario,
        version_id=row.version_id,
        principle_id=one.principle,
        signal=Signal(one.signal),
        cluster=found.cluster,
        producer=producer,
        score=one.score,
        response=one.answered.heard[0].response,
        detail={"verdicts": list(verdicts), **reading.near_of(found)},
    )


def _verdict(heard: Heard, judge: str, *, is_advisory: bool) -> dict[str, Any]:
    return {
        "principle": heard.principle,
        "response": heard.response,
        "judge": judge,
        "verdict": heard.verdict,
        "probability": heard.probability,
        "reason": heard.reason,
        "is_advisory": is_advisory,
    }
