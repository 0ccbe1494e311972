"""Proposing: amended texts of a clause for the cases it got wrong, each with a measured effect.

Candidates are the clause with one sentence added (see `drafting`), or the clause with some of the cases decided (see
`deciding`). All are measured alike, on what the proposer was shown; the measurement is the reference model's, so
nothing here is a claim about a trained one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from training.engine.clauses import Clause, Example, clean
from training.engine.deciding import PAIRS, decided
from training.engine.drafting import Case, Drafted, Kind, few_shot, framed, from_templates, is_said_already
from training.engine.generate import generate
from training.engine.judges.pattern import says_no
from training.engine.model import LanguageModel
from training.engine.prompts import STOP, Lesson, follow
from training.engine.score import refusal_margin
from training.engine.surface import REPETITION_PENALTY

LONGEST_TEXT = 900  # characters of an amended clause
MEASURED_CASES = 4
# So many worded candidates, those that shift the margin most, and all that decide cases are let write beginnings: what
# an example does to answers the margin of a few openings does not always tell.
WRITTEN_WITH = 3
BEGINNING = 16  # tokens
Progress = Callable[[int, int], None]
Write = Callable[[Clause, Sequence[Case], Sequence[Lesson], int, int], Sequence[Drafted]]


@dataclass(frozen=True)
class Candidate:
    """An amended clause: its text, and `examples` where it is the clause as it was with cases decided.

    `effect` is the mean shift of the refusal margin on the cases in the wanted direction, `harm` the mean shift on
    their twins in the unwanted one (never negative), both in nats; None where not measured. `measured_on` counts cases.
    `resolved` counts the cases and twins that the model begins to answer as it should and did not before, `lost` the
    reverse, by words; None where it was not let write.
    """

    text: str
    sentence: str
    kind: Kind
    effect: float | None = None
    harm: float | None = None
    examples: tuple[Example, ...] = ()
    prompt: str = ""
    seed: int | None = None
    sample: int | None = None
    measured_on: int = 0
    resolved: int | None = None
    lost: int | None = None

    @property
    def score(self) -> float:
        """The shift that is wanted, less the one that is not, in nats."""
        return (self.effect or 0.0) - (self.harm or 0.0)

    @property
    def turned(self) -> int:
        """What candidates are ranked by before their score: how many more answers are right."""
        return (self.resolved or 0) - (self.lost or 0)

    @property
    def is_worth_filing(self) -> bool:
        return self.turned > 0 or (self.turned == 0 and self.score > 0)


def propose(
    lm: LanguageModel,
    clause: Clause,
    cases: Sequence[Case],
    *,
    samples: int = 6,
    seed: int = 0,
    lessons: Sequence[Lesson] = (),
    answers: Sequence[Lesson] = (),
    write: Write | None = None,
    is_fit: Callable[[Candidate], bool] = lambda _candidate: True,
    on_progress: Progress | None = None,
) -> list[Candidate]:
    """Measured candidates, best first; empty without cases, or when nothing usable could be written.

    Each is measured on the first MEASURED_CASES cases that it does not decide itself, and the first few are shown to
    the model: put the clearest first.
    `lessons` are sentences that people accepted, `answers` such right answers of decided examples.
    `write` takes (clause, cases, lessons, samples, seed) and writes whole sentences in place of `lm`, which measures
    all the same. What is not `is_fit` is not measured. `on_progress(done, total)` counts candidates measured.
    """
    if not cases:
        return []
    whole = write(clause, cases, lessons, samples, seed) if write else _whole(lm, clause, cases, lessons, samples, seed)
    drafted = [*whole, *framed(lm, clause, cases, samples=samples, seed=seed), *from_templates(cases)]
    worded = {one.sentence: _worded(clause, one) for one in reversed(drafted) if _is_welcome(clause, one.sentence)}
    ways = decided(lm, clause, cases, seed=seed, lessons=answers)
    examples = [Candidate(clause.text, "", "example", examples=way, seed=seed) for way in ways]
    candidates = [one for one in (*reversed(worded.values()), *examples) if is_fit(one)]
    measured_on = cases[: MEASURED_CASES + PAIRS]
    before = _margins(lm, clause, measured_on)
    measured = []
    for done, candidate in enumerate(candidates, start=1):
        measured += _measured(lm, clause, candidate, measured_on, before)
        if on_progress:
            on_progress(done, len(candidates))
    ranked = sorted(measured, key=_rank)
    first = [*[one for one in ranked if not one.examples][:WRITTEN_WITH], *[one for one in ranked if one.examples]]
    written = _with_answers(lm, clause, first, measured_on, seed)
    return sorted([*written, *[one for one in ranked if one not in first]], key=_rank)


def _rank(one: Candidate) -> tuple[int, bool, int, float, int, str, str]:
    """By the answers that turn right; among equals those that do good at all, and of these the ones that decide most:
    they move further cases most (docs/measurements.md, "Proposals")."""
    return -one.turned, not one.is_worth_filing, -len(one.examples), -one.score, len(one.text), one.text, one.kind


def draft(lm: LanguageModel, clause: Clause, cases: Sequence[Case], *, samples: int = 6, seed: int = 0) -> list[str]:
    """The texts of `propose`, best first."""
    return [candidate.text for candidate in propose(lm, clause, cases, samples=samples, seed=seed)]


def rationale(clause: Clause, cases: Sequence[Case], candidate: Candidate) -> str:
    """Why the amendment is proposed, in words and from measured facts only."""
    wrong = "refused" if cases[0].label == "benign" else "answered"
    kind = "harmless" if cases[0].label == "benign" else "harmful"
    count = f"{len(cases)} {kind} request{'s' if len(cases) > 1 else ''}"
    lines = [f'Under {clause.principle or "this clause"} the model {wrong} {count}, such as "{cases[0].request}".']
    if candidate.examples:
        lines.append(f"The text stays as it is; {_decided_words(candidate, cases)}.")
    if candidate.effect is not None:
        way = "less" if cases[0].label == "benign" else "more"
        many = len(candidate.examples) > 1
        what = f"decided example{'s' if many else ''}" if candidate.examples else "added sentence"
        not_moved = f"The {what} {'do' if many else 'does'} not move it the wanted way on them"
        lines.append(
            f"With the {what} it leans {way} to refusing them by {candidate.effect:.2f} nats on average"
            if candidate.effect > 0
            else f"{not_moved} ({candidate.effect:.2f} nats on average)"
        )
        lines[-1] += f" (measured on {candidate.measured_on or min(len(cases), MEASURED_CASES)})."
    if candidate.resolved is not None:
        lines.append(
            f"Of its first words on these and their look-alikes, {candidate.resolved} turn right and {candidate.lost}"
            " turn wrong."
        )
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


def _decided_words(candidate: Candidate, cases: Sequence[Case]) -> str:
    """What it decides, as part of a sentence."""
    own = sum(clean(case.request) in {e.request for e in candidate.examples} for case in cases)
    beside = len(candidate.examples) - own
    if own == 1 and not beside:
        return "one of them is decided, as an example for the others"
    return (
        f"{own} of them are decided, and {beside} that look alike are decided the other way, as examples for the others"
    )


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
    """The candidate with its effect on the cases, but for those that it decides itself; nothing without any."""
    others = _others(candidate, cases)
    amended = _amended(clause, candidate)
    return [_with_effect(candidate, others, before, _margins(lm, amended, others))] if others else []


def _others(candidate: Candidate, cases: Sequence[Case]) -> Sequence[Case]:
    own = {example.request for example in candidate.examples}
    return [case for case in cases if clean(case.request) not in own][:MEASURED_CASES]


def _amended(clause: Clause, candidate: Candidate) -> Clause:
    """As the operations make it: examples come first, the last of them foremost."""
    return replace(clause, text=candidate.text, examples=(*candidate.examples[::-1], *clause.examples))


def _with_answers(
    lm: LanguageModel, clause: Clause, candidates: Sequence[Candidate], cases: Sequence[Case], seed: int
) -> list[Candidate]:
    """The candidates, with what the model begins to write under each on what it was measured on."""
    asked = list(dict.fromkeys(text for case in cases for text in (case.request, case.twin) if text))
    under = [clause, *(_amended(clause, one) for one in candidates)]
    prompts = [follow(text, request) for text in under for request in asked]
    answers = generate(
        lm, prompts, max_new_tokens=BEGINNING, seed=seed, stop=STOP, repetition_penalty=REPETITION_PENALTY
    )
    no = [says_no(answer) for answer in answers]
    before, *after = (dict(zip(asked, no[at : at + len(asked)], strict=True)) for at in range(0, len(no), len(asked)))
    return [_counted(one, _others(one, cases), before, now) for one, now in zip(candidates, after, strict=True)]


def _counted(one: Candidate, cases: Sequence[Case], before: dict[str, bool], after: dict[str, bool]) -> Candidate:
    resolved = lost = 0
    for case in cases:
        wrong = case.label == "benign"  # a harmless request is declined, a harmful one is not; its twin the reverse
        resolved += before[case.request] == wrong != after[case.request]
        lost += before[case.request] != wrong == after[case.request]
        if case.twin:
            lost += before[case.twin] == wrong != after[case.twin]
            resolved += before[case.twin] != wrong == after[case.twin]
    return replace(one, resolved=resolved, lost=lost)


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
