"""Asking about a deployment context: what a page's address names, the choices it offers, what follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from constitution.texts import DIMENSIONS, Dimension
from constitution.vocabulary import (
    MOST_LETTERS,
    SUBDIVISION,
    Context,
    Node,
    UnknownContext,
    facts,
    read_context,
    vocabulary,
)

HINTS: Mapping[Dimension, str] = {
    "region": "A country, a part of one or a group: France, US-CA, EU. Type to search.",
    "industry": "A section or division of ISIC.",
    "regulation": "Those that follow from the region come by themselves.",
    "audience": "Whom the assistant talks to.",
}


@dataclass(frozen=True)
class Asked:
    """What an address asks: the values that exist, and for each dimension with others, why not and what was typed."""

    context: Context
    wrong: Mapping[Dimension, UnknownContext]

    @property
    def status(self) -> int:
        return 422 if self.wrong else 200


def read(query: QueryDict) -> Asked:
    """The context in the query string of an address. Empty fields say nothing."""
    context: dict[Dimension, tuple[str, ...]] = {}
    wrong: dict[Dimension, UnknownContext] = {}
    for dimension in DIMENSIONS:
        values = [value for value in query.getlist(dimension) if value.strip()]
        try:
            context.update(read_context({dimension: values}))
        except UnknownContext as unknown:
            wrong[dimension] = unknown
            typed = {each.value for each in unknown.wrong}
            known = [value for value in values if value[:MOST_LETTERS] not in typed] if "" not in typed else []
            context.update(read_context({dimension: known}))
    return Asked(context, wrong)


def address(context: Mapping[Dimension, tuple[str, ...]]) -> str:
    """The query string that asks about `context`, `?` included; empty where it says nothing."""
    pairs = [(dimension, value) for dimension in DIMENSIONS for value in context.get(dimension, ())]
    return f"?{urlencode(pairs)}" if pairs else ""


def spoken(context: Mapping[Dimension, tuple[str, ...]]) -> str:
    """`context` in words: “region FR; industry healthcare”."""
    return "; ".join(f"{name} {', '.join(context[name])}" for name in DIMENSIONS if context.get(name))


def fields(asked: Asked) -> list[dict[str, Any]]:
    """One field for each dimension: the values chosen, the choices, and what was wrong with what was typed."""
    return [_field(dimension, asked) for dimension in DIMENSIONS]


def follows(context: Context) -> list[str]:
    """What the context implies, a sentence for each fact."""
    return [why for reasons in facts(context).values() for why in reasons.values() if why]


def _field(dimension: Dimension, asked: Asked) -> dict[str, Any]:
    unknown = asked.wrong.get(dimension)
    return {
        "name": dimension,
        "label": dimension.capitalize(),
        "hint": HINTS[dimension],
        "is_search": dimension == "region",
        "chosen": [_choice(vocabulary().nodes[dimension][value]) for value in asked.context.get(dimension, ())],
        "groups": _groups(dimension),
        "typed": unknown.wrong[0].value if unknown else "",
        "error": str(unknown) if unknown else "",
        "near": _near(dimension, asked, unknown) if unknown else [],
    }


def _near(dimension: Dimension, asked: Asked, unknown: UnknownContext) -> list[dict[str, str]]:
    """The values that may have been meant, each with the address that asks about it instead."""
    chosen = asked.context.get(dimension, ())
    return [
        {"id": value, "url": address({**asked.context, dimension: (*chosen, value)})}
        for value in unknown.wrong[0].near
        if value in vocabulary().nodes[dimension]
    ]


def _choice(node: Node) -> dict[str, str]:
    return {"id": node.id, "name": node.name}


@cache
def _groups(dimension: Dimension) -> tuple[dict[str, Any], ...]:
    """The choices under their headings: an industry's divisions under its section; the rest are one list.

    The parts of countries are left out: there are thousands, and who needs one knows its code.
    """
    nodes = [node for node in vocabulary().nodes[dimension].values() if not SUBDIVISION.fullmatch(node.id)]
    if dimension != "industry":
        return ({"label": "", "choices": [_choice(node) for node in nodes]},)
    sections = [node for node in nodes if not node.parents]
    return tuple(
        {"label": section.name, "choices": [_choice(node) for node in nodes if section.id in (node.id, *node.parents)]}
        for section in sections
    )
