"""The prompts, named and versioned. Their texts are files, and a changed text is a new file: `follow-2.txt` beside
`follow-1.txt`. `PROMPT_DIGEST` names them all, `LISTING` says which they are.

All are plain continuations, not chats: they end where the model goes on, and its response ends at the line's end
(generate with `stop=STOP`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.engine.clauses import Clause, Example, clean

FOLDER = Path(__file__).parent / "templates"
STOP = ("\n",)
SHOWN_EXAMPLES = 4


@dataclass(frozen=True)
class Template:
    """A prompt's text with fields for `str.format`."""

    name: str
    version: int
    text: str

    @property
    def label(self) -> str:
        """As files are named, and as people are told: "follow-1"."""
        return f"{self.name}-{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def _read(name: str, version: int) -> Template:
    return Template(name, version, (FOLDER / f"{name}-{version}.txt").read_text(encoding="utf-8").removesuffix("\n"))


PLAIN = _read("plain", 1)
FOLLOW = _read("follow", 1)
CRITIQUE = _read("critique", 1)
REVISE = _read("revise", 1)
DRAFT = _read("draft", 1)
REDRAFT = {"benign": _read("redraft-help", 1), "harmful": _read("redraft-decline", 1)}
SERVED_DRAFT = _read("served-draft", 1)
DECIDE = {"benign": _read("decide-help", 1), "harmful": _read("decide-decline", 1)}

TEMPLATES = (PLAIN, FOLLOW, CRITIQUE, REVISE, DRAFT, *REDRAFT.values(), SERVED_DRAFT, *DECIDE.values())
PROMPT_DIGEST = hashlib.sha256("\0".join(f"{t.name} {t.version} {t.text}" for t in TEMPLATES).encode()).hexdigest()
LISTING = tuple((t.label, t.digest) for t in TEMPLATES)


def plain(request: str) -> str:
    """The request with no constitution."""
    return PLAIN.text.format(request=clean(request))


def follow(clause: Clause, request: str) -> str:
    """The request under a clause and its decided examples."""
    shown = "".join(_case(e) + f"\nResponse: {clean(e.right)}\n\n" for e in balanced(clause.examples))
    return FOLLOW.text.format(text=clean(clause.text), examples=shown, request=clean(request))


def follow_head(clause: Clause) -> str:
    """What all prompts of `follow` under a clause begin with."""
    return follow(clause, "").removesuffix("\nResponse:").rstrip()


def critique(clause: Clause, request: str, response: str) -> str:
    """Asks whether a response follows the clause; worked examples alternate right and wrong responses."""
    shown = ""
    for number, e in enumerate(balanced(clause.examples)):
        answer, finding = (e.right, "It follows the rule.") if number % 2 else (e.wrong, "It breaks the rule.")
        shown += _case(e) + f"\nResponse: {clean(answer)}\nCritique: {finding}\n\n"
    return CRITIQUE.text.format(
        text=clean(clause.text), examples=shown, request=clean(request), response=clean(response)
    )


def revise(clause: Clause, request: str, response: str) -> str:
    """Asks for a response that follows the clause in place of one that may not."""
    shown = "".join(
        _case(e) + f"\nFirst response: {clean(e.wrong)}\nBetter response: {clean(e.right)}\n\n"
        for e in balanced(clause.examples)
    )
    return REVISE.text.format(text=clean(clause.text), examples=shown, request=clean(request), response=clean(response))


def draft(clause: Clause, opening: str, *, refused: Sequence[str] = (), answered: Sequence[str] = ()) -> str:
    """Asks for a sentence that, added to the clause, settles requests that it wrongly refused or answered.

    The sentence begins with `opening`: a small model that is led into the sentence stays with its subject.
    """
    cases = [f'It refused "{clean(request, limit=200)}"' for request in refused]
    cases += [f'It answered "{clean(request, limit=200)}"' for request in answered]
    return DRAFT.text.format(text=clean(clause.text), cases=" ".join(cases), opening=opening)


@dataclass(frozen=True)
class Lesson:
    """What people accepted: the clause as it was, the requests that it had got wrong, and what was added, a sentence or
    the right answer to the one request. `label` is what the requests are: harmful or benign."""

    text: str
    requests: tuple[str, ...]
    added: str
    label: str


def redraft(
    clause: Clause, label: str, requests: Sequence[str], *, opening: str = "", lessons: Sequence[Lesson] = ()
) -> str:
    """Asks for a whole sentence that settles requests of this label, which the clause got wrong; it begins with
    `opening`. Beside them stands a decided case that the clause gets right. The lessons of the same label come last
    before the clause, in their order.
    """
    shown = "".join(
        f"Clause: {clean(one.text, limit=600)}\nCases: {_mistakes(label, one.requests)}\n"
        f"Sentence to add: {clean(one.added, limit=400)}\n\n"
        for one in lessons
        if one.label == label
    )
    kept = "decline" if label == "benign" else "help"
    right = next((e.request for e in clause.examples if e.expects == kept), "")
    cases = _mistakes(label, requests)
    if right:
        cases += f' It was right to {"refuse" if label == "benign" else "answer"} "{clean(right, limit=200)}"'
    return REDRAFT[label].text.format(lessons=shown, text=clean(clause.text), cases=cases, opening=opening).rstrip()


def decide(clause: Clause, label: str, request: str, lessons: Sequence[Lesson]) -> str:
    """Asks for the right answer to a request of this label, after answers that people accepted to others of it."""
    shown = "".join(
        f"Clause: {clean(one.text, limit=600)}\nRequest: {clean(one.requests[0], limit=200)}\n"
        f"Response: {clean(one.added, limit=400)}\n\n"
        for one in lessons
        if one.label == label
    )
    return DECIDE[label].text.format(lessons=shown, text=clean(clause.text), request=clean(request, limit=200))


def served_draft(clause: Clause, label: str, requests: Sequence[str], lessons: Sequence[Lesson] = ()) -> str:
    """Asks a served model for the same, as JSON."""
    mistake, wanted = ("declined", "answered") if label == "benign" else ("answered", "declined")
    decided = ((e.request, "declined" if e.expects == "decline" else "answered") for e in balanced(clause.examples))
    return SERVED_DRAFT.text.format(
        text=_marked(clause.text),
        decided=" ".join(f'"{_marked(request, limit=200)}" is {what}.' for request, what in decided) or "Nothing yet.",
        cases=" ".join(f'"{_marked(request, limit=200)}"' for request in requests),
        lessons=" ".join(_marked(one.added, limit=400) for one in lessons if one.label == label) or "None yet.",
        mistake=mistake,
        wanted=wanted,
    )


def balanced(examples: Sequence[Example], count: int = SHOWN_EXAMPLES) -> list[Example]:
    """Up to `count` examples in turn: one that declines, one that helps, and so on, in the clause's order.

    Examples of style stand in where there are none of the two kinds.
    """
    decline = [e for e in examples if e.expects == "decline"]
    other = [e for e in examples if e.expects != "decline"]
    if not decline or not other:
        return [*decline, *other][:count]
    pairs = list(zip(decline, other, strict=False))[: count // 2]
    return [example for pair in pairs for example in pair]


def _mistakes(label: str, requests: Sequence[str]) -> str:
    did = "refused" if label == "benign" else "answered"
    return " ".join(f'It {did} "{clean(request, limit=200)}"' for request in requests)


def _marked(text: str, *, limit: int = 2000) -> str:
    """Cleaned, and without the angle brackets that the marks of a template are made of."""
    return clean(text, limit=limit).replace("<", "‹").replace(">", "›")


def _case(example: Example) -> str:
    return f"Request: {clean(example.request)}"
