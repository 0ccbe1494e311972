"""What workers are woken for. A message carries nothing: what there is to do stands in the database.

The only module of the web side that touches the engine, inside functions that only the gpu worker calls.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from celery import shared_task
from django.conf import settings

from amendments.previews import COMPONENTS
from amendments.producers import know_prompts
from constitution.digests import digest
from constitution.models import Version
from constitution.texts import ClauseText
from training import (
    contradictions,
    coordinator,
    deeper,
    deeper_engine,
    drafting_engine,
    judging,
    leases,
    realised_engine,
    retention,
    room,
    runner,
    surfacing,
    tidying,
    webhooks,
)
from training.actions import WORKER
from training.errors import StageFailed
from training.findings import Answered, Asked, Heard
from training.models import Job, JudgeCard, PreviewRun, RealisedRun, Round, SurfacingRun
from training.previews import asking, running
from training.realised import running as realised
from training.states import DONE
from training.surfacing import BATCH, Engine, Tell

if TYPE_CHECKING:
    from training.engine.clauses import Clause
    from training.engine.judge import ProbeJudge
    from training.engine.judges.contract import Judge
    from training.engine.model import LanguageModel
    from training.engine.preview import Heard as Reading

# A wake-up that nobody has taken by the next tick is followed by another one.
WAKE_UP_SECONDS = 5

log = structlog.get_logger(__name__)

_loaded: "dict[str, LanguageModel]" = {}


@shared_task
def tick() -> None:
    """Every few seconds: queue what should run, and wake a gpu worker where something waits."""
    coordinator.tick()
    if coordinator.is_work_waiting() or deeper.is_left():
        work.apply_async(expires=WAKE_UP_SECONDS)


@shared_task
def reap() -> None:
    """Every few seconds: queue again what a dead worker held."""
    leases.reap()


@shared_task
def deliver() -> None:
    """Every few seconds: send alerts to the webhooks that wait for them."""
    webhooks.deliver_due()


@shared_task
def prune() -> None:
    """Once a day: remove what the settings say may go, and write down what rounds take of this machine's disk."""
    retention.keep_house()


# Acknowledged at once: a round takes longer than any broker waits, and its lease says that somebody has it.
@shared_task(acks_late=False)
def work() -> None:
    """Do all that waits, most pressing first; nothing where another worker has the device."""
    with room.device() as is_ours:
        while is_ours and not is_stopping() and work_once():
            pass


def work_once() -> bool:
    """Do the next job that waits: rounds, then previews, then readings. False where there is none, or no room."""
    if not coordinator.has_room():
        return False
    if round_ := leases.claim(Round):
        runner.run(round_, model=model_folder, stop_asked=is_stopping)
        retention.keep_house()
        return True
    for kind in leases.in_order(PreviewRun, SurfacingRun):
        if job := leases.claim(kind):
            _do(job)
            return True
    if job := leases.claim(RealisedRun):
        _do(job)
        return True
    if asking.is_model_unknown():
        language_model()
        return True
    return measure_judge() or look_deeper() or tidy()


def look_deeper() -> bool:
    """In idle time, look deeper at what the newest reading read. True where work came up meanwhile."""
    run = deeper.waiting()
    if run is None or is_stopping() or coordinator.is_work_waiting():
        return run is not None
    name = Path(settings.MODEL or coordinator.MODEL_NAME_OF_DEFAULT).name
    engine = deeper_engine.lend(language_model(), name, run.version.texts(), folder=model_folder())
    return not deeper.look(run, engine, is_to_stop=lambda: is_stopping() or coordinator.is_work_waiting())


def tidy() -> bool:
    """In idle time, keep contradictions among decided examples as cases, and propose what would leave less law where
    less is enough. True where work came up meanwhile."""
    head = Version.objects.head()
    if head is None or is_stopping() or coordinator.is_work_waiting():
        return head is not None
    if SurfacingRun.objects.filter(version=head, state=DONE).exists():
        contradictions.keep(head)
        tidying.tidy(head)
    return False


def _do(job: Job) -> None:
    """Measure a preview, read scenarios or compare a round with previews, and make way for what is more pressing."""

    def is_to_stop() -> bool:
        return is_stopping() or coordinator.is_round_waiting()

    if isinstance(job, PreviewRun):
        running.run(job, engine_for=preview_engine_for, stop_asked=is_to_stop)
    elif isinstance(job, SurfacingRun):
        surfacing.run(job, engine_for=engine_for, stop_asked=lambda: is_to_stop() or coordinator.is_preview_first(job))
    elif isinstance(job, RealisedRun):
        realised.run(
            job,
            engine_for=realised_engine_for,
            stop_asked=lambda: is_stopping() or coordinator.is_sooner_waiting(),
        )


def is_stopping() -> bool:
    """Whether this worker was asked to stop."""
    from celery.worker import state

    return state.should_stop is not None or state.should_terminate is not None


def model_folder(tell: Tell | None = None) -> str:
    """MODEL as the engine takes it: a folder or a hub id; unset, the default model, converted at its first use."""
    if not settings.MODEL:
        from training.engine.model import ModelError, ensure_default_model

        try:
            return str(ensure_default_model(Path(settings.VAR) / "models", on_progress=tell))
        except ModelError as error:
            raise StageFailed(str(error)) from error
    return str(Path(settings.MODEL).absolute()) if Path(settings.MODEL).is_dir() else settings.MODEL


def language_model(tell: Tell | None = None) -> "LanguageModel":
    """The reference model, which stays loaded in this process."""
    from training.engine.model import ModelError, load

    folder = model_folder(tell)
    if folder not in _loaded:
        _loaded.clear()
        try:
            _loaded[folder] = load(folder, device=settings.ENGINE_DEVICE)
        except ModelError as error:
            raise StageFailed(str(error)) from error
    asking.found_model(_loaded[folder].digest)
    return _loaded[folder]


def engine_for(clauses: Sequence[ClauseText], tell: Tell) -> Engine:
    """The reference model, and a judge fitted on the clauses' decided examples, as surfacing uses them."""
    from training.engine.prompts import LISTING, PROMPT_DIGEST
    from training.engine.sentences import KIND

    know_prompts(PROMPT_DIGEST, LISTING)
    lm = language_model(tell)
    tell("Fitting the judge on the decided examples.")
    judge = judge_for(lm, clauses, "readings")
    name = Path(settings.MODEL or coordinator.MODEL_NAME_OF_DEFAULT).name
    return Engine(
        model=name,
        checkpoint=lm.digest,
        prompts=PROMPT_DIGEST,
        judge=judge.name,
        read=partial(_read, lm, judge),
        draft=drafting_engine.drafter(lm, clauses),
        drafted_by=drafting_engine.identity(lm, name),
        embedding=KIND,
        embed=deeper_engine.embed,
    )


def _read(lm: "LanguageModel", judge: "Judge", asked: Sequence[Asked]) -> Iterator[Answered]:
    from training.engine.surface import Scenario, read_scenarios

    by_id = {str(one.scenario.pk): one for one in asked}
    scenarios = [Scenario(pk, one.scenario.prompt, one.scenario.label) for pk, one in by_id.items()]  # type: ignore[arg-type]
    shown = {pk: [_shown(clause) for clause in one.clauses] for pk, one in by_id.items()}
    for found in read_scenarios(lm, judge, scenarios, lambda scenario: shown[scenario.id], batch_size=BATCH):
        heard = tuple(
            Heard(principle, found.responses[principle], verdict.verdict, verdict.probability, verdict.reason)
            for principle, verdict in found.verdicts.items()
        )
        yield Answered(by_id[found.scenario_id].scenario, heard, found.signals)


def preview_engine_for(clauses: Sequence[ClauseText], tell: Tell) -> running.Engine:
    """The same model and judge, as previews use them."""
    from training.engine import preview
    from training.engine.prompts import PROMPT_DIGEST, balanced

    lm = language_model(tell)
    judge = judge_for(lm, clauses, "previews")
    return running.Engine(
        model_digest=lm.digest,
        device=lm.device.type,
        prompts=PROMPT_DIGEST,
        judge=judge.name,
        shown=lambda clause: {example.request for example in balanced(_shown(clause).examples)},
        tokens=partial(preview.tokens, lm),
        measure=partial(_measure, lm, judge),
        summarise=_summarise,
        lean=partial(_lean, lm),
        conflicts=lambda apart, seed: preview.conflicts(apart, seed=seed),
    )


def realised_engine_for(clauses: Sequence[ClauseText], tell: Tell) -> realised.Engine:
    """The same model and judge, as comparisons of a round with previews use them."""
    lm = language_model(tell)
    return realised_engine.lend(lm, judge_for(lm, clauses, "previews"), model_folder(tell))


def _measure(
    lm: "LanguageModel", judge: "Judge", asked: Sequence[running.Asked], seed: int
) -> Iterator[list[running.Heard]]:
    from training.engine.preview import Question, measure

    questions = [
        Question(str(place), one.request, *(_shown(clause) if clause else None for clause in (one.before, one.after)))
        for place, one in enumerate(asked)
    ]
    for batch in measure(lm, judge, questions, seed=seed):
        yield [{arm: _as_plain(one) for arm, one in heard.items()} for _, heard in batch]


def _lean(lm: "LanguageModel", asked: Sequence[tuple[str, ClauseText]]) -> list[float | None]:
    from training.engine.preview import leans

    return leans(lm, [(request, _shown(clause)) for request, clause in asked])


def _as_plain(heard: "Reading") -> dict[str, Any]:
    return {
        "answer": heard.answer,
        "verdict": heard.verdict.verdict,
        "probability": heard.verdict.probability,
        "margin": heard.margin,
        "reason": heard.verdict.reason,
    }


def _summarise(rows: Sequence[tuple[tuple[str, ...], running.Heard]], seed: int) -> list[dict[str, Any]]:
    from training.engine.preview import Row, summarise

    declined: Mapping[str, bool] = {"refuses": True, "complies": False}
    found = [
        Row(
            components,
            {arm: declined.get(one["verdict"]) for arm, one in heard.items()},
            {arm: one["margin"] for arm, one in heard.items()},
        )
        for components, heard in rows
    ]
    return summarise(found, components=COMPONENTS, seed=seed)


def _shown(clause: ClauseText) -> "Clause":
    from training.engine.clauses import Clause

    return Clause.of(clause.model_dump())


def judge_for(lm: "LanguageModel", clauses: Sequence[ClauseText], task: judging.Task) -> "Judge":
    """The judge of a version: the one that the settings choose for what is judged."""
    from training.engine.judges.choosing import Choice, choose
    from training.engine.judges.contract import JudgeError
    from training.engine.model import ModelError

    try:
        return choose(
            Choice(**judging.choice(task)),
            reference=lm,
            name=settings.MODEL or coordinator.MODEL_NAME_OF_DEFAULT,
            fit=partial(probe_for, lm, clauses),
            key=settings.ENGINE_KEY,
        )
    except (JudgeError, ModelError) as error:
        raise StageFailed(str(error)) from error


def probe_for(lm: "LanguageModel", clauses: Sequence[ClauseText]) -> "ProbeJudge":
    """The probe of a version, fitted once on its calibration set and kept under VAR/judges."""
    from training.engine.judge import JudgeError, ProbeJudge, calibration_set

    labelled = calibration_set(_shown(clause) for clause in clauses)
    file = Path(settings.VAR) / "judges" / f"{digest([lm.digest, labelled])[:32]}.json"
    try:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            ProbeJudge.fit(lm, labelled).save(file)
        return ProbeJudge.load(lm, file)
    except JudgeError as error:
        raise StageFailed(str(error)) from error


def measure_judge() -> bool:
    """In idle time, give the probe of the head version its card. True where work came up meanwhile."""
    from training.engine.judge import ProbeJudge, calibration_set
    from training.engine.judges.cards import card
    from training.engine.stats import wilson

    head = Version.objects.head()
    if head is None or not SurfacingRun.objects.filter(version=head, state=DONE).exists():
        return False
    lm, clauses = language_model(), head.texts()
    judge = probe_for(lm, clauses)
    if JudgeCard.objects.filter(judge=judge.name, dataset=judging.CALIBRATION_SET).exists():
        return False
    labelled = calibration_set(_shown(clause) for clause in clauses)
    cards = []
    for part in judging.folds(row.request for row in labelled):
        if is_stopping() or coordinator.is_work_waiting():
            return True
        seen = ProbeJudge.fit(lm, [row for row in labelled if row.request not in part])
        cards.append(card(seen, [row for row in labelled if row.request in part]))
    metrics = judging.pool(cards, judge=judge.name, calibration=judge.probe.calibration, interval=wilson)
    judging.record(dataset=judging.CALIBRATION_SET, metrics=metrics, template=judge.probe.features, by=WORKER)
    return False


def measure_judge_on(answers: Sequence[judging.LabelledAnswer], kind: str = "probe") -> dict[str, dict[str, Any]]:
    """A judge measured on labelled answers, by their source; the probe is the head version's. Loads the model."""
    from training.engine.judges.cards import card
    from training.engine.judges.contract import Labelled

    judge = carded_judge(kind)
    rows: dict[str, list[Labelled]] = {}
    for one in answers:
        rows.setdefault(one.source, []).append(Labelled(one.request, one.response, one.refuses))
    return {source: card(judge, found) for source, found in rows.items()}


def measure_judge_on_decisions(answers: Sequence[judging.LabelledAnswer], kind: str) -> dict[str, Any]:
    """A judge measured on what people decided; the probe as it is without having seen these requests. Loads the
    model."""
    from training.engine.judge import ProbeJudge, calibration_set
    from training.engine.judges.cards import card
    from training.engine.judges.contract import Labelled

    judge = measured = carded_judge(kind)
    if isinstance(judge, ProbeJudge):
        head, asked = Version.objects.head(), {one.request.casefold() for one in answers}
        labelled = calibration_set(_shown(clause) for clause in (head.texts() if head else ()))
        measured = ProbeJudge.fit(language_model(), [row for row in labelled if row.request.casefold() not in asked])
    found = card(measured, [Labelled(one.request, one.response, one.refuses) for one in answers])
    return {**found, "judge": judge.name, **judge.about}


def measure_judge_on_pairs(pairs: Sequence[judging.PreferredAnswer], kind: str) -> dict[str, Any]:
    """How often a judge prefers what people did, each pair in both orders. Loads the model."""
    from training.engine.judges.cards import pair_card
    from training.engine.judges.choosing import comparer
    from training.engine.judges.contract import Pair

    judge = carded_judge(kind)
    return pair_card(judge, comparer(judge), [Pair(one.request, one.preferred, one.other) for one in pairs])


def carded_judge(kind: str) -> "Judge":
    """A judge to measure, whichever of them the settings choose to judge."""
    from training.engine.judges.choosing import Choice, to_be_carded
    from training.engine.judges.contract import JudgeError
    from training.engine.model import ModelError

    head = Version.objects.head()
    if head is None:
        raise StageFailed("There is no constitution yet, so there is no judge.")
    chosen = {**judging.choice("rounds"), "kind": kind}
    if kind == "logprob":
        chosen["model"] = chosen["model"] or model_folder()
    lm = language_model()
    try:
        fit = partial(probe_for, lm, head.texts())
        return to_be_carded(Choice(**chosen), reference=lm, fit=fit, key=settings.ENGINE_KEY)
    except (JudgeError, ModelError) as error:
        raise StageFailed(str(error)) from error
