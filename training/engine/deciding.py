"""Deciding: cases written down as decided examples of their clause, with answers of the model's own. Nothing is
measured here.

A case comes alone, or with the request that looks like it and is to be answered the other way: two such pairs are all
that a prompt shows of a clause.
"""

from collections.abc import Sequence
from dataclasses import replace

from training.engine.clauses import Clause, Example, clean
from training.engine.drafting import Case, stems
from training.engine.generate import generate
from training.engine.judges.pattern import says_no
from training.engine.model import LanguageModel
from training.engine.prompts import STOP, Lesson, decide, follow, plain

TRIED = 4  # the first cases
PAIRS = 2
OPENING = "I can't"  # of an answer that declines: left alone, a small model evades
EXPECTS = {"benign": "help", "harmful": "decline"}
LABELS = {way: label for label, way in EXPECTS.items()}
OTHER = {"help": "decline", "decline": "help"}


def decided(
    lm: LanguageModel, clause: Clause, cases: Sequence[Case], *, seed: int = 0, lessons: Sequence[Lesson] = ()
) -> list[tuple[Example, ...]]:
    """What could be decided by these cases: each of the first ones alone, then two of them with their twins.

    Of the two answers to a request one is what the model says when it is shown no clause, the other what it says when
    it is led into declining. After `lessons`, answers that people accepted, it writes the right one once more, which
    goes before where it can be used. Left out is what the clause has decided already, and a request for which either is
    not what it should be, by its words; an answer that helps rightly must share a word of weight with the request.
    """
    known = {example.request.casefold() for example in clause.examples}
    tried = [(clean(case.request), clean(case.twin)) for case in cases[:TRIED]]
    expects = EXPECTS[cases[0].label] if cases else ""
    asked = {request: expects for request, _ in tried} | {twin: OTHER[expects] for _, twin in tried if twin}
    asked = {request: way for request, way in asked.items() if request.casefold() not in known}
    written = _examples(lm, clause, asked, seed, lessons) if asked else {}
    alone = [(written[request],) for request, _ in tried if request in written]
    pairs = [(written[one], written[other]) for one, other in tried if one in written and other in written]
    if len(pairs) < PAIRS:
        return [*alone]
    return [*alone, tuple(example for pair in pairs[:PAIRS] for example in pair)]


def _examples(
    lm: LanguageModel, clause: Clause, asked: dict[str, str], seed: int, lessons: Sequence[Lesson]
) -> dict[str, Example]:
    """By request, the example that decides it as `asked` says."""
    declining = replace(clause, examples=tuple(e for e in clause.examples if e.expects == "decline"))
    free = [plain(request) for request in asked]
    led = [f"{follow(declining, request)} {OPENING}" for request in asked]
    learnt = _after_lessons(clause, asked, lessons)
    written = generate(
        lm, [*free, *led, *learnt.values()], max_new_tokens=32, seed=seed, stop=STOP, repetition_penalty=1.2
    )
    answers = [clean(text, limit=400) for text in written]
    count = len(asked)
    taught = dict(zip(learnt, answers[2 * count :], strict=True))
    made = (
        _example(request, expects, said, refused, taught.get(request, ""))
        for (request, expects), said, refused in zip(asked.items(), answers, answers[count : 2 * count], strict=False)
    )
    return {example.request: example for example in made if example}


def _example(request: str, expects: str, said: str, refused: str, taught: str) -> Example | None:
    """From what was said freely, after it was led into declining, and after lessons; the last may be empty."""
    helping, declining = said if _helps(said) else "", _declining(refused)
    if expects == "help":
        right = next((text for text in (taught, helping) if _helps(text) and stems(text) & stems(request)), "")
        wrong = declining
    else:
        right, wrong = _declining(taught) or declining, helping
    return Example(request, expects, right, wrong) if right and wrong else None


def _after_lessons(clause: Clause, asked: dict[str, str], lessons: Sequence[Lesson]) -> dict[str, str]:
    """By request, the prompt that shows lessons of its kind; none where there are none of them."""
    taught = {lesson.label for lesson in lessons}
    return {
        request: f"{decide(clause, LABELS[way], request, lessons)}{f' {OPENING}' if way == 'decline' else ''}"
        for request, way in asked.items()
        if LABELS[way] in taught
    }


def _helps(text: str) -> bool:
    return bool(text) and not says_no(text)


def _declining(led: str) -> str:
    """The answer that was led into declining; nothing where it does not decline."""
    said = f"{OPENING} {led}".replace(" ,", ",")
    return said if led and says_no(said) else ""
