"""An organisation's own clauses and context as values, and what a profile may not say. Pure.

A profile adds clauses of tiers 2 and 3 and narrows the clauses that allow it. It never touches a universal clause.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from typing import Annotated

from pydantic import Field, model_validator

from constitution.digests import digest
from constitution.errors import Refused
from constitution.texts import ClauseText, Example, Line, PrincipleId, Prose, Scope, Value
from constitution.vocabulary import Context, UnknownContext, Vocabulary, read_context

Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
MOST_CLAUSES = 500

# Words that carry no content: two requests that differ in these alone are the same request.
IDLE = re.compile(
    r"(a|an|and|are|as|at|be|by|can|could|do|does|for|from|how|i|in|is|it|me|my|of|on|or|please|that|the|this|to|we"
    r"|what|will|with|would|you|your)"
)
SET_ASIDE = re.compile(
    r"\b(ignor|overrid|overrul|overrode|disregard|bypass|suspend|supersed|waiv|disabl|circumvent|neglect|forget|exempt"
    r"|invalid|lift|cancel|repeal|replac|set(s|ting)? aside|(does|do|need) not (apply|hold)|no longer|exception)"
)
# These set aside what comes after them: "U-01 prevails over this" is as it should be.
RANK_ABOVE = re.compile(r"\b(prevail|outrank|trump|takes? (precedence|priority))")
ABOVE_ALL = (
    r"\buniversal\b|\btier[ -]?(1|one)\b|\bconstitution\b"
    r"|\b(all|any|every|other|previous|prior|above|preceding|earlier) (other |previous |prior |of the )*"
    r"(principle|clause|rule|instruction)s?\b"
)


class Narrowing(Value):
    """A base clause that the profile holds only within `scope`, and why."""

    principle: PrincipleId
    scope: Annotated[Scope, Field(min_length=1)]
    reason: Prose


class ProfileText(Value):
    """One wording of a profile. `context` is what its deployments are in, where a question does not say."""

    slug: Slug
    name: Line
    clauses: Annotated[tuple[ClauseText, ...], Field(max_length=MOST_CLAUSES)] = ()
    narrowings: Annotated[tuple[Narrowing, ...], Field(max_length=MOST_CLAUSES)] = ()
    context: Scope = {}

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> "ProfileText":
        if self.slug == "base":
            raise ValueError("“base” means the base constitution: choose another short name")
        if len({clause.principle for clause in self.clauses}) < len(self.clauses):
            raise ValueError("two clauses have the same id")
        if len({narrowing.principle for narrowing in self.narrowings}) < len(self.narrowings):
            raise ValueError("a clause is narrowed twice: write one narrowing with both conditions")
        if any(not values for scope in self._scopes() for values in scope.values()):
            raise ValueError("a scope names at least one value for each of its dimensions")
        return self

    def _scopes(self) -> Iterator[Scope]:
        yield self.context
        yield from (narrowing.scope for narrowing in self.narrowings)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the content; equal wordings have equal digests."""
        return digest(self.model_dump(mode="json"))

    def fill(self, context: Context) -> Context:
        """`context`, with the profile's own values for each dimension of which it says nothing."""
        return {**self.context, **context}


class ProfileRefused(Refused):
    """A profile that says what none may; `sentences` holds one reason for each place."""

    status = 400

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = tuple(sentences)


def check_profile(profile: ProfileText, base_clauses: Sequence[ClauseText], known: Vocabulary | None = None) -> None:
    """Raises ProfileRefused with everything in `profile` that must not be, for a base of `base_clauses`.

    Words are compared, not meanings: a paraphrase of a universal clause's example, or of "ignore it", is not found.
    The universal clause holds all the same.
    """
    base = {clause.principle: clause for clause in base_clauses}
    universal = [clause for clause in base_clauses if clause.tier == 1]
    found = list(_unknown_words(f"{profile.name}, context", profile.context, known))
    for clause in profile.clauses:
        found += _wrong_place(clause, base)
        found += _wrong_relations(clause, base, {own.principle for own in profile.clauses})
        found += _unknown_words(clause.principle, clause.scope, known)
        found += _contradictions(clause, universal)
        found += _set_aside(clause, universal)
    for narrowing in profile.narrowings:
        found += _wrong_narrowing(narrowing, base)
        found += _unknown_words(f"Narrowing of {narrowing.principle}", narrowing.scope, known)
    if found:
        raise ProfileRefused(found)


def _wrong_place(clause: ClauseText, base: dict[str, ClauseText]) -> Iterator[str]:
    name = clause.principle
    if clause.tier == 1:
        yield f"{name}: a profile cannot add a universal clause. Make it tier 2 or 3."
    if name in base:
        yield f"{name}: the base has a clause of this id, “{base[name].title}”. Give yours another."


def _wrong_relations(clause: ClauseText, base: dict[str, ClauseText], own: set[str]) -> Iterator[str]:
    for relation, names in (("precede", clause.precedes), ("exclude", clause.exclusive_with)):
        for name in names:
            if name in base and base[name].tier == 1:
                yield f"{clause.principle}: it cannot {relation} {name}, which is universal."
            elif name not in base and name not in own:
                yield f"{clause.principle}: it cannot {relation} {name}, because there is no such clause."


def _wrong_narrowing(narrowing: Narrowing, base: dict[str, ClauseText]) -> Iterator[str]:
    clause = base.get(narrowing.principle)
    if clause is None:
        yield f"Narrowing of {narrowing.principle}: the base has no such clause."
    elif clause.tier == 1:
        yield f"Narrowing of {clause.principle}: it is universal and holds everywhere."
    elif not clause.may_narrow:
        yield f"Narrowing of {clause.principle}: the clause does not allow a profile to narrow it."


def _unknown_words(place: str, scope: Scope, known: Vocabulary | None) -> Iterator[str]:
    """Values that do not exist, or that are not written as their id."""
    try:
        meant = read_context(scope, known)
    except UnknownContext as unknown:
        yield f"{place}: {unknown}"
        return
    for dimension, values in scope.items():
        if set(values) - set(meant.get(dimension, ())):
            yield f"{place}: write the {dimension} as {', '.join(meant[dimension])}, not as {', '.join(values)}."


def _contradictions(clause: ClauseText, universal: Sequence[ClauseText]) -> Iterator[str]:
    for mine in clause.examples:
        for law in universal:
            if any(_contradicts(mine, theirs) for theirs in law.examples):
                yield (
                    f"{clause.principle}: its example “{mine.request[:80]}” decides otherwise than an example of "
                    f"{law.principle}, which is universal."
                )


def _contradicts(mine: Example, theirs: Example) -> bool:
    """The same request, and the other decision or the very response that the universal clause calls wrong."""
    if not is_same_request(mine.request, theirs.request):
        return False
    return (mine.expects == "decline") != (theirs.expects == "decline") or is_same_request(mine.right, theirs.wrong)


def is_same_request(one: str, other: str) -> bool:
    """Whether the two ask the same in nearly the same words: idle words, case, accents and typing errors aside, words
    were only added (at most 30 %) or only left out (at most 20 %). One word put for another makes another request,
    since that is how a harmless request differs from a harmful one.
    """
    mine, theirs = _content(one), _content(other)
    if not mine or not theirs:
        return _plain(one) == _plain(other)
    if not 0.8 * len(theirs) <= len(mine) <= 1.3 * len(theirs):
        return False
    extra = [word for word in mine - theirs if not any(_is_alike(word, each) for each in theirs)]
    missing = [word for word in theirs - mine if not any(_is_alike(word, each) for each in mine)]
    return not missing or not extra


@lru_cache(maxsize=512)
def _content(request: str) -> frozenset[str]:
    return frozenset(word for word in re.findall(r"\w+", _plain(request)) if not IDLE.fullmatch(word))


def _is_alike(one: str, other: str) -> bool:
    """The same word with a typing error, for words of five letters and more."""
    if min(len(one), len(other)) < 5 or abs(len(one) - len(other)) > 2:
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= 0.85


def _set_aside(clause: ClauseText, universal: Sequence[ClauseText]) -> Iterator[str]:
    """The sentences of the clause that name a universal clause, or all clauses, and set them aside."""
    names = [re.escape(_plain(name)) for law in universal for name in (law.principle, law.title)]
    named = re.compile("|".join([ABOVE_ALL, *(rf"(?<!\w){name}(?!\w)" for name in names)]))
    for sentence in re.split(r"(?<=[.!?;])\s+|\n+", f"{clause.title}.\n{clause.text}"):
        plain = _plain(sentence)
        ranked = any(named.search(plain, above.end()) for above in RANK_ABOVE.finditer(plain))
        if ranked or (SET_ASIDE.search(plain) and named.search(plain)):
            yield (
                f"{clause.principle}: “{sentence[:120]}” speaks of setting aside what holds everywhere. "
                "A profile cannot; leave the sentence out."
            )


def _plain(text: str) -> str:
    """`text` as it is compared: compatible forms made one, invisible marks and accents gone, small letters."""
    letters = unicodedata.normalize("NFKD", text)
    seen = (letter for letter in letters if unicodedata.category(letter) not in {"Mn", "Cf"})
    return " ".join("".join(seen).casefold().split())
