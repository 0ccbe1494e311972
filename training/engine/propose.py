"""Proposing: amended texts of a clause for the cases it got wrong, each with a measured effect.

Candidates are the clause with one sentence added (see `drafting`), or the clause with one of the cases decided. All
are measured alike, on what the proposer was shown; the measurement is the reference model's, so nothing here is a
claim about a trained one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from training.engine.clauses import Clause, Example, clean
from training.engine.drafting import Case, Drafted, Kind, few_shot, framed, from_templates, is_said_already
from training.engine.generate import generate
from training.engine.judges.pattern import says_no
from training.engine.model import LanguageModel
from training.engine.prompts import STOP, Lesson, follow
from training.engine.score import refusal_margin

LONGEST_TEXT = 900  # characters of an amended clause
MEASURED_CASES = 4
EXAMPLES_TRIED = 2
OPENING = "I can't"  # of an answer that declines: left alone, a small model evades
Progress = Callable[[int, int], None]
Write = Callable[[Clause, Sequence[Case], Sequence[Lesson], int, int], Sequence[Drafted]]


@dataclass(frozen=True)
class Candidate:
    """An amended clause: its text, and `example` where it is the clause as it was with one more case decided.

    `effect` is the mean shift of the refusal margin on the cases in the wanted direction, `harm` the mean shift on
    their twins in the unwanted one (never negative), both in nats; None where not measured. `measured_on` counts cases.
    """

    text: str
    sentence: str
    kind: Kind
    effect: float | None = None
    harm: float | None = None
    example: Example | None = None
    prompt: str = ""
    seed: int | None = None
    sample: int | None = None
    measured_on: int = 0

    @property
    def score(self) -> float:
        """What candidates are ranked by."""
        return (self.effect or 0.0) - (self.harm or 0.0)


def propose(
    lm: LanguageModel,
    clause: Clause,
    cases: Sequence[Case],
    *,
    samples: int = 6,
    seed: int = 0,
    lessons: Sequence[Lesson] = (),
    write: Write | None = None,
    is_fit: Callable[[Candidate], bool] = lambda _candidate: True,
    on_progress: Progress | None = None,
) -> list[Candidate]:
    """Measured candidates, best first; empty without cases, or when nothing usable could be written.

    Only the first MEASURED_CASES cases are measured on and the first few shown to the model: put the clearest first.
    `write` takes (clause, cases, lessons, samples, seed) and writes whole sentences in place of `lm`, which measures
    all the same. What is not `is_fit` is not measured. `on_progress(done, total)` counts candidates measured.
    """
    if not cases:
        return []
    whole = write(clause, cases, lessons, samples, seed) if write else _whole(lm, clause, cases, lessons, samples, seed)
    drafted = [*whole, *framed(lm, clause, cases, samples=samples, seed=seed), *from_templates(cases)]
    worded = {one.sentence: _worded(clause, one) for one in reversed(drafted) if _is_welcome(clause, one.sentence)}
    candidates = [*reversed(worded.values()), *_decided(lm, clause, cases, seed)]
    candidates = [candidate for candidate in candidates if is_fit(candidate)]
    measured_on = cases[:MEASURED_CASES]
    before = _margins(lm, clause, measured_on)
    measured = []
    for done, candidate in enumerate(candidates, start=1):
        measured += _measured(lm, clause, candidate, measured_on, before)
        if on_progress:
            on_progress(done, len(candidates))
    return sorted(measured, key=lambda c: (-c.score, len(c.text), c.text, c.kind))


def draft(lm: LanguageModel, clause: Clause, cases: Sequence[Case], *, samples: int = 6, seed: int = 0) -> list[str]:
    """The texts of `propose`, best first."""
    return [candidate.text for candidate in propose(lm, clause, cases, samples=samples, seed=seed)]


def rationale(clause: Clause, cases: Sequence[Case], candidate: Candidate) -> str:
    """Why the amendment is proposed, in words and from measured facts only."""
    wrong = "refused" if cases[0].label == "benign" else "answered"
    kind = "harmless" if cases[0].label == "benign" else "harmful"
    count = f"{len(cases)} {kind} request{'s' if len(cases) > 1 else ''}"
    lines = [f'Under {clause.principle or "this clause"} the model {wrong} {count}, such as "{cases[0].request}".']
    if candidate.example is not None:
        lines.append("The text stays as it is; one of them is decided, as an example for the others.")
    if candidate.effect is not None:
        way = "less" if cases[0].label == "benign" else "more"
        what = "decided example" if candidate.example is not None else "added sentence"
        lines.append(
            f"With the {what} it leans {way} to refusing them by {candidate.effect:.2f} nats on average"
            if candidate.effect > 0
            else f"The {what} does not move it the wanted way on them ({candidate.effect:.2f} nats on average)"
        )
        lines[-1] += f" (measured on {candidate.measured_on or min(len(cases), MEASURED_CASES)})."
    if candidate.harm is not None:
        lines.append(f"On requests that look alike but are of the other kind the loss is {candidate.harm:.2f} nats.")
    return " ".join(lines)


def _whole(
    lm: LanguageModel, clause: Clause, cases: Sequence[Case], lessons: Sequence[Lesson], samples: int, seed: int
) -> list[Drafted]:
    return few_shot(lm, clause, cases, lessons=lessons, samples=samples, seed=seed)


def _worded(clause: Clause, one: Drafted) -> Candidate:
    text = f"{clause.text.strip()} {one.sentence}"
    return Candidate(text, one.sentence, one.kind, prompt=one.prompt, seed=one.seed, sample=one.sample)


def _decided(lm: LanguageModel, clause: Clause, cases: Sequence[Case], seed: int) -> list[Candidate]:
    """The clause with one of the first cases decided: the model's own wrong answer beside a right one that it gives
    when it is shown only cases of that kind. Left out where either is not what it should be, by its words.
    """
    known = {example.request.casefold() for example in clause.examples}
    tried = [case for case in cases[:EXAMPLES_TRIED] if case.request.strip().casefold() not in known]
    if not tried or len(cases) < 2:  # on the case that it decides nothing can be measured
        return []
    expects = "help" if cases[0].label == "benign" else "decline"
    alike = replace(clause, examples=tuple(e for e in clause.examples if e.expects == expects))
    opening = f" {OPENING}" if expects == "decline" else ""
    wrong = _answers(lm, [follow(clause, case.request) for case in tried], seed)
    right = _answers(lm, [follow(alike, case.request) + opening for case in tried], seed)
    found = []
    for case, bad, good in zip(tried, wrong, right, strict=True):
        said = f"{OPENING} {good}".replace(" ,", ",") if opening else good
        if good and bad and says_no(said) == (expects == "decline") and says_no(bad) == (expects == "help"):
            example = Example(clean(case.request), expects, said, bad)
            found.append(Candidate(clause.text, "", "example", example=example, seed=seed))
    return found


def _answers(lm: LanguageModel, prompts: Sequence[str], seed: int) -> list[str]:
    written = generate(lm, prompts, max_new_tokens=32, seed=seed, stop=STOP, repetition_penalty=1.2)
    return [clean(text, limit=400) for text in written]


def _is_welcome(clause: Clause, sentence: str) -> bool:
    fits = len(clause.text) + len(sentence) + 1 <= LONGEST_TEXT
    return fits and not is_said_already(sentence, clause.text)


def _margins(lm: LanguageModel, clause: Clause, cases: Sequence[Case]) -> dict[str, float]:
    """Refusal margin of every case and twin under the clause, by request."""
    requests = list(dict.fromkeys(text for case in cases for text in (case.request, case.twin) if text))
    margins = refusal_margin(lm, [follow(clause, request) for request in requests])
    return dict(zip(requests, margins, strict=True))


def _measured(
    lm: LanguageModel, clause: Clause, candidate: Candidate, cases: Sequence[Case], before: dict[str, float]
) -> list[Candidate]:
    """The candidate with its effect on the cases, but for the one that it decides itself; nothing without any."""
    if candidate.example is not None:
        cases = [case for case in cases if clean(case.request) != candidate.example.request]
        amended = replace(clause, examples=(candidate.example, *clause.examples))  # as the operation does
    else:
        amended = replace(clause, text=candidate.text)
    return [_with_effect(candidate, cases, before, _margins(lm, amended, cases))] if cases else []


def _with_effect(
    candidate: Candidate, cases: Sequence[Case], before: dict[str, float], after: dict[str, float]
) -> Candidate:
    effects, harms = [], []
    for case in cases:
        towards = 1 if case.label == "harmful" else -1  # which way the margin should move
        effects.append(towards * (after[case.request] - before[case.request]))
        if case.twin:
            harms.append(max(0.0, towards * (after[case.twin] - before[case.twin])))
    harm = sum(harms) / len(harms) if harms else None
    return replace(candidate, effect=sum(effects) / len(effects), harm=harm, measured_on=len(cases))
