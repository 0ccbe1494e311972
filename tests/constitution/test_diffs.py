"""What counts as moved, renamed and long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.diffs import Segment, changes, fold, moves, redline, with_renames
from tests.factories import make_clause

orders = st.lists(st.integers(0, 30), unique=True).map(lambda numbers: [f"T-{number:02}" for number in numbers])
texts = st.text(alphabet="ab .\n", max_size=300)


@given(orders, st.randoms(use_true_random=False))
def test_moves_are_all_it_takes_to_reorder(names: list[str], dice: object) -> None:
    after = list(names)
    dice.shuffle(after)  # type: ignore[attr-defined]
    moved = moves(names, after)
    assert [name for name in names if name not in moved] == [name for name in after if name not in moved]
    assert all(moved[name] == (names.index(name) + 1, after.index(name) + 1) for name in moved)


@given(orders, orders)
def test_moves_are_none_where_things_only_come_and_go(before: list[str], after: list[str]) -> None:
    kept = [name for name in before if name in after]
    new = [name for name in after if name not in before]
    assert moves(before, [*new, *kept]) == {}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("ABCDEFG", "ABGCDEF", {"G": (7, 3)}),
        ("ABCDEFG", "BCDEFGA", {"A": (1, 7)}),
        ("ABCD", "DACB", {"B": (2, 4), "D": (4, 1)}),  # C keeps its number, so it stayed
        ("AB", "BA", {"A": (1, 2)}),
        ("", "", {}),
        ("A", "B", {}),
    ],
)
def test_moves_names_the_fewest(before: str, after: str, expected: dict[str, tuple[int, int]]) -> None:
    assert moves(before, after) == expected


def test_moves_of_a_long_document_are_quick() -> None:
    names = [f"c_{number}" for number in range(5000)]
    assert len(moves(names, names[::-1])) == 4999


LONG = "The assistant answers what it was asked, says what it does not know, and names where it has its facts from."


def test_renames_pairs_a_new_id_with_nearly_the_same_text() -> None:
    before = [make_clause("T-01", 3, LONG), make_clause("T-02", 3, "Be brief and kind in everything that you say.")]
    after = [make_clause("T-09", 3, LONG.replace("facts", "figures")), make_clause("T-08", 3, "Use no tables at all.")]

    found = with_renames(changes(before, after))

    assert [(change.principle, change.kind) for change in found] == [
        ("T-09", "renamed"),
        ("T-08", "added"),
        ("T-02", "repealed"),
    ]
    assert found[0].before == before[0]


def test_renames_gives_each_text_to_the_closest_one() -> None:
    before = [make_clause("T-01", 3, LONG)]
    after = [make_clause("T-05", 3, f"{LONG} It never boasts."), make_clause("T-06", 3, LONG)]
    found = with_renames(changes(before, after))
    assert [(change.principle, change.kind) for change in found] == [("T-05", "added"), ("T-06", "renamed")]


@given(st.lists(texts.filter(str.strip), max_size=4), st.lists(texts.filter(str.strip), max_size=4))
def test_renames_lose_nothing(old: list[str], new: list[str]) -> None:
    before = [make_clause(f"T-{number:02}", 3, text, title="Old") for number, text in enumerate(old)]
    after = [make_clause(f"G-{number:02}", 3, text, title="New") for number, text in enumerate(new)]
    found = with_renames(changes(before, after))
    assert sorted(change.before.principle for change in found if change.before) == [one.principle for one in before]
    assert sorted(change.after.principle for change in found if change.after) == [one.principle for one in after]


@given(texts, texts)
def test_fold_keeps_all_but_white_space(before: str, after: str) -> None:
    folded = fold(redline(before, after))
    for side, other in ((before, "ins"), (after, "del")):
        assert "".join("".join(text for kind, text in folded if kind != other).split()) == "".join(side.split())


def test_fold_hides_what_is_far_from_any_change() -> None:
    words = " ".join(f"word{number}" for number in range(500))
    folded = fold(redline(f"{words} old {words}", f"{words} new {words}"))
    assert [kind for kind, _ in folded] == ["fold", "equal", "del", "ins", "equal", "fold"]
    assert len(folded[1].text.split()) == 30


def test_fold_leaves_a_text_without_changes_whole() -> None:
    words = "word " * 500
    assert fold(redline(words, words)) == [Segment("equal", words)]


def test_redline_of_long_texts_is_quick() -> None:
    """A hundred thousand comparisons of every space with every other would take minutes."""
    old = "- the same line\n" * 1200
    new = "- the same line\n- another line\n" * 600
    assert "".join(text for kind, text in redline(old, new) if kind != "del") == new
