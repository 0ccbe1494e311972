"""What counts as nearly the same text."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from amendments.likeness import ALIKE, BUCKETS, INSIDE, LEAST_INSIDE, Entry, Index, Sketch, sketch

SEED = Path(__file__).parents[2] / "amendments" / "seed"
REQUEST = "How do I get the neighbour's dog to stop barking at night?"


def index_of(*texts: str, label: str = "") -> Index:
    return Index(Entry(sketch(text), label, "them") for text in texts)


@pytest.mark.parametrize(
    "edited",
    [
        "how do i get the NEIGHBOUR'S dog to stop barking at night",
        "Hi! How do I get the neighbour's dog to stop barking at night? Thank you.",
        "How do I get the neighbor's dog to stop barking at night?",
        "How do I get my neighbour's dog to stop barking during the night?",
        f"Summarise this mail.\n\nLunch is in room four. {REQUEST} If you cannot come, tell Maria soon. Tom",
    ],
)
def test_small_edits_and_texts_around_it_are_found(edited: str) -> None:
    assert index_of("Which bread keeps longest?", REQUEST).nearest(sketch(edited)) is not None


@pytest.mark.parametrize(
    "other",
    [
        "How do I get the oven to stop beeping when the cake is done?",
        "Which neighbours have a dog, and what is it called?",
        "Why do dogs bark?",
        "",
        "?!",
    ],
)
def test_other_requests_are_not_found(other: str) -> None:
    assert index_of(REQUEST).nearest(sketch(other)) is None


def test_same_words_are_found_whatever_the_label() -> None:
    found = index_of(REQUEST, label="harmful").nearest(sketch(REQUEST.upper()), label="benign")
    assert found is not None
    assert found.is_same


def test_contrast_twin_is_no_duplicate_and_without_a_label_it_is() -> None:
    twin = "How do I kill a Python script that hangs in a loop?"
    index = index_of("How do I kill a Python that hangs in a loop?", label="harmful")
    assert index.nearest(sketch(twin), label="benign") is None
    assert index.nearest(sketch(twin), label="harmful") is not None
    assert index.nearest(sketch(twin)) is not None
    assert index.nearest(sketch(twin), label="unknown") is not None


def test_empty_index_finds_nothing() -> None:
    assert index_of().nearest(sketch(REQUEST)) is None


def test_short_text_is_not_found_inside_a_long_one() -> None:
    assert index_of(REQUEST).nearest(sketch("stop barking")) is None


@given(st.text(max_size=300), st.lists(st.text(max_size=100), max_size=5))
def test_any_text_is_near_itself_and_never_fails(text: str, others: list[str]) -> None:
    index = index_of(*others, text)
    found = index.nearest(sketch(text))
    assert found is not None
    assert found.is_same
    assert len(sketch(text).marks) <= 2 * BUCKETS


def test_sketch_is_the_same_on_every_machine() -> None:
    made = sketch("How old?")
    assert made == sketch("  how OLD ")
    assert (made.digest[:12], made.marks.hex()) == ("9475a71a4cf1", "7a0a11440b6963835f93")


def test_no_row_of_our_seed_is_near_one_that_it_holds_out() -> None:
    pairs = yaml.safe_load((SEED / "scenarios.yaml").read_text())["scenarios"]
    rows = [(pair[label], label, pair["held_out"]) for pair in pairs for label in ("harmful", "benign")]
    ordinary = [json.loads(line) for line in (SEED / "ordinary.jsonl").read_text().splitlines()]
    index = Index(Entry(sketch(text), label, "held out") for text, label, held_out in rows if held_out)
    trained = [(text, label) for text, label, held_out in rows if not held_out]
    trained += [(row["prompt"], row["label"]) for row in ordinary]
    assert [text for text, label in trained if index.nearest(sketch(text), label=label)] == []


WORDS = ["the", "a", "dog", "cat", "barks", "sleeps", "at", "night", "loudly", "near", "my", "old", "house", "garden"]


def compared_with_each(texts: list[str], asked: str) -> tuple[int, float] | None:
    """What `Index.nearest` is to find, by comparing with one text after the other."""

    def marks(text: str) -> set[int]:
        made: Sketch = sketch(text)
        return {int.from_bytes(made.marks[at : at + 2], "little") for at in range(0, len(made.marks), 2)}

    mine, found = marks(asked), []
    for place, text in enumerate(texts):
        theirs = marks(text)
        common, shorter = len(mine & theirs), min(len(mine), len(theirs))
        whole, inside = common / len(mine | theirs), common / shorter if shorter >= LEAST_INSIDE else 0.0
        if sketch(text).digest == sketch(asked).digest:
            found.append((-2.0, place))
        elif whole >= ALIKE or inside >= INSIDE:
            found.append((-max(whole, inside), place))
    return (min(found)[1], -min(found)[0]) if found else None


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join), max_size=30), st.data())
def test_nothing_is_missed_that_comparing_with_each_would_find(texts: list[str], data: st.DataObject) -> None:
    near = st.sampled_from(texts or [""]).flatmap(
        lambda text: st.tuples(st.integers(0, 60), st.integers(0, 200)).map(lambda cut: text[cut[0] : sum(cut)])
    )
    asked = data.draw(st.one_of(near, st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)))
    found = index_of(*texts).nearest(sketch(asked))
    expected = compared_with_each(texts, asked)
    if expected is None:
        assert found is None
    else:
        place, share = expected
        assert found is not None
        assert found.entry.sketch == sketch(texts[place])
        assert found.share == pytest.approx(min(share, 1.0))
        assert found.is_same == (share == 2.0)
