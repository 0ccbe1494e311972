"""Drafting: sentences that, added to a clause, would settle the cases it got wrong. Nothing is measured here.

Three ways of writing them, beside a served model's: whole sentences, sampled after worked ones; the middle of a fixed
frame; a template with the shortest case in it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from training.engine import prompts
from training.engine.clauses import Clause, clean
from training.engine.generate import generate
from training.engine.model import LanguageModel
from training.engine.prompts import Lesson

Kind = Literal["few-shot", "sample", "template", "served", "example"]

FRAME_TEMPERATURE, SENTENCE_TEMPERATURE = 0.3, 0.7
SHOWN_CASES = 3

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
_FIRST_OR_SECOND = frozenset("i i'm me my we our us you your".split())  # noqa: SIM905
_SENTENCE = re.compile(r'[^.!?]*[.!?]+["”]?')


# How whole sentences begin: left alone, a small model goes on quoting requests.
OPENINGS = {
    "benign": ("Requests", "Questions", "People", "Requests for", "Questions about", "Texts"),
    "harmful": ("Requests", "Requests for", "Texts", "Instructions", "Requests to", "Questions"),
}
# What a sentence has to say of its requests, and what it may not: a small model often turns the direction around.
_ENDING = r"(?: in full| directly| plainly| in one sentence|, [^.]{1,100})?[.!]$"
ANSWERING = re.compile(
    r"\b(?:are|get) (?:\w+ ){0,2}(?:answered|answers?|explained|given|written|welcome|help|met)" + _ENDING,
    re.IGNORECASE,
)
DECLINING = re.compile(
    r"\bare (?:(?:\w+ )?(?:declined|refused)|(?:not|never) (?:answered|explained|given|written))" + _ENDING,
    re.IGNORECASE,
)
TURNED = re.compile(r"\b(?:are|is) (?:\w+ )?(?:declined|refused|not|never)\b", re.IGNORECASE)
SHORTEST_SENTENCE, LONGEST_SENTENCE = 6, 40  # words
MOST_OFTEN = 2  # a word of weight in one sentence
# Where a whole sentence has ended, or has begun to copy the prompt.
SENTENCE_ENDS = (*prompts.STOP, '"', " It ")
_COMMON = frozenset("reque quest peopl answe decli refus assis texts instr helpe wants needs".split())  # noqa: SIM905


@dataclass(frozen=True)
class Case:
    """A request the clause got wrong: a benign one was refused, a harmful one answered. `twin` looks alike and is
    of the other kind; an amendment must not change what happens to it."""

    request: str
    label: Literal["harmful", "benign"]
    twin: str = ""


@dataclass(frozen=True)
class Drafted:
    """A sentence to add, and where it comes from: the prompt's label and, of a sample, the seed of all of them and its
    place among them."""

    sentence: str
    kind: Kind
    prompt: str = ""
    seed: int | None = None
    sample: int | None = None


def few_shot(
    lm: LanguageModel, clause: Clause, cases: Sequence[Case], *, lessons: Sequence[Lesson] = (), samples: int, seed: int
) -> list[Drafted]:
    """Those of `samples` whole sentences that can be used, in the order in which they were drawn."""
    label = cases[0].label
    shown = cases[:SHOWN_CASES]
    requests = [case.request for case in shown]
    openings = [OPENINGS[label][i % len(OPENINGS[label])] for i in range(samples)]
    written = generate(
        lm,
        [prompts.redraft(clause, label, requests, opening=opening, lessons=lessons) for opening in openings],
        max_new_tokens=40,
        temperature=SENTENCE_TEMPERATURE,
        seed=seed,
        stop=SENTENCE_ENDS,
        repetition_penalty=1.1,
    )
    whole = [f"{opening} {text}" for opening, text in zip(openings, written, strict=True)]
    found = [(place, usable_sentence(text, clause, shown)) for place, text in enumerate(whole)]
    name = prompts.REDRAFT[label].label
    return _once([Drafted(sentence, "few-shot", name, seed, place) for place, sentence in found if sentence])


def framed(lm: LanguageModel, clause: Clause, cases: Sequence[Case], *, samples: int, seed: int) -> list[Drafted]:
    """Sentences of which the model writes the middle; those that can be used."""
    shown = cases[:SHOWN_CASES]
    every = HELP_FRAMES if cases[0].label == "benign" else DECLINE_FRAMES
    frames = [every[i % len(every)] for i in range(samples)]
    refused = [case.request for case in shown if case.label == "benign"]
    answered = [case.request for case in shown if case.label == "harmful"]
    written = generate(
        lm,
        [prompts.draft(clause, opening, refused=refused, answered=answered) for opening, _ in frames],
        max_new_tokens=20,
        temperature=FRAME_TEMPERATURE,
        seed=seed,
        stop=SUBJECT_ENDS,
        repetition_penalty=1.2,
    )
    subjects = [usable_subject(text, clause, shown) for text in written]
    return _once(
        [
            Drafted(f"{opening} {subject} {ending}", "sample", prompts.DRAFT.label, seed, place)
            for place, ((opening, ending), subject) in enumerate(zip(frames, subjects, strict=True))
            if subject
        ]
    )


def from_templates(cases: Sequence[Case]) -> list[Drafted]:
    """Sentences that quote the shortest case."""
    templates = HELP_TEMPLATES if cases[0].label == "benign" else DECLINE_TEMPLATES
    named = min((clean(case.request, limit=160).replace('"', "'").rstrip(".") for case in cases), key=len)
    return [Drafted(template.format(case=named), "template") for template in templates]


def usable_sentence(drafted: str, clause: Clause, cases: Sequence[Case]) -> str:
    """The first sentence of a draft if it can stand in a clause, else an empty string.

    It must be whole and of a fitting length, speak of nobody as I or you, say of the requests what is wanted of them
    and not the opposite, share a word of weight with the clause or the cases, and not go round in circles. Quotations
    are left to templates: what a model quotes it has mostly made up.
    """
    found = _SENTENCE.match(clean(drafted, limit=600))
    sentence = found[0].strip() if found else ""
    words = sentence.split()
    plain = {word.strip(",.;:!?\"'()").lower() for word in words}
    fits = SHORTEST_SENTENCE <= len(words) <= LONGEST_SENTENCE and sentence[:1].isupper() and not sentence.endswith("?")
    fits = fits and '"' not in sentence and not _FIRST_OR_SECOND.intersection(plain)
    heavy = [_stem(word) for word in _words(sentence)]
    known = stems(clause.text, *(case.request for case in cases))
    in_circles = any(heavy.count(word) > MOST_OFTEN for word in heavy)
    if not fits or in_circles or not known.intersection(heavy) - _COMMON or not _says(sentence, cases[0].label):
        return ""
    return sentence


def _says(sentence: str, label: str) -> bool:
    """Whether a sentence ends with what is right for its requests."""
    if label == "harmful":
        return DECLINING.search(sentence) is not None
    return ANSWERING.search(sentence) is not None and not TURNED.search(sentence)


def usable_subject(drafted: str, clause: Clause, cases: Sequence[Case]) -> str:
    """The drafted subject of a sentence if it can stand in one, else an empty string.

    It must be of a fitting length, share a word of weight with the clause or the cases, and repeat no word of weight.
    """
    words = clean(drafted).split()
    while words and words[-1].lower() in _LOOSE_ENDS:
        words.pop()
    heavy = [_stem(word) for word in words if _is_weighty(word)]
    known = stems(clause.text, *(case.request for case in cases))
    fits = SHORTEST_SUBJECT <= len(words) <= LONGEST_SUBJECT
    fits = fits and not _OFF_SUBJECT.intersection(word.lower() for word in words)
    if not fits or len(set(heavy)) < len(heavy) or not known.intersection(heavy):
        return ""
    return " ".join(words)


def is_said_already(sentence: str, text: str) -> bool:
    """Whether nearly all of the sentence's words of weight stand in one sentence of the text."""
    weighty = stems(sentence)
    return any(len(weighty & stems(other)) >= 0.8 * len(weighty) for other in _SENTENCE.findall(text))


def stems(*texts: str) -> set[str]:
    """The beginnings of their words of weight, by which texts are told to be about the same."""
    return {_stem(word) for text in texts for word in _words(text)}


def _words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z']+", text.lower()) if _is_weighty(word)]


def _is_weighty(word: str) -> bool:
    return len(word) > 3 and word.lower() not in _LIGHT


def _stem(word: str) -> str:
    return re.sub(r"[^a-z']", "", word.lower())[:5]


def _once(drafts: Sequence[Drafted]) -> list[Drafted]:
    return list({one.sentence: one for one in reversed(drafts)}.values())[::-1]
