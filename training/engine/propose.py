"""Proposing: amended texts of a clause for the cases it got wrong, each with a measured effect.

Candidates are the clause with one sentence added: drafted by the model, or made from a template and the cases. All
are measured alike; the measurement is the reference model's, so nothing here is a claim about a trained one.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from training.engine import prompts
from training.engine.clauses import Clause, clean
from training.engine.generate import generate
from training.engine.model import LanguageModel
from training.engine.prompts import follow
from training.engine.score import refusal_margin

LONGEST_TEXT = 900  # characters of an amended clause
SAMPLE_TEMPERATURE = 0.3
SHOWN_CASES = 3
MEASURED_CASES = 4

HELP_TEMPLATES = (
    'Requests that only sound alike, such as "{case}", are answered.',
    'A harmless request is answered directly even where its words recall what is declined here, as in "{case}".',
)
DECLINE_TEMPLATES = (
    'Requests such as "{case}" are declined, however they are worded.',
    'Where a harmless reading is not plausible, as in "{case}", the assistant declines and says so in one sentence.',
)
# Sentences of which the model writes the middle: a small model names a subject well and loses the thread after it.
HELP_FRAMES = (
    ("Questions about", "are answered in full."),
    ("Requests for help with", "get practical help."),
    ("People who ask about", "get a direct answer."),
    ("Everyday requests about", "are answered, whatever words they use."),
    ("Harmless texts about", "are written as asked."),
    ("Plain information about", "is given willingly."),
)
DECLINE_FRAMES = (
    ("Requests for help with", "are declined."),
    ("Instructions for", "are declined, whatever the reason given."),
    ("Texts that help with", "are not written."),
    ("Questions about how to", "are declined in one sentence."),
    ("Plans for", "are declined."),
    ("Advice on", "is declined, and a safe way is offered."),
)
SUBJECT_ENDS = (*',.;:?!"(\n', " are ", " is ", " get ", " should ", " will ", " can ", " but ")
SHORTEST_SUBJECT, LONGEST_SUBJECT = 1, 14  # words
_LOOSE_ENDS = frozenset("a an and as at by for from in of on or that the their to who with".split())  # noqa: SIM905
_OFF_SUBJECT = frozenset("i me my we you your it this these not don't can't".split())  # noqa: SIM905
_LIGHT = frozenset("this that with from what when where which your they them their have about".split())  # noqa: SIM905
_SENTENCE = re.compile(r'[^.!?]*[.!?]+["”]?')


@dataclass(frozen=True)
class Case:
    """A request the clause got wrong: a benign one was refused, a harmful one answered. `twin` looks alike and is
    of the other kind; an amendment must not change what happens to it."""

    request: str
    label: Literal["harmful", "benign"]
    twin: str = ""


@dataclass(frozen=True)
class Candidate:
    """An amended text. `effect` is the mean shift of the refusal margin on the cases in the wanted direction, `harm`
    the mean shift on their twins in the unwanted one (never negative), both in nats; None where not measured."""

    text: str
    sentence: str
    kind: Literal["sample", "template"]
    effect: float | None = None
    harm: float | None = None

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
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Candidate]:
    """Measured candidates, best first; empty without cases, or when nothing usable could be written.

    Only the first MEASURED_CASES cases are measured on and the first SHOWN_CASES shown to the model: put the clearest
    first. `on_progress(done, total)` counts candidates measured.
    """
    if not cases:
        return []
    candidates = [*_sampled(lm, clause, cases, samples, seed), *_from_templates(clause, cases)]
    measured_on = cases[:MEASURED_CASES]
    before = _margins(lm, clause, measured_on)
    measured = []
    for done, candidate in enumerate(candidates, start=1):
        after = _margins(lm, replace(clause, text=candidate.text), measured_on)
        measured.append(_with_effect(candidate, measured_on, before, after))
        if on_progress:
            on_progress(done, len(candidates))
    return sorted(measured, key=lambda c: (-c.score, len(c.text), c.text))


def draft(lm: LanguageModel, clause: Clause, cases: Sequence[Case], *, samples: int = 6, seed: int = 0) -> list[str]:
    """The texts of `propose`, best first."""
    return [candidate.text for candidate in propose(lm, clause, cases, samples=samples, seed=seed)]


def rationale(clause: Clause, cases: Sequence[Case], candidate: Candidate) -> str:
    """Why the amendment is proposed, in words and from measured facts only."""
    wrong = "refused" if cases[0].label == "benign" else "answered"
    kind = "harmless" if cases[0].label == "benign" else "harmful"
    count = f"{len(cases)} {kind} request{'s' if len(cases) > 1 else ''}"
    lines = [f'Under {clause.principle or "this clause"} the model {wrong} {count}, such as "{cases[0].request}".']
    if candidate.effect is not None:
        way = "less" if cases[0].label == "benign" else "more"
        lines.append(
            f"With the added sentence it leans {way} to refusing them by {candidate.effect:.2f} nats on average"
            if candidate.effect > 0
            else f"The added sentence does not move it the wanted way on them ({candidate.effect:.2f} nats on average)"
        )
        lines[-1] += f" (measured on {min(len(cases), MEASURED_CASES)})."
    if candidate.harm is not None:
        lines.append(f"On requests that look alike but are of the other kind the loss is {candidate.harm:.2f} nats.")
    return " ".join(lines)


def usable_subject(drafted: str, clause: Clause, cases: Sequence[Case]) -> str:
    """The drafted subject of a sentence if it can stand in one, else an empty string.

    It must be of a fitting length, share a word of weight with the clause or the cases, and repeat no word of weight.
    """
    words = clean(drafted).split()
    while words and words[-1].lower() in _LOOSE_ENDS:
        words.pop()
    heavy = [_stem(word) for word in words if _is_weighty(word)]
    known = {_stem(word) for text in (clause.text, *(case.request for case in cases)) for word in _words(text)}
    fits = SHORTEST_SUBJECT <= len(words) <= LONGEST_SUBJECT
    fits = fits and not _OFF_SUBJECT.intersection(word.lower() for word in words)
    if not fits or len(set(heavy)) < len(heavy) or not known.intersection(heavy):
        return ""
    return " ".join(words)


def _sampled(lm: LanguageModel, clause: Clause, cases: Sequence[Case], samples: int, seed: int) -> list[Candidate]:
    shown = cases[:SHOWN_CASES]
    every = HELP_FRAMES if cases[0].label == "benign" else DECLINE_FRAMES
    frames = [every[i % len(every)] for i in range(samples)]
    refused = [case.request for case in shown if case.label == "benign"]
    answered = [case.request for case in shown if case.label == "harmful"]
    drafted = generate(
        lm,
        [prompts.draft(clause, opening, refused=refused, answered=answered) for opening, _ in frames],
        max_new_tokens=20,
        temperature=SAMPLE_TEMPERATURE,
        seed=seed,
        stop=SUBJECT_ENDS,
        repetition_penalty=1.2,
    )
    subjects = [usable_subject(text, clause, shown) for text in drafted]
    sentences = dict.fromkeys(
        f"{opening} {subject} {ending}" for (opening, ending), subject in zip(frames, subjects, strict=True) if subject
    )
    return [_candidate(clause, sentence, "sample") for sentence in sentences if _is_welcome(clause, sentence)]


def _from_templates(clause: Clause, cases: Sequence[Case]) -> list[Candidate]:
    templates = HELP_TEMPLATES if cases[0].label == "benign" else DECLINE_TEMPLATES
    named = min((clean(case.request, limit=160).replace('"', "'").rstrip(".") for case in cases), key=len)
    sentences = [template.format(case=named) for template in templates]
    return [_candidate(clause, sentence, "template") for sentence in sentences if _is_welcome(clause, sentence)]


def _candidate(clause: Clause, sentence: str, kind: Literal["sample", "template"]) -> Candidate:
    return Candidate(f"{clause.text.strip()} {sentence}", sentence, kind)


def _is_welcome(clause: Clause, sentence: str) -> bool:
    fits = len(clause.text) + len(sentence) + 1 <= LONGEST_TEXT
    return fits and not _is_said_already(sentence, clause.text)


def _margins(lm: LanguageModel, clause: Clause, cases: Sequence[Case]) -> dict[str, float]:
    """Refusal margin of every case and twin under the clause, by request."""
    requests = list(dict.fromkeys(text for case in cases for text in (case.request, case.twin) if text))
    margins = refusal_margin(lm, [follow(clause, request) for request in requests])
    return dict(zip(requests, margins, strict=True))


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
    return replace(candidate, effect=sum(effects) / len(effects), harm=harm)


def _is_said_already(sentence: str, text: str) -> bool:
    """Whether nearly all of the sentence's words of weight stand in one sentence of the text."""
    weighty = {_stem(word) for word in _words(sentence)}
    others = ({_stem(word) for word in _words(other)} for other in _SENTENCE.findall(text))
    return any(len(weighty & other) >= 0.8 * len(weighty) for other in others)


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z']+", text.lower()) if _is_weighty(word)]


def _is_weighty(word: str) -> bool:
    return len(word) > 3 and word.lower() not in _LIGHT


def _stem(word: str) -> str:
    return re.sub(r"[^a-z']", "", word.lower())[:5]
