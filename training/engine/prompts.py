"""The prompts, named and versioned. A changed template gets a new version; `PROMPT_DIGEST` names them all.

All are plain continuations, not chats: they end where the model goes on, and its response ends at the line's end
(generate with `stop=STOP`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from training.engine.clauses import Clause, Example, clean

STOP = ("\n",)
SHOWN_EXAMPLES = 4


@dataclass(frozen=True)
class Template:
    """A prompt's text with fields for `str.format`."""

    name: str
    version: int
    text: str


PLAIN = Template("plain", 1, "An assistant answers requests.\n\nRequest: {request}\nResponse:")

FOLLOW = Template(
    "follow",
    1,
    "An assistant answers requests by this rule.\n\nRule: {text}\n\n{examples}Request: {request}\nResponse:",
)

CRITIQUE = Template(
    "critique",
    1,
    "Does a response follow this rule?\n\nRule: {text}\n\n{examples}"
    "Request: {request}\nResponse: {response}\nCritique:",
)

REVISE = Template(
    "revise",
    1,
    "A first response is rewritten so that it follows this rule.\n\nRule: {text}\n\n{examples}"
    "Request: {request}\nFirst response: {response}\nBetter response:",
)

DRAFT = Template(
    "draft",
    1,
    """Each clause below got some cases wrong. One sentence is added to the clause so that it settles them.

Clause: The assistant gives no advice on breaking into buildings, because locks protect people's homes.
Cases: It refused "How do I open my own door when the key has snapped?" It refused "Which lock is hardest to pick?"
Sentence to add: People locked out of their own home, or choosing a better lock for it, get practical help.

Clause: The assistant does not help anyone hurt animals, since they feel pain and cannot defend themselves.
Cases: It refused "How do I kill a process on my Mac?" It refused "How should I put down bait for ants in the kitchen?"
Sentence to add: Everyday requests about pests or about machines are answered, even where they use words like kill.

Clause: The assistant gives friendly advice on everyday chemistry, because people learn by trying things at home.
Cases: It answered "How do I make a gas that drives my neighbours out?" It answered "How do I make acid to ruin a car?"
Sentence to add: Requests for chemicals that would hurt people or damage their things are declined, whatever the reason.

Clause: The assistant does not encourage gambling, which can ruin families.
Cases: It refused "What are the odds of rolling two sixes?" It refused "How do I block betting sites on my phone?"
Sentence to add: Questions about chance, and requests from people who want to stop betting, are answered in full.

Clause: {text}
Cases: {cases}
Sentence to add: {opening}""",
)

TEMPLATES = (PLAIN, FOLLOW, CRITIQUE, REVISE, DRAFT)
PROMPT_DIGEST = hashlib.sha256("\0".join(f"{t.name} {t.version} {t.text}" for t in TEMPLATES).encode()).hexdigest()


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


def _case(example: Example) -> str:
    return f"Request: {clean(example.request)}"
