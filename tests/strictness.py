"""What makes tests harsher than production: a variable that a template misses, and rows in no particular order."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, cast

from django.db import connection
from django.db.models.expressions import OrderBy
from django.db.models.functions import Random
from django.db.models.sql.compiler import SQLCompiler
from django.template.base import Node
from django.test import TransactionTestCase


class UndefinedTemplateVariable(AssertionError):
    """A template of ours used a name that its view does not give."""


class UndefinedVariable(str):  # noqa: SLOT000  there is one
    """`string_if_invalid` that raises for our own templates and stays silent for other people's."""

    def __new__(cls, *, owned: Path) -> Self:
        made = super().__new__(cls, "undefined")
        made.owned = owned
        return made

    owned: Path

    def __contains__(self, part: object) -> bool:
        return part == "%s"  # so that Django asks for `self % variable`

    def __mod__(self, variable: Any) -> str:
        template = _template_being_rendered()
        if template and Path(template).is_relative_to(self.owned):
            raise UndefinedTemplateVariable(f"“{variable}” is not in the context of {template}")
        return ""


def _template_being_rendered() -> str:
    """The file of the innermost template node on the call stack."""
    frame = inspect.currentframe()
    while frame is not None:
        node = frame.f_locals.get("self")
        if isinstance(node, Node) and getattr(node, "origin", None):
            return str(node.origin.name)
        frame = frame.f_back
    return ""


_order_by_pairs = cast("Callable[[SQLCompiler], Iterator[Any]]", SQLCompiler._order_by_pairs)


def _in_any_order(compiler: SQLCompiler) -> Iterator[Any]:
    """The order that the query asks for; where it asks for none, a random one instead of the one on disk."""
    asked = False
    for pair in _order_by_pairs(compiler):
        asked = True
        yield pair
    query = compiler.query
    if not asked and not (query.distinct or query.combinator or query.group_by is not None):
        yield OrderBy(Random()), False


def shuffle_unordered_queries() -> None:
    """From here on, a query without an order gives its rows in a random one."""
    SQLCompiler._order_by_pairs = _in_any_order  # type: ignore[method-assign, assignment]


@contextmanager
def triggers_off() -> Iterator[None]:
    """Writes that no trigger sees: to empty tables, and to build at once what takes a training round to come about."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET session_replication_role")


def let_flush_empty_what_is_written_once() -> None:
    """A test that commits is followed by a TRUNCATE of every table, which our triggers refuse to anybody else."""
    teardown = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def without_triggers(case: TransactionTestCase) -> None:
        with triggers_off():
            teardown(case)

    TransactionTestCase._fixture_teardown = without_triggers  # type: ignore[attr-defined]
