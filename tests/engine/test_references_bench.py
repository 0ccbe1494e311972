"""Which reference answers are asked."""

from pathlib import Path

from bench import references
from training.recipes.files import write_rows


def test_first_turns_that_have_a_reference_are_read(tmp_path: Path) -> None:
    questions = [{"question_id": number, "turns": [f"Question {number}?", "And then?"]} for number in (1, 2, 3)]
    answers = [
        {"question_id": 1, "choices": [{"turns": ["The first.", "The second."]}]},
        {"question_id": 2, "choices": [{"turns": ["  ", "Nothing."]}]},
        {"question_id": 9, "choices": [{"turns": ["Of another set."]}]},
    ]
    write_rows(tmp_path / references.QUESTIONS, questions)
    write_rows(tmp_path / references.REFERENCES, answers)
    assert references.read(tmp_path) == [("Question 1?", "The first.")]
