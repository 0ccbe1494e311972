"""Where clauses hold, as the queue is narrowed by it: the words that are understood, and the places on offer."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest

from django.core.exceptions import ValidationError

from amendments.models import Amendment
from constitution.models import Version, VersionClause
from constitution.texts import DIMENSIONS, Dimension
from constitution.vocabulary import MOST_NEAR, fold, near, vocabulary

# So many of the most pressing proposals are looked at, whatever their number.
MOST_LOOKED_AT = 300


def meant(value: str) -> list[str]:
    """The places that `value` names: `region:EU`, or only `EU`, or a name or code of it. Empty for one unknown."""
    meanings = vocabulary().meanings
    return [f"{name}:{found}" for name, word in _asked(value) for found in meanings.get(name, {}).get(fold(word), ())]


def check_known(value: str) -> None:
    """Raise ValidationError for a place that does not exist."""
    if not meant(value):
        raise ValidationError("There is no place “%(value)s” in the vocabulary.", params={"value": value})


def close_to(value: str) -> list[tuple[str, str]]:
    """The places that an unknown `value` may have meant, likeliest first, each with its name."""
    dimension, colon, word = value.partition(":")
    if colon and dimension not in DIMENSIONS:
        renamed = [f"{name}:{word}" for name in near(dimension, word)]
        return _named([place for each in renamed for place in meant(each)] or [place for place, _ in close_to(word)])
    found = [[f"{name}:{close}" for close in near(name, word)] for name, word in _asked(value)]
    ranked = [place for places in zip_longest(*found) for place in places if place]
    return _named(ranked[:MOST_NEAR])


def offered() -> list[tuple[str, str]]:
    """The places of the clauses in force, and of the most pressing open proposals, each with its name.

    Two queries that stop early, however many proposals are open: what clauses hold is what nearly all proposals are
    about, and what is new with a proposal is found among those that wait at the front.
    """
    head = Version.objects.home().order_by("-number").values("pk")[:1]
    clauses = VersionClause.objects.filter(version__in=head).exclude(clause__scope={}).order_by()
    scopes = clauses.values_list("clause__scope", flat=True).distinct()
    places = {f"{name}:{value}" for scope in scopes for name, values in scope.items() for value in values}
    open_ones = Amendment.objects.undecided().in_queue_order().values_list("scopes", flat=True)
    places |= {place for found in open_ones[:MOST_LOOKED_AT] for place in found}
    return _named(sorted(places))


def _asked(value: str) -> list[tuple[Dimension, str]]:
    """The dimensions in which `value` is looked for, each with the word; none for a dimension that does not exist."""
    dimension, colon, word = value.partition(":")
    return [(name, word if colon else value) for name in DIMENSIONS if name == dimension or not colon]


def _named(places: Iterable[str]) -> list[tuple[str, str]]:
    """Those that are in the vocabulary, with their names there."""
    return list(_names(dict.fromkeys(places)))


def _names(places: Iterable[str]) -> Iterator[tuple[str, str]]:
    nodes = vocabulary().nodes
    for place in places:
        name, _, value = place.partition(":")
        dimension: Dimension | None = next((each for each in DIMENSIONS if each == name), None)
        if dimension and (node := nodes[dimension].get(value)):
            yield place, node.name
