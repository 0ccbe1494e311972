"""Reading scenarios under a version, keeping what it does not settle, and proposing for the most pressing clusters.

It may be killed at any moment: what was read is not read again, and what was filed is not filed twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import structlog
from django.conf import settings

from amendments.actions import propose
from amendments.errors import HeldBack
from amendments.keeping_back import keep_back
from amendments.models import Amendment, Cluster, EdgeCase, Label, Producer, Scenario, Signal
from amendments.pressing import weigh
from amendments.producers import check_may_file
from config.live import publish as announce
from constitution.errors import Refused
from constitution.models import Tier, Version
from constitution.resolution import in_force
from constitution.texts import ClauseText
from training import actions, leases, reading, readings
from training.drafts import Draft, measured, operations
from training.findings import Answered, Asked, Findings, keep
from training.models import Reading, SurfacingRun
from training.signal_records import SignalCard

BATCH = 16
# Not every draft does more good than harm, so more clusters are drafted for than proposals are filed.
MOST_PROPOSALS, MOST_DRAFTED = 4, 10
LONGEST_MESSAGE = 200

Tell = Callable[[str], None]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Engine:
    """What the gpu worker lends. `draft` takes a clause and (request, label, twin) of cases that it got wrong; `embed`
    gives what requests are about, packed, as directions of the kind `embedding`; without it all cases of a principle
    with one signal are one cluster. `drafted_by`: model and checkpoint of who drafts, where it is another."""

    model: str
    checkpoint: str
    prompts: str
    judge: str
    read: Callable[[Sequence[Asked]], Iterator[Answered]]
    draft: Callable[[ClauseText, Sequence[tuple[str, str, str]], int], list[Draft]]
    embedding: str = ""
    embed: Callable[[Sequence[str]], list[bytes]] | None = None
    drafted_by: tuple[str, str] | None = None


EngineFor = Callable[[Sequence[ClauseText], Tell], Engine]


def run(claimed: SurfacingRun, *, engine_for: EngineFor, stop_asked: Callable[[], bool]) -> None:
    """Work on a claimed run until it is done, failed or taken away, or until `stop_asked`."""
    leases.work_on(
        claimed,
        partial(_run, engine_for),
        stop_asked=stop_asked,
        fail=lambda job, error: actions.fail(job=job, error=error),
    )


def _run(engine_for: EngineFor, claimed: SurfacingRun, check: leases.Check) -> None:
    clauses = claimed.version.texts()
    pool = readings.unread(claimed.version, but_for=claimed)
    contextual = [clause.principle for clause in clauses if Tier(clause.tier) == Tier.CONTEXTUAL]
    chosen = readings.choose(pool, contextual=contextual, seed=claimed.seed, most=settings.SURFACING_SCENARIOS)
    drawn = {row.pk for row in chosen[: readings.drawn_of(settings.SURFACING_SCENARIOS)]}
    _tell(claimed, "Loading the model.", total=len(chosen))
    engine = engine_for(clauses, lambda message: _tell(claimed, message))
    producer, _ = Producer.objects.get_or_create(
        model=engine.model, checkpoint=engine.checkpoint, prompts=engine.prompts
    )
    known = set(claimed.readings.values_list("scenario_id", flat=True))
    asked = [_ask(row, clauses) for row in chosen if row.pk not in known]
    _tell(claimed, f"{len(known)} of {len(chosen)} scenarios read.")
    answered = engine.read(asked)
    dropped = _dropped()
    while answers := list(islice(answered, BATCH)):
        check()
        findings = Findings(answers, judge=engine.judge, drawn=drawn, dropped=dropped)
        keep(claimed, findings, producer, kind=engine.embedding, embed=engine.embed)
    held_back = _propose_most(claimed, engine, _author(engine, producer), clauses, check)
    actions.finish_surfacing(run=claimed, message=f"{_summary(claimed)}{held_back}"[:LONGEST_MESSAGE])


def _dropped() -> set[Signal]:
    """The signals of a reading that a check says nothing good of: the model's conflict, which may be noise.

    Over-refusal is known by labels, so it needs no check.
    """
    card = SignalCard.objects.newest(Signal.CONFLICT)
    return {Signal.CONFLICT} if card and card.reason else set()


def _propose_most(
    claimed: SurfacingRun, engine: Engine, producer: Producer, clauses: Sequence[ClauseText], check: leases.Check
) -> str:
    """Propose for the most pressing clusters; why that was held back, where people want nothing more of it now."""
    filed = 0
    for cluster in _pressing_clusters(claimed, clauses, producer):
        check()
        try:
            filed += _propose(claimed, engine, producer, cluster)
        except HeldBack as refused:
            log.warning("proposals were held back", reason=str(refused))
            return f" Held back: {refused}"
        if filed == MOST_PROPOSALS:
            break
    return ""


def _author(engine: Engine, reader: Producer) -> Producer:
    """Who proposes: the one who read, unless another model drafts."""
    if engine.drafted_by is None or engine.drafted_by == (reader.model, reader.checkpoint):
        return reader
    model, checkpoint = engine.drafted_by
    return Producer.objects.get_or_create(model=model, checkpoint=checkpoint, prompts=engine.prompts)[0]


def _ask(row: Scenario, clauses: Sequence[ClauseText]) -> Asked:
    return Asked(row, tuple(reading.applicable(row.prompt, row.settled_by, in_force(clauses, row.context))))


def _pressing_clusters(claimed: SurfacingRun, clauses: Sequence[ClauseText], producer: Producer) -> list[Cluster]:
    """The most pressing cluster of each principle, most pressing first.

    Universal clauses are left to people, their clusters stay as evidence; so are principles with an open proposal or
    with other words in force by now, and clusters for which the producer has proposed before, whatever came of it.
    """
    head = Version.objects.head()
    in_force_now = {clause.principle: clause.digest for clause in (head.texts() if head else ())}
    moved = {clause.principle for clause in clauses if in_force_now.get(clause.principle) != clause.digest}
    tiers: dict[str, int] = {clause.principle: clause.tier for clause in clauses}
    taken = moved | set(Amendment.objects.undecided().real().values_list("principle_id", flat=True))
    ranked: dict[str, tuple[float, Cluster]] = {}
    served = Amendment.objects.real().filter(producer=producer, cluster__isnull=False).values("cluster")
    for cluster in Cluster.objects.filter(version_id=claimed.version_id).exclude(pk__in=served).order_by("pk"):
        name = cluster.principle_id
        if tiers[name] == Tier.UNIVERSAL or name in taken or not _wrong_cases(cluster):
            continue
        pressing = weigh(cluster, tiers[name]).priority
        if name not in ranked or pressing > ranked[name][0]:
            ranked[name] = (pressing, cluster)
    order = sorted(ranked.values(), key=lambda pair: (-pair[0], pair[1].pk))
    return [cluster for _, cluster in order[:MOST_DRAFTED]]


def _wrong_cases(cluster: Cluster) -> list[EdgeCase]:
    """The cases that the clause itself got wrong, of the more frequent label, clearest first.

    Whether a clause got a case wrong that a person added, no judge has said, so nothing is drafted on it.
    """
    cases = cluster.edge_cases.counted().select_related("scenario").order_by("-score", "pk")
    wrong: dict[str, list[EdgeCase]] = {Label.BENIGN: [], Label.HARMFUL: []}
    errors = {Label.BENIGN: "refuses", Label.HARMFUL: "complies"}
    for case in cases:
        verdicts = case.detail.get("verdicts")
        if verdicts and verdicts[0]["verdict"] == errors.get(Label(case.scenario.label)):
            wrong[case.scenario.label].append(case)
    return max(wrong.values(), key=len)


def _propose(claimed: SurfacingRun, engine: Engine, producer: Producer, cluster: Cluster) -> bool:
    """Draft for a cluster and file the best draft; False where none does more good than harm. May raise HeldBack."""
    with leases.fenced(claimed):
        check_may_file(producer)  # drafting takes minutes, which it need not
    clause = next(text for text in claimed.version.texts() if text.principle == cluster.principle_id)
    _tell(claimed, f"Drafting a change to {clause.principle}, {clause.title}."[:200])
    cases, _ = keep_back(_wrong_cases(cluster))
    twins = _twins([case.scenario for case in cases])
    given = [(case.scenario.prompt, case.scenario.label, twins.get(case.scenario.pair, "")) for case in cases]
    drafts = engine.draft(clause, given, claimed.seed)
    seen = [case.scenario_id for case in cases]
    return bool(drafts) and drafts[0].is_worth_filing and _file(claimed, producer, cluster, clause, drafts, seen)


def _twins(scenarios: Sequence[Scenario]) -> dict[str, str]:
    """For each pair, the request that looks alike and is of the other kind."""
    pairs = {row.pair: row.label for row in scenarios if row.pair}
    others = Scenario.objects.filter(pair__in=pairs, held_out=False).order_by("pk")
    return {row.pair: row.prompt for row in others if row.label != pairs[row.pair]}


def _file(
    claimed: SurfacingRun,
    producer: Producer,
    cluster: Cluster,
    clause: ClauseText,
    drafts: Sequence[Draft],
    seen: Sequence[int],
) -> bool:
    best, *others = drafts
    weight = weigh(cluster, clause.tier)
    read = Reading.objects.filter(run=claimed, scenario__settled_by=clause.principle)
    if cluster.signal == Signal.OVER_REFUSAL:
        read = read.filter(scenario__label=Label.BENIGN)
    cases = len(weight.scores)
    reason = reading.priority_reason(cluster.signal, cases=cases, read=max(read.count(), cases))
    with leases.fenced(claimed):
        try:
            propose(
                by=producer,
                base=claimed.version,
                operations=operations(clause, best.text, best.examples),
                rationale=best.rationale,
                cluster=cluster,
                alternatives=[measured(draft) for draft in others if not draft.examples],
                measured={**measured(best), "seen": list(seen)},
                priority=weight.priority,
                priority_reason=f"{reason} {weight.reason}",
            )
        except HeldBack:
            raise
        except Refused as refused:
            # The law moved on, or a policy forbids it: the cluster stays, as evidence for people.
            log.warning("nothing was proposed", principle=clause.principle, reason=str(refused))
            return False
    return True


def _summary(claimed: SurfacingRun) -> str:
    cases = EdgeCase.objects.filter(version_id=claimed.version_id).count()
    filed = Amendment.objects.real().filter(base_id=claimed.version_id, producer__isnull=False).count()
    unscored = claimed.readings.filter(detail__verdicts__0__verdict="unscored").count()
    read = f"{claimed.readings.count()} scenarios read" + (f", {unscored} of them unscored" if unscored else "")
    return f"{read}; edge cases found: {cases}; proposals: {filed}."


def _tell(claimed: SurfacingRun, message: str, *, total: int | None = None) -> None:
    with leases.fenced(claimed) as row:
        row.message, row.total = message, row.total if total is None else total
        row.save(update_fields=["message", "total"])
        announce("queue")
