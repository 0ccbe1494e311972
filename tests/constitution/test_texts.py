import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from constitution.diffs import changes, redline
from constitution.errors import BadFile
from constitution.files import ConstitutionFile, read, write
from constitution.texts import ClauseText
from tests.factories import make_clause, small_constitution

words = st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cs", "Cf")), min_size=1).filter(str.strip)


def test_clause_universal_with_a_scope_is_refused() -> None:
    with pytest.raises(ValidationError, match="holds everywhere"):
        make_clause("U-01", 1, "Never.", scope={"region": ["EU"]})


@pytest.mark.parametrize("hidden", ["\x00", "\x1b[31m", "\u202e", "\u2066", "\ufeff"])
def test_clause_with_a_hidden_character_is_refused(hidden: str) -> None:
    with pytest.raises(ValidationError, match="hidden character"):
        make_clause("T-01", 3, f"Answer{hidden} first.")


@given(words, words)
def test_redline_gives_both_texts_back(before: str, after: str) -> None:
    segments = redline(before, after)

    assert "".join(segment.text for segment in segments if segment.kind != "ins") == before
    assert "".join(segment.text for segment in segments if segment.kind != "del") == after


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            "Help with a request.",
            "Help with every request.",
            [("equal", "Help with "), ("del", "a"), ("ins", "every"), ("equal", " request.")],
        ),
        ("It helps.", "It helps. It says so.", [("equal", "It helps."), ("ins", " It says so.")]),
        (
            "Say no to this.",
            "Answer yes kindly to this.",
            [("del", "Say no"), ("ins", "Answer yes kindly"), ("equal", " to this.")],
        ),
        ("", "Help.", [("ins", "Help.")]),
        ("Help.", "", [("del", "Help.")]),
        ("Help.", "Help.", [("equal", "Help.")]),
        ("", "", []),
    ],
)
def test_redline_marks_whole_words(before: str, after: str, expected: list[tuple[str, str]]) -> None:
    assert redline(before, after) == expected


def test_changes_names_what_came_went_and_moved() -> None:
    universal, medical, lookalikes, style = small_constitution()
    reworded = make_clause("T-03", 3, "Decline in one sentence.")
    added = make_clause("T-04", 3, "Say how sure you are.")

    found = changes([universal, medical, lookalikes, style], [universal, lookalikes, reworded, added])

    kinds = [(change.principle, change.kind) for change in found]
    assert kinds == [("T-03", "revised"), ("T-04", "added"), ("H-02", "repealed")]


@given(st.lists(words, min_size=1, max_size=4, unique=True))
def test_file_is_the_same_after_writing_and_reading(texts: list[str]) -> None:
    clauses = [make_clause(f"T-{number:02}", 3, text, title="Rule") for number, text in enumerate(texts)]
    file = ConstitutionFile(title="A law", clauses=tuple(clauses))

    assert read(write(file)) == file
    assert write(read(write(file))) == write(file)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("title: [", "not YAML"),
        ("title: A law\nclauses:\n- principle: X", "clauses → 1 → principle"),
        ("- 1\n- 2", "valid dictionary"),
        ("title: !!python/object/apply:os.system ['true']\nclauses: []", "not YAML"),
    ],
)
def test_file_that_is_wrong_names_the_place(content: str, sentence: str) -> None:
    with pytest.raises(BadFile, match=sentence):
        read(content)


def test_digest_is_of_the_content_alone() -> None:
    one, other = make_clause("T-01", 3, "Answer first."), make_clause("T-01", 3, "Answer first.")

    assert one.digest == other.digest
    assert one.digest != ClauseText.model_validate({**one.model_dump(), "text": "Answer last."}).digest
