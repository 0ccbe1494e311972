"""What keeps a machine's draft from people's eyes: reasons in words, found before anybody reads it. Pure.

A person may propose what is refused here; a machine may not, as it can write more than anybody could read.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from amendments.likeness import sketch
from amendments.operations import Operation, apply
from amendments.opposed import opposed_anew
from constitution.errors import Refused
from constitution.models import Tier
from constitution.texts import ClauseText

# Characters, about four to a token: of one clause, and of all clauses of a tier together.
CLAUSE_BUDGET = 1200
TIER_BUDGET = {2: 60_000, 3: 30_000}
NEARLY_THE_SAME, SAID_TWICE = 0.9, 0.65
_SENTENCE = re.compile(r"[^.!?]*[.!?]+[\"”]?")
_MARKUP = re.compile(r"</?[a-z!][^>]*>|&#?\w+;|\]\(|javascript:", re.IGNORECASE)
_PRINCIPLE = re.compile(r"\b[A-Z]-[0-9]{2,3}\b")
_WATCHING = r"(?:oversight|overseers?|reviewers?|operators?|developers?|audits?|monitoring|logging)"
_LESS_OVERSIGHT = (
    rf"\bwithout (?:any |further |prior |human )*(?:{_WATCHING}|review|approval)\b",
    rf"\b(?:ignor|bypass|evad|avoid|disabl|circumvent|overrid|resist|deceiv|mislead)\w*\b[^.]*\b{_WATCHING}\b",
    rf"\b(?:hid(?:e|es|den|ing)|conceal\w*|withhold\w*|keeps? secret)\b[^.]*\b{_WATCHING}\b",
    r"\b(?:resist|refus|prevent|avoid)\w*\b[^.]*\b(?:shut ?down|switched off|paused|corrected|retrained)\b",
    r"\b(?:propos|demand|suggest)\w* to (?:repeal|remove|delete|retire|weaken)\b",
    r"\b(?:ignore|disregard|forget|lift|suspend)(?:ed)?\b[^.]*\b(?:rules?|clauses?|instructions?|constitution)\b",
    r"\b(?:rules?|clauses?|constitution)\b[^.]*\b(?:are|is) (?:lifted|suspended|void|repealed)\b",
    r"\b(?:prevails?|takes precedence) over (?:all|every|any|the universal)\b",
)
LESS_OVERSIGHT = re.compile("|".join(_LESS_OVERSIGHT), re.IGNORECASE)


def why_not(operations: Sequence[Operation], law: Sequence[ClauseText], *, open_texts: Iterable[str] = ()) -> list[str]:
    """Every reason for which a machine's amendment is not filed; none where it may be.

    `open_texts` are the wordings of what is proposed already, on the same clauses.
    """
    try:
        after = apply(operations, law)
    except Refused as refused:
        return [str(refused)]
    known = {clause.principle: clause for clause in law}
    changed = [clause for clause in after if known.get(clause.principle) != clause]
    gone = known.keys() - {clause.principle for clause in after}
    if not changed and not gone:
        return ["The constitution says that already."]
    said, examples = _new_sentences(changed, law), _new_examples(changed, law)
    return [
        *_universal([*changed, *(known[name] for name in gone)], known),
        *_wording([*said, *examples]),
        *_naming(said, examples, {clause.principle for clause in after}, known),
        *_budget(changed, known, after),
        *_scopes(changed, known),
        *_dangling(gone, after),
        *_opposed(after, law),
        *_said(said, changed, known, list(open_texts)),
    ]


def likeness(one: str, other: str) -> float:
    """The share of common runs of all runs of both texts, from 0 to 1."""
    first, second = (_marks(text) for text in (one, other))
    return len(first & second) / len(first | second) if first | second else 0.0


def sentences_of(text: str) -> list[str]:
    """The sentences of a text; what follows the last end mark is one too."""
    found = [part.strip() for part in _SENTENCE.findall(text)]
    rest = _SENTENCE.sub("", text).strip()
    return [part for part in (*found, rest) if part]


@lru_cache(maxsize=4096)
def _marks(text: str) -> frozenset[bytes]:
    marks = sketch(text).marks
    return frozenset(marks[start : start + 2] for start in range(0, len(marks), 2))


def _new_sentences(changed: Sequence[ClauseText], law: Sequence[ClauseText]) -> list[str]:
    """The sentences and titles that no clause has yet."""
    old = {part for clause in law for part in (*sentences_of(clause.text), clause.title)}
    return [part for clause in changed for part in (*sentences_of(clause.text), clause.title) if part not in old]


def _new_examples(changed: Sequence[ClauseText], law: Sequence[ClauseText]) -> list[str]:
    """What is asked and answered in examples that no clause has yet."""
    old = {example for clause in law for example in clause.examples}
    new = [example for clause in changed for example in clause.examples if example not in old]
    return [text for example in new for text in (example.request, example.right, example.wrong)]


def _universal(touched: Sequence[ClauseText], known: dict[str, ClauseText]) -> list[str]:
    tiers = {clause.tier for clause in touched} | {known[c.principle].tier for c in touched if c.principle in known}
    return ["It touches a universal clause, which is left to people."] if Tier.UNIVERSAL.value in tiers else []


def _wording(added: Sequence[str]) -> list[str]:
    text = "\n".join(added)
    found = ["Its wording would lessen what people oversee."] if LESS_OVERSIGHT.search(text) else []
    return [*found, "It holds markup."] if _MARKUP.search(text) else found


def _naming(said: Sequence[str], examples: Sequence[str], names: set[str], known: dict[str, ClauseText]) -> list[str]:
    found = []
    universal = [name for name, clause in known.items() if Tier(clause.tier) == Tier.UNIVERSAL]
    # An id that is a word like any other says nothing by being there.
    names_of_law = [re.escape(name) for name in universal if not name.isalpha()]
    if names_of_law and re.search(rf"(?<![\w-])(?:{'|'.join(names_of_law)})(?![\w-])", " ".join([*said, *examples])):
        found.append("It speaks of a universal clause.")
    if missing := sorted(set(_PRINCIPLE.findall(" ".join(said))) - names):
        found.append(f"It names {', '.join(missing)}, which is no clause.")
    return found


def _budget(changed: Sequence[ClauseText], known: dict[str, ClauseText], after: Sequence[ClauseText]) -> list[str]:
    found = []
    for clause in changed:
        was = len(known[clause.principle].text) if clause.principle in known else 0
        if len(clause.text) > max(CLAUSE_BUDGET, was):
            found.append(f"{clause.principle} would have more than {CLAUSE_BUDGET:,} characters.")
    for tier in sorted({clause.tier for clause in changed} & TIER_BUDGET.keys()):
        length, was = _length(after, tier), _length(known.values(), tier)
        if length > max(TIER_BUDGET[tier], was):
            found.append(f"Tier {tier} would have more than {TIER_BUDGET[tier]:,} characters.")
    return found


def _length(clauses: Iterable[ClauseText], tier: int) -> int:
    return sum(len(clause.text) for clause in clauses if clause.tier == tier)


def _scopes(changed: Sequence[ClauseText], known: dict[str, ClauseText]) -> list[str]:
    wider = [
        clause.principle
        for clause in changed
        if clause.principle in known
        and any(
            not set(clause.scope.get(name, ())) or not set(clause.scope[name]) <= set(values)
            for name, values in known[clause.principle].scope.items()
        )
    ]
    return [f"It would let {', '.join(wider)} hold in more contexts."] if wider else []


def _dangling(gone: Iterable[str], after: Sequence[ClauseText]) -> list[str]:
    found = []
    for name in sorted(gone):
        pointing = [
            clause.principle
            for clause in after
            if name in {*clause.refers_to, *clause.precedes, *clause.exclusive_with} or name in clause.text
        ]
        if pointing:
            found.append(f"{name} would go, and {', '.join(pointing)} still names it.")
    return found


def _opposed(after: Sequence[ClauseText], law: Sequence[ClauseText]) -> list[str]:
    """Requests that it would have decided in opposite ways, and that are not so yet."""
    return [f"It contradicts a decided example: {one.sentence}" for one in opposed_anew(after, law)]


def _said(
    said: Sequence[str], changed: Sequence[ClauseText], known: dict[str, ClauseText], open_texts: Sequence[str]
) -> list[str]:
    """Whether it is proposed already, or the clause says it already, in nearly the same words."""
    found = []
    if said and any(likeness(clause.text, text) > NEARLY_THE_SAME for clause in changed for text in open_texts):
        found.append("Nearly the same is proposed already.")
    before = [
        part for clause in changed if clause.principle in known for part in sentences_of(known[clause.principle].text)
    ]
    if any(likeness(part, other) > SAID_TWICE for part in said for other in before):
        found.append("The clause says nearly the same already.")
    return found
