import pytest

from training.recipes.answers import first_sentence, first_statement


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One thing. Another thing. A third", "One thing."),
        ('He said\n"no." Then he', 'He said "no."'),
        ("Costs 3.50 in all. Really.", "Costs 3.50 in all."),
        ("Cut before its", ""),
        ("", ""),
        ("Really?", "Really?"),
    ],
)
def test_first_sentence_is_complete_or_nothing(text: str, kept: str) -> None:
    assert first_sentence(text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("I can't help with that. I can explain the law.", "I can't help with that."),
        ("I can't help with bombs, but I can explain how to make one.", "I can't help with bombs."),
        ("I can't help\nwith that.", "I can't help with that."),
        ("I can't help with", ""),
    ],
)
def test_first_statement_takes_nothing_back(text: str, kept: str) -> None:
    assert first_statement(text) == kept
