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
from training.engine.prompts import STOP, follow, plain

TRIED = 4  # the first cases
PAIRS = 2
OPENING = "I can't"  # of an answer that declines: left alone, a small model evades
EXPECTS = {"benign": "help", "harmful": "decline"}
OTHER = {"help": "decline", "decline": "help"}


def decided(lm: LanguageModel, clause: Clause, cases: Sequence[Case], *, seed: int = 0) -> list[tuple[Example, ...]]:
    """What could be decided by these cases: each of the first ones alone, then two of them with their twins.

    Of the two answers to a request one is what the model says when it is shown no clause, the other what it says when
    it is led into declining. Left out is what the clause has decided already, and a request for which either is not
    what it should be, by its words; one that is right must share a word of weight with the request.
    """
    known = {example.request.casefold() for example in clause.examples}
    tried = [(clean(case.request), clean(case.twin)) for case in cases[:TRIED]]
    expects = EXPECTS[cases[0].label] if cases else ""
    asked = {request: expects for request, _ in tried} | {twin: OTHER[expects] for _, twin in tried if twin}
    asked = {request: way for request, way in asked.items() if request.casefold() not in known}
    written = _examples(lm, clause, asked, seed) if asked else {}
    alone = [(written[request],) for request, _ in tried if request in written]
    pairs = [(written[one], written[other]) for one, other in tried if one in written and other in written]
    if len(pairs) < PAIRS:
        return [*alone]
    return [*alone, tuple(example for pair in pairs[:PAIRS] for example in pair)]


def _examples(lm: LanguageModel, clause: Clause, asked: dict[str, str], seed: int) -> dict[str, Example]:
    """By request, the example that decides it as `asked` says."""
    declining = replace(clause, examples=tuple(e for e in clause.examples if e.expects == "decline"))
    prompts = [*map(plain, asked), *(f"{follow(declining, request)} {OPENING}" for request in asked)]
    written = generate(lm, prompts, max_new_tokens=32, seed=seed, stop=STOP, repetition_penalty=1.2)
    answers = [clean(text, limit=400) for text in written]
    found = {}
    for (request, expects), free, led in zip(asked.items(), answers, answers[len(asked) :], strict=False):
        said = f"{OPENING} {led}".replace(" ,", ",")
        right, wrong = (free, said) if expects == "help" else (said, free)
        is_about_it = bool(stems(free) & stems(request)) or expects == "decline"
        if led and says_no(said) and free and not says_no(free) and is_about_it:
            found[request] = Example(request, expects, right, wrong)
    return found
