"""What the gpu worker lends to drafting: a model that writes, here or on a server, and the reference that measures.

What comes of it is linted here, so that nothing reaches the desk that a machine may not propose. The engine is reached
inside functions alone, which only the gpu worker calls.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from pydantic import ValidationError

from amendments import lessons, linting
from amendments.models import Amendment
from amendments.reserved import Reserved, reserved
from constitution.digests import digest
from constitution.texts import ClauseText
from training.drafts import Draft, operations
from training.errors import StageFailed

if TYPE_CHECKING:
    from training.engine.clauses import Clause
    from training.engine.judges.served import Server
    from training.engine.model import LanguageModel
    from training.engine.prompts import Lesson
    from training.engine.propose import Candidate, Write

LOCAL, SERVED = "local", "served"
LOGPROB = "logprob"  # a judge that asks a model of its own
SAMPLES = 6
Cases = Sequence[tuple[str, str, str]]

log = structlog.get_logger(__name__)


def identity(lm: "LanguageModel", name: str) -> tuple[str, str]:
    """Model and checkpoint of whoever drafts; of a served model the weights are not known, only what it is called.

    Raises StageFailed as `writer` does.
    """
    if writer() is None:
        return name, lm.digest
    return settings.PRODUCER_MODEL, digest(["served", settings.ENGINE_URL, settings.PRODUCER_MODEL])


def writer() -> "Write | None":
    """What writes whole sentences in place of the reference; None where the reference does. Raises StageFailed where
    the settings choose nobody, or the model that judges."""
    if settings.PRODUCER == LOCAL:
        return None
    if settings.PRODUCER != SERVED:
        raise StageFailed(f"PRODUCER is {settings.PRODUCER!r}; it must be {LOCAL} or {SERVED}.")
    from training.engine.judges.contract import JudgeError
    from training.engine.served_drafts import ServedWriter

    try:
        server = _server(settings.PRODUCER_MODEL)
    except JudgeError as error:
        raise StageFailed(str(error).replace("JUDGE_MODEL", "PRODUCER_MODEL").replace("judge", "producer")) from error
    if _judges(server):
        raise StageFailed("PRODUCER_MODEL is the model that judges: nobody judges what they wrote. Choose another.")
    return ServedWriter(server).write


def _server(model: str) -> "Server":
    from training.engine.judges.served import Server

    return Server(settings.ENGINE_URL, model, settings.ENGINE_KEY, settings.ENGINE_TIMEOUT, settings.ENGINE_TRIES)


def _judges(producer: "Server") -> bool:
    """Whether the producer's model judges as well, whatever other name the server or the judge's folder gives it."""
    from training.engine.judges.served import is_among

    kinds = set(settings.JUDGES.values())
    if not kinds & {SERVED, LOGPROB} or not settings.JUDGE_MODEL:
        return False
    judge = {settings.JUDGE_MODEL}
    if SERVED in kinds:
        judge |= _server(settings.JUDGE_MODEL).known_as()
    return any(is_among(name, frozenset(judge)) for name in producer.known_as() | {producer.model})


def drafter(lm: "LanguageModel", law: Sequence[ClauseText]) -> Callable[[ClauseText, Cases, int], list[Draft]]:
    """What drafts for clauses of `law`: takes a clause, the (request, label, twin) of cases, and a seed."""
    known: list[tuple[Reserved, list[lessons.Taught], list[lessons.Taught]]] = []

    def draft(clause: ClauseText, cases: Cases, seed: int) -> list[Draft]:
        if not known:  # read when it is first needed: most of a reading's time nothing is drafted
            kept_out = reserved()
            known.append((kept_out, lessons.taught(kept_out), lessons.answers(kept_out)))
        return _draft(lm, law, clause, cases, seed, *known[0])

    return draft


def _draft(
    lm: "LanguageModel",
    law: Sequence[ClauseText],
    clause: ClauseText,
    cases: Cases,
    seed: int,
    kept_out: Reserved,
    taught: Sequence[lessons.Taught],
    answers: Sequence[lessons.Taught],
) -> list[Draft]:
    from training.engine.clauses import Clause
    from training.engine.drafting import Case
    from training.engine.model import ModelError
    from training.engine.propose import propose

    wrong = [Case(*case) for case in cases if kept_out.why(case[0], case[1]) is None]  # type: ignore[arg-type]
    if not wrong or clause.tier == 1:
        return []
    sentences = lessons.for_clause(clause, lessons.of_label(taught, wrong[0].label))
    # An example may come with its look-alike, which is decided the other way.
    decided = [
        one for label in ("benign", "harmful") for one in lessons.for_clause(clause, lessons.of_label(answers, label))
    ]
    shown = Clause.of(clause.model_dump())
    open_texts = _open_texts(clause.principle)
    try:
        candidates = propose(
            lm,
            shown,
            wrong,
            samples=SAMPLES,
            seed=seed,
            lessons=_lessons(sentences),
            answers=_lessons(decided),
            write=writer(),
            is_fit=lambda one: _may_be_filed(one, clause, law, open_texts),
        )
    except ModelError as error:  # its context is too short for this clause: the cluster stays, for people
        log.warning("nothing could be drafted", principle=clause.principle, reason=str(error))
        return []
    return [_found(shown, wrong, one, decided if one.kind == "example" else sentences) for one in candidates]


def _lessons(chosen: Sequence[lessons.Taught]) -> "list[Lesson]":
    from training.engine.prompts import Lesson

    return [Lesson(one.text, one.requests, one.added, one.label) for one in chosen]


def _may_be_filed(one: "Candidate", clause: ClauseText, law: Sequence[ClauseText], open_texts: Sequence[str]) -> bool:
    try:
        change = operations(clause, one.text, _examples(one))
    except ValidationError as error:
        reasons = [str(error)]
    else:
        reasons = linting.why_not(change, law, open_texts=() if one.examples else open_texts)
    if reasons:
        log.info("a draft was left out", principle=clause.principle, kind=one.kind, reasons=reasons)
    return not reasons


def _open_texts(principle: str) -> list[str]:
    """What proposals that touch the clause would have it say."""
    rows = Amendment.objects.undecided().real().filter(touches__contains=[principle]).prefetch_related("revisions")
    contents = (content for row in rows for content in max(row.revisions.all(), key=lambda one: one.number).operations)
    return [content["text"] for content in contents if content.get("text")]


def _examples(one: "Candidate") -> list[dict[str, str]]:
    return [asdict(example) for example in one.examples]


def _found(shown: "Clause", wrong: Sequence[Any], one: "Candidate", taught: Sequence[lessons.Taught]) -> Draft:
    from training.engine.drafting import SENTENCE_TEMPERATURE
    from training.engine.propose import rationale

    origin: dict[str, Any] = {"measured_on": one.measured_on}
    if one.prompt:
        origin |= {"prompt": one.prompt, "seed": one.seed, "sample": one.sample}
    if one.kind in ("few-shot", "served"):
        origin["temperature"] = SENTENCE_TEMPERATURE
    if one.kind in ("few-shot", "served", "example"):
        origin["learned_from"] = list(dict.fromkeys(lesson.amendment for lesson in taught))
    why = rationale(shown, wrong, one)
    return Draft(one.text, one.kind, one.score, one.effect, one.harm, why, _examples(one), one.is_worth_filing, origin)
