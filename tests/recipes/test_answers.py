import pytest

from training.recipes.answers import first_statement, whole_sentences


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One thing. Another thing that was cut", "One thing."),
        ('He said "no." Then he', 'He said "no."'),
        ("Costs 3.50 in all", ""),
        ("", ""),
        ("Really?", "Really?"),
    ],
)
def test_whole_sentences_end_honestly(text: str, kept: str) -> None:
    assert whole_sentences(text) == kept


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
