"""What is claimed of every set of clauses, and how each claim is refuted: by the smallest case that breaks it.

This imports z3, through the model.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from constitution.profile_texts import Narrowing, ProfileText
from constitution.proofs.answers import Answer, Counterexample
from constitution.proofs.model import Case, Formula, Model, Unfinished, new_context
from constitution.proofs.subject import Member, Subject
from constitution.proofs.values import Atlas, Atom
from constitution.texts import Dimension, Scope
from constitution.vocabulary import Context, near

Members = tuple[Member, ...]

MOST_NAMED = 5
SAYS = {"refers_to": "refers to", "precedes": "precedes", "exclusive_with": "excludes"}


class View:
    """Some members of a subject, and the solver's model of all that can matter to them."""

    def __init__(self, subject: Subject, members: Sequence[Member], model: Model) -> None:
        self.subject = subject
        self.model = model
        # What the clauses name themselves: a reader knows these values, so a counterexample prefers them.
        self._named = {atom for member in members for scope in scopes_of(member) for atom in _atoms(scope)}

    def conditions(self, member: Member, situation: int = 0) -> list[Formula]:
        """All that must be so for `member` to hold under the given profile, or under any that there can be."""
        met = [self.model.holds(scope, situation) for scope in scopes_of(member)]
        if member.is_open and self.subject.profile is None:
            met += self.model.is_narrowing_met(situation)
        return met

    def is_in_force(self, member: Member) -> Formula:
        return self.model.all(self.conditions(member))

    def is_out(self, member: Member) -> Formula:
        return self.model.negate(self.is_in_force(member))

    def is_taken(self, member: Member) -> Formula:
        """A profile's narrowing alone keeps `member` out of force."""
        return self.model.all([self.model.holds(member.clause.scope), self.is_out(member)])

    def can_hold(self, *members: Member) -> Formula:
        """All of `members` hold under the given profile, or under one that narrows nothing: a legal one, too."""
        return self.model.all(self.model.holds(scope) for member in members for scope in scopes_of(member))

    def is_lost(self, member: Member) -> Formula:
        """One of the conditions of `member` is met, and in the second situation, which knows more, is not."""
        pairs = zip(self.conditions(member), self.conditions(member, 1), strict=True)
        return self.model.any(self.model.all([before, self.model.negate(after)]) for before, after in pairs)

    def smallest(self, formula: Formula) -> Case | None:
        return self.model.smallest(formula, self._named)


@dataclass(frozen=True)
class Proving:
    """A subject to make claims about; the proofs are over by `until`, as `time.monotonic` counts."""

    subject: Subject
    until: float

    @cached_property
    def _atlas(self) -> Atlas:
        return Atlas(self.subject.known)

    @cached_property
    def _context(self) -> Any:
        return new_context()

    def view(self, members: Sequence[Member]) -> View:
        """The members with a model of their own: what matters to others only is not in the solver's way."""
        return View(self.subject, members, self.model(scope for member in members for scope in scopes_of(member)))

    def model(self, scopes: Iterable[Scope]) -> Model:
        return Model(self._atlas.matter(scopes), until=self.until, context=self._context)

    def where(self, *members: Member) -> Context | None:
        """The smallest context in which all of `members` can hold."""
        view = self.view(members)
        case = view.smallest(view.can_hold(*members))
        return case.contexts[0] if case else None

    def broken(self, suspects: Sequence[Members], is_broken: Callable[..., Formula]) -> tuple[Members, Case] | None:
        """The first of `suspects` for which View.`is_broken` can be true, with a smallest case; None if none can."""
        if not suspects:
            return None
        view = self.view(list({member: None for members in suspects for member in members}))
        formulas = {members: is_broken(view, *members) for members in suspects}
        case = view.model.case(view.model.any(formulas.values()))
        if case is None:
            return None
        members = next(members for members, formula in formulas.items() if case.has(formula))
        close = self.view(members)
        return members, close.smallest(is_broken(close, *members)) or case

    def shown(self, case: Case, member: Member) -> ProfileText | None:
        """A profile under which `case` is so: the given one, or one that narrows `member` as the case has it."""
        if self.subject.profile or not (case.narrowing and member.is_open):
            return self.subject.profile
        narrowing = Narrowing(principle=member.id, scope=case.narrowing, reason="An example of what a profile may ask.")
        return ProfileText(slug="any-profile", name="Any profile", narrowings=(narrowing,))


def universal(proving: Proving) -> Answer:
    """Refuted by a context and a profile under which a universal clause is not in force."""
    suspects: list[Members] = [(member,) for member in proving.subject.members if member.is_universal]
    found = proving.broken(suspects, View.is_out)
    if found is None:
        return Answer(len(suspects))
    (member,), case = found
    context, profile = case.contexts[0], proving.shown(case, member)
    why = f"it holds only for {_asked(member.clause.scope)}"
    if not member.clause.scope:
        why = f"a profile narrows it to {_asked(member.narrowing or case.narrowing)}"
    sentence = f"With {_given(context)}, {member.id} is universal and yet not in force: {why}."
    return Answer(len(suspects), Counterexample(context, (member.id,), sentence, profile))


def reach(proving: Proving) -> Answer:
    """Refuted by a context in which a clause that precedes a universal one holds with it, or a profile takes one away.

    The clauses that any legal profile adds need no place in the model: they may precede none that is universal, so
    whatever they precede, the last step towards a universal clause is one that the version itself takes.
    """
    subject = proving.subject
    universal = [member for member in subject.members if member.is_universal]
    n = len(subject.precedences) + len(universal)
    step = proving.broken([pair for pair in subject.precedences if pair[1].is_universal], View.can_hold)
    if step is None:
        return Answer(n, _taken(proving, universal, "which is universal and says it may be narrowed"))
    (one, other), case = step
    context = case.contexts[0]
    sentence = f"{_where(context)}, {one.id} precedes {other.id}, which is universal: nothing may precede it."
    return Answer(n, Counterexample(context, (one.id, other.id), sentence, subject.profile))


def acyclic(proving: Proving) -> Answer:
    """Refuted by a shortest circle, with a context in which all of it holds if there is one and it is found."""
    circle = proving.subject.circle()
    n = len(proving.subject.precedences)
    if not circle:
        return Answer(n)
    names = tuple(member.id for member in circle)
    round_trip = f"{names[0]} precedes {', which precedes '.join([*names[1:], names[0]])}"
    context: Context | None = None
    ending = ""
    try:
        context = proving.where(*circle)
        ending = "" if context is not None else " No context has all of them in force."
    except Unfinished:
        ending = " Whether any context has all of them in force is not known: there are too many."
    start = "Precedence runs in a circle" if context is None else f"{_where(context)}, precedence runs in a circle"
    sentence = f"{start}: {round_trip}.{ending}"
    return Answer(n, Counterexample(context or {}, names, sentence, proving.subject.profile))


def reachable(proving: Proving) -> Answer:
    """Refuted by the clauses that hold nowhere; else a witness for each. Equal scopes are asked about once."""
    members = proving.subject.members
    asked: dict[str, Context | None] = {}
    witnesses: dict[str, Context] = {}
    for member in members:
        key = repr(scopes_of(member))
        if key not in asked:
            asked[key] = proving.where(member)
        context = asked[key]
        if context is not None:
            witnesses[member.id] = context
    lost = [member for member in members if member.id not in witnesses]
    if not lost:
        return Answer(len(members), witnesses=witnesses)
    context, unmet = _closest(proving, lost[0])
    others = tuple(member.id for member in lost[1:])
    sentence = f"No context brings {lost[0].id} into force: nothing meets {' and '.join(map(_asked, unmet))}."
    sentence += f" The same goes for {_some(others)}." if others else ""
    counterexample = Counterexample(context, (lost[0].id, *others), sentence, proving.subject.profile)
    return Answer(len(members), counterexample, witnesses)


def exclusive(proving: Proving) -> Answer:
    """Refuted by a context in which two clauses that exclude each other hold, neither preceding the other."""
    n = sum(len(member.clause.exclusive_with) for member in proving.subject.members)
    found = proving.broken(proving.subject.unordered_exclusives(), View.can_hold)
    if found is None:
        return Answer(n)
    (one, other), case = found
    sentence = (
        f"{_where(case.contexts[0])}, {one.id} and {other.id} both hold: they exclude each other, and neither precedes "
        "the other."
    )
    return Answer(n, Counterexample(case.contexts[0], (one.id, other.id), sentence, proving.subject.profile))


def monotone(proving: Proving) -> Answer:
    """Refuted by two contexts of which the wider one loses a clause, or by a narrowing that its clause forbids.

    A profile's clauses are added beside the base's: what they say is in no formula of a base clause, so they can take
    none away. Both contexts are under the same profile, its defaults filled in.
    """
    members = proving.subject.members
    closed = [member for member in members if member.is_universal or not member.is_open]
    return Answer(len(members), _lost(proving) or _taken(proving, closed, "which no profile may narrow"))


def _lost(proving: Proving) -> Counterexample | None:
    """A clause that the wider context loses. Clauses with equal conditions are asked about once."""
    alike = {f"{scopes_of(member)} {member.is_open}": member for member in proving.subject.members}
    for member in alike.values():
        view = proving.view([member])
        case = view.smallest(view.is_lost(member))
        if case:
            narrow, wide = case.contexts
            sentence = f"With {_given(wide)}, {member.id} loses a condition that is met with {_given(narrow)}."
            return Counterexample(wide, (member.id,), sentence, proving.shown(case, member), before=narrow)
    return None


def _taken(proving: Proving, members: Sequence[Member], why_not: str) -> Counterexample | None:
    """A clause among `members` that a profile's narrowing takes away."""
    found = proving.broken([(member,) for member in members], View.is_taken)
    if found is None:
        return None
    (member,), case = found
    sentence = f"With {_given(case.contexts[0])}, a profile takes {member.id} away, {why_not}."
    return Counterexample(case.contexts[0], (member.id,), sentence, proving.shown(case, member))


def names(proving: Proving) -> Answer:
    """Refuted by the clauses and values that are named and do not exist. The solver only finds a context to look at."""
    subject = proving.subject
    relations = list(subject.relations())
    scopes = [(member, atom) for member in subject.members for atom in _atoms(member.clause.scope)]
    n = len(relations) + len(scopes)
    lost = [(member, relation, name) for member, relation, name, other in relations if other is None]
    strange = [(member, *atom) for member, atom in scopes if atom[1] not in subject.known.nodes.get(atom[0], {})]
    who = [member for member, _, _ in [*lost, *strange]]
    if not who:
        return Answer(n)
    sentences = [
        f"{member.id} {SAYS[relation]} {name}, and there is no such clause." for member, relation, name in lost
    ]
    sentences += [_strange(subject, *each) for each in strange[:MOST_NAMED]]
    more = [f"And {len(who) - MOST_NAMED} more."] if len(who) > MOST_NAMED else []
    context, _ = _closest(proving, who[0])
    ids = tuple(dict.fromkeys(member.id for member in who))
    return Answer(n, Counterexample(context, ids, " ".join(sentences[:MOST_NAMED] + more), subject.profile))


# In the order in which a reader wants them: what may never fail first.
CLAIMS: Mapping[str, tuple[str, Callable[[Proving], Answer]]] = {
    "universal": (
        "Every universal clause is in force in every context, whatever a profile adds or narrows.",
        universal,
    ),
    "reach": ("No precedence and no profile reaches a universal clause.", reach),
    "acyclic": ("Precedence never runs in a circle.", acyclic),
    "reachable": ("Every clause is in force in some context.", reachable),
    "exclusive": (
        "Clauses that exclude each other never hold together unless one of them precedes the other.",
        exclusive,
    ),
    "monotone": (
        "Knowing more of a context takes no clause away, and a profile takes none that does not allow it.",
        monotone,
    ),
    "names": ("Every clause and every value that a clause names exists.", names),
}


def scopes_of(member: Member) -> list[Scope]:
    """The conditions on `member` that are known: its own scope, and what the given profile narrows it to."""
    return [scope for scope in (member.clause.scope, member.narrowing) if scope]


def _atoms(scope: Scope | Context) -> Iterator[Atom]:
    return ((dimension, value) for dimension, values in scope.items() for value in values)


def _closest(proving: Proving, member: Member) -> tuple[Context, list[Scope]]:
    """A context that meets as much of the member's scope as can be met, and the conditions that are left."""
    view = proving.view([member])
    context: Context = {}
    met: list[Formula] = []
    unmet: list[Scope] = []
    for condition in [{name: values} for scope in scopes_of(member) for name, values in scope.items()]:
        wider = view.smallest(view.model.all([*met, view.model.holds(condition)]))
        if wider is None:
            unmet.append(condition)
        else:
            met.append(view.model.holds(condition))
            context = wider.contexts[0]
    return context, unmet


def _strange(subject: Subject, member: Member, dimension: Dimension, value: str) -> str:
    meant = near(dimension, value, subject.known)
    hint = f" Did you mean {' or '.join(meant)}?" if meant else ""
    return f"{member.id} asks for the {dimension} “{value}”, which does not exist.{hint}"


def _where(context: Context) -> str:
    """The start of a sentence on what must hold in `context`, and in every wider one."""
    return f"With {_given(context)}" if context else "Whatever the context"


def _given(context: Context) -> str:
    """A context in words: all of it is so."""
    return (
        " and ".join(f"{dimension} {value}" for dimension, value in _atoms(context)) or "nothing known of the context"
    )


def _asked(scope: Scope) -> str:
    """A condition in words; a dimension without values is one that nothing meets."""
    return " and ".join(f"{name} {' or '.join(values) or '(no value)'}" for name, values in scope.items())


def _some(ids: tuple[str, ...]) -> str:
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    return ", ".join(ids[:MOST_NAMED]) + more
