"""Right and wrong answers, each read under its clause without the example that it is taken from."""

from bench import critique
from bench.planting.rows import read_clauses


def test_both_answers_of_an_example_are_asked_and_it_is_not_shown() -> None:
    clauses = read_clauses()
    asked = critique.decided(clauses, 10_000, 0)
    assert len(asked) == 2 * sum(one.expects != "style" for clause in clauses for one in clause.examples)
    assert sum(one.breaks for one in asked) == len(asked) // 2
    for one in asked:
        assert one.request not in {example.request for example in one.clause.examples}


def test_choice_is_that_of_its_seed() -> None:
    clauses = read_clauses()
    assert critique.decided(clauses, 20, 1) == critique.decided(clauses, 20, 1)
    assert critique.decided(clauses, 20, 1) != critique.decided(clauses, 20, 2)
