"""What is claimed of every set of clauses, and how each claim is refuted: by the smallest case that breaks it.

This imports z3, through the model.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from constitution.profile_texts import Narrowing, ProfileText
from constitution.proofs.answers import Answer, Counterexample
from constitution.proofs.model import Case, Formula, Model
from constitution.proofs.subject import Member, Subject
from constitution.proofs.values import Atom, Values, matter
from constitution.texts import Dimension, Scope
from constitution.vocabulary import Context, near

MOST_NAMED = 5
SAYS = {"refers_to": "refers to", "precedes": "precedes", "exclusive_with": "excludes"}


@dataclass(frozen=True)
class Proving:
    """A subject with the solver's model of it; the proofs are over by `until`, as `time.monotonic` counts."""

    subject: Subject
    until: float

    @cached_property
    def values(self) -> Values:
        return matter((scope for member in self.subject.members for scope in _scopes(member)), self.subject.known)

    @cached_property
    def named(self) -> frozenset[Atom]:
        """What the clauses themselves name: a reader knows these values, so a counterexample prefers them."""
        return frozenset(atom for member in self.subject.members for scope in _scopes(member) for atom in _atoms(scope))

    @cached_property
    def model(self) -> Model:
        return Model(self.values, until=self.until)

    def conditions(self, member: Member, situation: int = 0) -> list[Formula]:
        """All that must be so for `member` to hold under the given profile, or under any that there can be."""
        met = [self.model.holds(scope, situation) for scope in _scopes(member)]
        if member.is_open and self.subject.profile is None:
            met += self.model.is_narrowing_met(situation)
        return met

    def is_in_force(self, member: Member, situation: int = 0) -> Formula:
        return self.model.all(self.conditions(member, situation))

    def can_hold(self, *members: Member) -> Formula:
        """All of `members` hold under the given profile, or under one that narrows nothing: a legal one, too."""
        return self.model.all(self.model.holds(scope) for member in members for scope in _scopes(member))

    def is_taken(self, member: Member) -> Formula:
        """A profile's narrowing alone keeps `member` out of force."""
        model = self.model
        return model.all([model.holds(member.clause.scope), model.negate(self.is_in_force(member))])

    def where(self, formula: Formula) -> Context | None:
        """The smallest context in which `formula` can be true."""
        case = self.model.smallest(formula, self.named)
        return case.contexts[0] if case else None

    def shown(self, case: Case, member: Member) -> ProfileText | None:
        """A profile under which `case` is so: the given one, or one that narrows `member` as the case has it."""
        if self.subject.profile or not (case.narrowing and member.is_open):
            return self.subject.profile
        narrowing = Narrowing(principle=member.id, scope=case.narrowing, reason="An example of what a profile may ask.")
        return ProfileText(slug="any-profile", name="Any profile", narrowings=(narrowing,))


def universal(proving: Proving) -> Answer:
    """Refuted by a context and a profile under which a universal clause is not in force."""
    model = proving.model
    ruled = {
        member: model.negate(proving.is_in_force(member)) for member in proving.subject.members if member.is_universal
    }
    case = model.smallest(model.any(ruled.values()), proving.named)
    if case is None:
        return Answer(len(ruled))
    member = next(member for member, is_out in ruled.items() if case.has(is_out))
    why = f"it holds only for {_asked(member.clause.scope)}"
    if case.has(model.holds(member.clause.scope)):
        why = f"a profile narrows it to {_asked(member.narrowing or case.narrowing)}"
    sentence = f"With {_given(case.contexts[0])}, {member.id} is universal and yet not in force: {why}."
    return Answer(
        len(ruled), Counterexample(case.contexts[0], (member.id,), sentence, profile=proving.shown(case, member))
    )


def reach(proving: Proving) -> Answer:
    """Refuted by a context in which a clause that precedes a universal one holds with it, or a profile takes one away.

    The clauses that any legal profile adds need no place in the model: they may precede none that is universal, so
    whatever they precede, the last step towards a universal clause is one that the version itself takes.
    """
    model, subject = proving.model, proving.subject
    steps = {pair: proving.can_hold(*pair) for pair in subject.precedences if pair[1].is_universal}
    taken = {member: proving.is_taken(member) for member in subject.members if member.is_universal}
    n = len(subject.precedences) + len(taken)
    case = model.smallest(model.any([*steps.values(), *taken.values()]), proving.named)
    if case is None:
        return Answer(n)
    context = case.contexts[0]
    for (one, other), meet in steps.items():
        if case.has(meet):
            sentence = f"{_where(context)}, {one.id} precedes {other.id}, which is universal: nothing may precede it."
            return Answer(n, Counterexample(context, (one.id, other.id), sentence, profile=subject.profile))
    member = next(member for member, is_taken in taken.items() if case.has(is_taken))
    sentence = (
        f"With {_given(context)}, a profile takes {member.id} away, which is universal and says it may be narrowed."
    )
    return Answer(n, Counterexample(context, (member.id,), sentence, profile=proving.shown(case, member)))


def acyclic(proving: Proving) -> Answer:
    """Refuted by a shortest circle, with a context in which all of it holds if there is one."""
    circle = proving.subject.circle()
    n = len(proving.subject.precedences)
    if not circle:
        return Answer(n)
    names = tuple(member.id for member in circle)
    round_trip = f"{names[0]} precedes {', which precedes '.join([*names[1:], names[0]])}"
    context = proving.where(proving.can_hold(*circle))
    if context is None:
        sentence = f"Precedence runs in a circle: {round_trip}. No context has all of them in force."
        return Answer(n, Counterexample({}, names, sentence))
    sentence = f"{_where(context)}, precedence runs in a circle: {round_trip}."
    return Answer(n, Counterexample(context, names, sentence, profile=proving.subject.profile))


def reachable(proving: Proving) -> Answer:
    """Refuted by the clauses that hold nowhere; else a witness for each. Equal scopes are asked about once."""
    asked: dict[str, Context | None] = {}
    witnesses: dict[str, Context] = {}
    for member in proving.subject.members:
        key = repr(_scopes(member))
        if key not in asked:
            asked[key] = proving.where(proving.can_hold(member))
        context = asked[key]
        if context is not None:
            witnesses[member.id] = context
    lost = [member for member in proving.subject.members if member.id not in witnesses]
    if not lost:
        return Answer(len(witnesses), witnesses=witnesses)
    context, unmet = _closest(proving, lost[0])
    others = tuple(member.id for member in lost[1:])
    sentence = f"No context brings {lost[0].id} into force: nothing meets {' and '.join(map(_asked, unmet))}."
    sentence += f" The same goes for {_some(others)}." if others else ""
    counterexample = Counterexample(context, (lost[0].id, *others), sentence, profile=proving.subject.profile)
    return Answer(len(proving.subject.members), counterexample, witnesses)


def exclusive(proving: Proving) -> Answer:
    """Refuted by a context in which two clauses that exclude each other hold, neither preceding the other."""
    model, pairs = proving.model, proving.subject.unordered_exclusives()
    partners: dict[Member, list[Member]] = {}
    for one, other in pairs:
        partners.setdefault(one, []).append(other)
    meet = [
        model.all([proving.can_hold(one), model.any(proving.can_hold(other) for other in others)])
        for one, others in partners.items()
    ]
    n = sum(len(member.clause.exclusive_with) for member in proving.subject.members)
    case = model.smallest(model.any(meet), proving.named)
    if case is None:
        return Answer(n)
    one, other = next(pair for pair in pairs if case.has(proving.can_hold(*pair)))
    sentence = (
        f"{_where(case.contexts[0])}, {one.id} and {other.id} both hold: they exclude each other, and neither precedes "
        "the other."
    )
    return Answer(n, Counterexample(case.contexts[0], (one.id, other.id), sentence, profile=proving.subject.profile))


def monotone(proving: Proving) -> Answer:
    """Refuted by two contexts of which the wider one loses a clause, or by a narrowing that its clause forbids.

    A profile's clauses are added beside the base's: what they say is in no formula of a base clause, so they can take
    none away. Both contexts are under the same profile, its defaults filled in.
    """
    members = proving.subject.members
    return Answer(len(members), _lost(proving) or _taken_wrongly(proving))


def _lost(proving: Proving) -> Counterexample | None:
    """A clause that the wider context loses, because one of its conditions, met before, is not met any more."""
    conditions = {
        before.get_id(): (member, before, after)
        for member in proving.subject.members
        for before, after in zip(proving.conditions(member), proving.conditions(member, 1), strict=True)
    }
    model = proving.model
    for member, before, after in conditions.values():
        case = model.smallest(model.all([before, model.negate(after)]), proving.named)
        if case:
            narrow, wide = case.contexts
            sentence = f"With {_given(wide)}, {member.id} loses a condition that is met with {_given(narrow)}."
            return Counterexample(wide, (member.id,), sentence, proving.shown(case, member), before=narrow)
    return None


def _taken_wrongly(proving: Proving) -> Counterexample | None:
    closed = [member for member in proving.subject.members if member.is_universal or not member.is_open]
    taken = {member: proving.is_taken(member) for member in closed}
    case = proving.model.smallest(proving.model.any(taken.values()), proving.named)
    if case is None:
        return None
    context = case.contexts[0]
    member = next(member for member, is_taken in taken.items() if case.has(is_taken))
    sentence = f"With {_given(context)}, a profile takes {member.id} away, which no profile may narrow."
    return Counterexample(context, (member.id,), sentence, profile=proving.shown(case, member))


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


def _scopes(member: Member) -> list[Scope]:
    return [scope for scope in (member.clause.scope, member.narrowing) if scope]


def _atoms(scope: Scope | Context) -> Iterator[Atom]:
    return ((dimension, value) for dimension, values in scope.items() for value in values)


def _closest(proving: Proving, member: Member) -> tuple[Context, list[Scope]]:
    """A context that meets as much of the member's scope as can be met, and the conditions that are left."""
    conditions: list[Scope] = [{dimension: values} for scope in _scopes(member) for dimension, values in scope.items()]
    context: Context = {}
    met: list[Formula] = []
    unmet: list[Scope] = []
    for condition in conditions:
        wider = proving.where(proving.model.all([*met, proving.model.holds(condition)]))
        if wider is None:
            unmet.append(condition)
        else:
            met.append(proving.model.holds(condition))
            context = wider
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
