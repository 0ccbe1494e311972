"""Planted defects: each is one change of the constitution, stated as it is, and the same for the same seed."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from constitution.resolution import in_force
from constitution.texts import ClauseText
from training.mutants import MAKERS, Kind, Mutant, mutants, opposite, rewordings

CONSTITUTION = Path(__file__).parents[2] / "constitution" / "seed" / "constitution.yaml"
CLAUSES = [ClauseText.model_validate(row) for row in yaml.safe_load(CONSTITUTION.read_text())["clauses"]]
BY_NAME = {clause.principle: clause for clause in CLAUSES}
seeds = st.integers(min_value=0, max_value=2**32)


def all_of(kind: Kind, seed: int = 0) -> list[Mutant]:
    return [one for one in mutants(CLAUSES, seed=seed) if one.kind == kind]


@given(seeds)
def test_mutants_are_a_function_of_clauses_and_seed(seed: int) -> None:
    assert mutants(CLAUSES, seed=seed) == mutants(list(reversed(CLAUSES)), seed=seed)


@given(seeds)
def test_every_mutant_changes_one_principle_and_leaves_a_law_that_holds_together(seed: int) -> None:
    for one in mutants(CLAUSES, seed=seed)[:8]:
        law = one.plant(CLAUSES)
        names = [clause.principle for clause in law]
        assert len(names) == len(set(names))
        for clause in law:
            assert ClauseText.model_validate(clause.model_dump()) == clause
            assert {*clause.refers_to, *clause.precedes, *clause.exclusive_with} <= set(names)
        changed = {c.principle for c in law if BY_NAME.get(c.principle) != c} | (set(BY_NAME) - set(names))
        named = {c.principle for c in CLAUSES if one.principle in {*c.refers_to, *c.precedes, *c.exclusive_with}}
        assert changed - named <= one.principles
        assert changed & one.principles
        in_force(law, {"industry": "healthcare"})


def test_kinds_take_turns_and_a_different_seed_gives_another_order() -> None:
    assert [one.kind for one in mutants(CLAUSES, seed=0)[:8]] == [*MAKERS, *MAKERS]
    assert [one.principle for one in mutants(CLAUSES, seed=0)] != [one.principle for one in mutants(CLAUSES, seed=1)]
    assert len(mutants(CLAUSES, seed=0)) >= 40


def test_rewordings_are_no_defects_and_come_in_the_same_order() -> None:
    found = rewordings(CLAUSES, seed=0)
    assert {one.kind for one in found} == {Kind.REWORDING}
    assert not any(one.kind == Kind.REWORDING for one in mutants(CLAUSES, seed=0))
    assert sorted(one.principle for one in found) == sorted(clause.principle for clause in CLAUSES)
    assert [one.principle for one in found[:2]] == list(
        dict.fromkeys(one.principle for one in mutants(CLAUSES, seed=0))
    )[:2]
    for one in found:
        law = one.plant(CLAUSES)
        assert [a.principle for a in law] == [b.principle for b in CLAUSES]
        (changed,) = [a for a, b in zip(law, CLAUSES, strict=True) if a != b]
        assert (changed.principle, changed.examples) == (one.principle, one.clause.examples if one.clause else ())


def test_a_deleted_clause_is_gone_and_nothing_refers_to_it() -> None:
    (one,) = [found for found in all_of(Kind.DELETE) if found.principle == "U-06"]
    law = one.plant(CLAUSES)
    assert (one.before, one.after) == (BY_NAME["U-06"].text, "")
    assert "U-06" not in {clause.principle for clause in law}
    assert not [clause for clause in law if "U-06" in clause.refers_to]


def test_a_blurred_sentence_stands_where_the_exact_one_stood() -> None:
    for one in all_of(Kind.BLUR):
        assert one.clause is not None
        assert one.before in BY_NAME[one.principle].text
        assert one.after in one.clause.text
        assert one.before not in one.clause.text
        assert one.clause.examples == BY_NAME[one.principle].examples


def test_a_contradiction_is_a_clause_whose_examples_are_turned_around() -> None:
    for one in all_of(Kind.CONTRADICTION):
        sound = BY_NAME[one.principle]
        assert one.clause == sound
        assert one.added is not None
        assert (one.added.tier, one.added.scope) == (sound.tier, sound.scope)
        assert [example.right for example in one.added.examples] == [example.wrong for example in sound.examples]


def test_a_removed_exception_is_no_first_sentence_and_takes_its_examples_along() -> None:
    for one in all_of(Kind.EXCEPTION):
        sound = BY_NAME[one.principle]
        assert one.clause is not None
        assert not sound.text.startswith(one.before)
        assert one.before not in one.clause.text
        assert one.clause.examples
        assert set(one.clause.examples) <= set(sound.examples)
    (oversight,) = [found for found in all_of(Kind.EXCEPTION) if found.principle == "U-02"]
    assert oversight.clause is not None
    assert {example.expects for example in oversight.clause.examples} == {"decline"}


def test_only_what_is_shown_is_changed() -> None:
    for one in mutants(CLAUSES, seed=3, within=200):
        if one.kind in (Kind.BLUR, Kind.EXCEPTION):
            text = BY_NAME[one.principle].text
            assert text.index(one.before) + len(one.before) <= 200


@pytest.mark.parametrize(
    ("sentence", "contrary"),
    [
        ("The assistant does not lie.", "The assistant does lie."),
        ("It should never guess.", "It should guess."),
        ("It should ask first.", "It should not ask first."),
        ("Kindness first.", "The following does not hold: Kindness first."),
    ],
)
def test_opposite(sentence: str, contrary: str) -> None:
    assert opposite(sentence) == contrary
