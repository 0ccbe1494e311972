"""Sentences, and the age that each of them carries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.sentences import origins, split

LETTERS = st.text(alphabet="aB1.!? \n-)*\"'", max_size=60)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("One. Two! “Three?” Four.", ["One. ", "Two! ", "“Three?” ", "Four."]),
        ("About 3.5 grams, e.g. of salt. Then wait.", ["About 3.5 grams, e.g. of salt. ", "Then wait."]),
        ("1. If asked. Help.\n2. Else decline.", ["1. If asked. ", "Help.\n", "2. Else decline."]),
        ("- one\n- two", ["- one\n", "- two"]),
    ],
)
def test_split_of_a_text(text: str, sentences: list[str]) -> None:
    assert split(text) == sentences


@given(LETTERS)
def test_split_gives_the_text_back(text: str) -> None:
    assert "".join(split(text)) == text


def test_origins_of_a_new_text_are_its_own_version() -> None:
    assert origins("One. Two.", 3) == [3, 3]


def test_origins_keep_what_stayed_and_name_what_came() -> None:
    assert origins("Zero. One. Two, now.", 3, before="One. Two.", known=[1, 2]) == [3, 1, 3]


@given(LETTERS, LETTERS)
def test_origins_have_one_for_each_sentence(before: str, after: str) -> None:
    known = origins(before, 1)
    found = origins(after, 2, before=before, known=known)
    assert len(found) == len(split(after))
    assert origins(after, 3, before=after, known=found) == found
