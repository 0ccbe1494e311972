"""What the proofs are about: the clauses with the profile's, and what they say of each other. Pure.

Everything here is what the texts say, read at their word. That the resolver holds a universal clause whatever is
written about it is a second lock on the same door, and no part of what is proved.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

from constitution.profile_texts import ProfileText
from constitution.texts import ClauseText, Scope
from constitution.vocabulary import Vocabulary

Pair = tuple["Member", "Member"]


@dataclass(frozen=True, eq=False, slots=True)
class Member:
    """A clause under the id that it has in results.

    `is_open` says that a profile may narrow it; `narrowing` is what the given profile narrows it to.
    """

    id: str
    clause: ClauseText
    is_open: bool
    narrowing: Scope = field(default_factory=dict)

    @property
    def is_universal(self) -> bool:
        return self.clause.tier == 1


@dataclass(frozen=True)
class Subject:
    """The clauses of a version, each principle once, and those of `profile`; None stands for any legal profile."""

    clauses: Sequence[ClauseText]
    profile: ProfileText | None
    known: Vocabulary

    @cached_property
    def base(self) -> Mapping[str, Member]:
        narrowings = {each.principle: each.scope for each in (self.profile.narrowings if self.profile else ())}
        return {
            clause.principle: Member(
                clause.principle,
                clause,
                clause.may_narrow,
                narrowings.get(clause.principle, {}) if clause.may_narrow else {},
            )
            for clause in self.clauses
        }

    @cached_property
    def own(self) -> Mapping[str, Member]:
        """The profile's clauses by principle. Nobody narrows them."""
        profile = self.profile
        if profile is None:
            return {}
        return {each.principle: Member(f"{profile.slug}/{each.principle}", each, False) for each in profile.clauses}

    @property
    def members(self) -> list[Member]:
        return [*self.base.values(), *self.own.values()]

    def relations(self) -> Iterator[tuple[Member, str, str, Member | None]]:
        """(who, relation, name, whom): whom is None where there is no such clause.

        A clause of the base speaks of the base alone; one of a profile speaks of the base first, then of its own.
        """
        for names, seen in ((self.base, self.base), (self.own, {**self.own, **self.base})):
            for member in names.values():
                for relation in ("refers_to", "precedes", "exclusive_with"):
                    for name in getattr(member.clause, relation):
                        yield member, relation, name, seen.get(name)

    @cached_property
    def precedences(self) -> list[Pair]:
        """(prevailing, giving way) for each precedence, in the order of the document."""
        return [(one, other) for one, relation, _, other in self.relations() if relation == "precedes" and other]

    def unordered_exclusives(self) -> list[Pair]:
        """The pairs that exclude each other and have no precedence between them, straight or through others."""
        pairs = [(one, other) for one, relation, _, other in self.relations() if relation == "exclusive_with" and other]
        below = _below(self.precedences, {member for pair in pairs for member in pair})
        return [(one, other) for one, other in pairs if other not in below[one] and one not in below[other]]

    def circle(self) -> list[Member]:
        """A shortest circle of precedence, each preceding the next and the last the first; empty if there is none."""
        try:
            TopologicalSorter(_graph(self.precedences)).prepare()
        except CycleError:
            return _shortest_circle(_graph(self.precedences))
        return []


def _graph(pairs: Iterable[Pair]) -> dict[Member, list[Member]]:
    graph: dict[Member, list[Member]] = {}
    for one, other in pairs:
        graph.setdefault(one, []).append(other)
    return graph


def _below(precedences: Iterable[Pair], members: Iterable[Member]) -> dict[Member, set[Member]]:
    """For each of `members` all that it precedes, straight or through others."""
    graph, found = _graph(precedences), {}
    for member in members:
        reached = list(graph.get(member, ()))
        seen = set(reached)
        for each in reached:
            fresh = [after for after in graph.get(each, ()) if after not in seen]
            seen.update(fresh)
            reached += fresh
        found[member] = seen
    return found


def _shortest_circle(graph: Mapping[Member, Sequence[Member]]) -> list[Member]:
    paths = filter(None, (_way_back(start, graph) for start in graph))
    return min(paths, key=len)


def _way_back(start: Member, graph: Mapping[Member, Sequence[Member]]) -> list[Member]:
    """The shortest way from `start` along the graph back to it, without the return; empty if there is none."""
    came_from: dict[Member, Member] = {}
    reached = [start]
    for each in reached:
        for after in graph.get(each, ()):
            if after is start:
                path = [each]
                while path[0] is not start:
                    path.insert(0, came_from[path[0]])
                return path
            if after not in came_from:
                came_from[after] = each
                reached.append(after)
    return []
