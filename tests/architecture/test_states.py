"""Every state table is total: nothing is out of reach, nothing is listed twice, and the drawing is up to date."""

import pytest
from django.apps import apps

from constitution.state_table import Move, StateTable
from tests.architecture import states_page

TABLES = states_page.tables()


def faults(table: StateTable) -> list[str]:
    """What is wrong with a table, in words."""
    found = []
    pairs = [(move.source, move.target) for move in table.moves]
    found += [f"{source} → {target} is listed twice" for source, target in pairs if pairs.count((source, target)) > 1]
    found += [f"{source} → itself is no move" for source, target in pairs if source == target]
    reached = {table.initial}
    while more := {target for source, target in pairs if source in reached} - reached:
        reached |= more
    found += [f"{state} is out of reach" for state in table.states if state not in reached]
    found += [f"{move.source} → {move.target} leaves no word in the ledger" for move in table.moves if not move.action]
    found += [f"{move.source} → {move.target} is nobody's" for move in table.moves if not move.owner]
    return found


def test_tables_are_found() -> None:
    assert {table.name for table in TABLES} >= {"amendment", "round"}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_table_is_total(table: StateTable) -> None:
    assert faults(table) == []
    assert table.final, "something must come to an end"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_table_is_the_one_of_a_model_field(table: StateTable) -> None:
    choices = [
        tuple(value for value, _ in field.flatchoices)
        for model in apps.get_models()
        for field in model._meta.fields
        if field.name == "state"
    ]
    assert table.states in choices


def test_faults_finds_a_state_out_of_reach() -> None:
    island = StateTable("bad", "a", (Move("a", "b", "x", "x"), Move("c", "b", "x", "x")))
    assert faults(island) == ["c is out of reach"]


def test_faults_finds_a_move_listed_twice_and_one_in_place() -> None:
    doubled = StateTable("bad", "a", (Move("a", "b", "x", "x"), Move("a", "b", "y", "y"), Move("b", "b", "x", "x")))
    assert len(faults(doubled)) == 3


def test_states_page_is_up_to_date() -> None:
    assert states_page.PAGE.read_text() == states_page.page(), "run python -m tests.architecture.states_page"
