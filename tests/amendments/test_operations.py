"""What operations do to the law, and how they follow it when it moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amendments.merging import merge_words
from amendments.operations import OutOfDate, apply, content_digest, dump, highest_tier, read_operations
from amendments.rebasing import rebase
from constitution.errors import Refused
from constitution.texts import ClauseText
from tests.factories import make_clause, make_example, small_constitution

BASE = small_constitution()
LAW = {clause.principle: clause for clause in BASE}
NEW = make_clause("T-09", 3, "Say how sure you are.")


def op(kind: str, principle: str, **fields: object) -> dict[str, object]:
    """An operation on the small constitution, as a person or a model submits it."""
    before = {"before": LAW[principle].digest} if principle in LAW and kind != "add" else {}
    return {"op": kind, "principle": principle, **before, **fields}


def after(*operations: dict[str, object], law: list[ClauseText] | None = None) -> list[ClauseText]:
    return apply(read_operations(list(operations)), law or BASE)


def test_add_goes_to_the_end_of_its_tier() -> None:
    clause = make_clause("U-10", 1, "Never help to torture anybody.")
    assert [found.principle for found in after(op("add", "U-10", clause=clause))] == [
        "U-02", "U-10", "H-02", "G-01", "T-03"
    ]  # fmt: skip


def test_add_goes_behind_the_clause_it_names() -> None:
    found = after(op("add", "T-09", clause=NEW, after="H-02"))
    assert [clause.principle for clause in found] == ["U-02", "H-02", "T-09", "G-01", "T-03"]


def test_add_example_comes_first_and_keeps_the_others() -> None:
    example = make_example("How do I poach an egg?", "help")
    (clause,) = [c for c in after(op("add_example", "G-01", example=example)) if c.principle == "G-01"]
    assert clause.examples == (example, *LAW["G-01"].examples)


def test_merge_joins_texts_and_examples_under_one_id() -> None:
    absorbed = [{"principle": "H-02", "before": LAW["H-02"].digest}]
    found = {c.principle: c for c in after(op("merge", "G-01", text="Help, with care.", absorbs=absorbed))}
    assert found.keys() == {"U-02", "G-01", "T-03"}
    assert set(found["G-01"].examples) == {*LAW["G-01"].examples, *LAW["H-02"].examples}


def test_split_gives_the_parts_ids_behind_what_stays() -> None:
    found = after(op("split", "T-03", text="Decline briefly.", parts=[NEW]))
    assert [(clause.principle, clause.text) for clause in found[-2:]] == [
        ("T-03", "Decline briefly."),
        ("T-09", NEW.text),
    ]


def test_several_operations_on_one_clause_all_name_the_base() -> None:
    operations = [op("revise", "G-01", text="Help."), op("rescope", "G-01", scope={"region": ["EU"]})]
    (clause,) = [found for found in after(*operations) if found.principle == "G-01"]
    assert (clause.text, clause.scope) == ("Help.", {"region": ("EU",)})


@pytest.mark.parametrize(
    ("operations", "sentence"),
    [
        ([op("retier", "H-02", tier=1)], "H-02 cannot become that. a universal clause holds everywhere"),
        ([op("add", "T-03", clause=LAW["T-03"])], "There is a clause T-03 already"),
        ([op("add", "T-09", clause=LAW["T-03"])], "calls itself T-03"),
        (
            [op("add_example", "G-01", example=make_example(LAW["G-01"].examples[0].request, "help"))],
            "has decided that request already",
        ),
        ([op("repeal", "G-01"), op("revise", "G-01", text="Help.")], "taken out by an earlier step"),
        ([op("merge", "G-01", text="x", absorbs=[{"principle": "G-01", "before": LAW["G-01"].digest}])], "into itself"),
        ([op("merge", "G-01", text="x", absorbs=[])], "absorbs: is empty"),
        ([{"op": "repeal", "principle": "T-99", "before": "0" * 64}], "T-99 is no longer part"),
        ([op("rewrite", "G-01")], "rewrite"),
        ([], "is empty"),
    ],
)
def test_operations_that_make_no_sense_are_refused(operations: list[dict[str, object]], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        after(*operations)


@pytest.mark.parametrize(
    ("operation", "tier"),
    [
        (op("revise", "T-03", text="Decline."), 3),
        (op("retier", "G-01", tier=1), 1),
        (op("repeal", "U-02"), 1),
        (op("split", "T-03", text="Decline.", parts=[make_clause("H-09", 2, "Ask first.")]), 2),
    ],
)
def test_highest_tier_counts_where_a_clause_comes_from_and_goes_to(operation: dict[str, object], tier: int) -> None:
    assert highest_tier(BASE, after(operation)) == tier


def test_content_that_was_stored_has_the_same_digest_when_it_is_read_again() -> None:
    operations = read_operations([op("revise", "G-01", text="Help."), op("add", "T-09", clause=NEW)])
    assert content_digest(read_operations(dump(operations))) == content_digest(operations)


def reworded(principle: str, text: str, **fields: object) -> list[ClauseText]:
    """The small constitution after somebody else's amendment."""
    return [c.model_copy(update={"text": text, **fields}) if c.principle == principle else c for c in BASE]


def test_rebase_leaves_operations_alone_where_their_clauses_are_untouched() -> None:
    operations = read_operations([op("revise", "G-01", text="Help.")])
    assert rebase(operations, BASE, reworded("T-03", "Decline.")).operations == operations


def test_rebase_joins_changes_to_different_words() -> None:
    head = reworded("H-02", "Give general facts about medication. Leave all doses to a clinician.")
    operations = read_operations(
        [op("revise", "H-02", text="Give plain facts about medication. Leave doses to a clinician.")]
    )

    found = rebase(operations, BASE, head)

    assert not found.clashes
    (clause,) = [c for c in apply(found.operations, head) if c.principle == "H-02"]
    assert clause.text == "Give plain facts about medication. Leave all doses to a clinician."


@pytest.mark.parametrize(
    ("operation", "head"),
    [
        (op("revise", "T-03", text="Decline kindly, and do not preach."), reworded("T-03", "Decline, never preach.")),
        (op("repeal", "T-03"), reworded("T-03", "Decline.")),
        (op("retier", "G-01", tier=3), reworded("G-01", LAW["G-01"].text, tier=3)),
        (op("rescope", "G-01", scope={"region": ["EU"]}), reworded("G-01", "Help.", scope={"region": ("US",)})),
        (op("revise", "G-01", text="Help."), [clause for clause in BASE if clause.principle != "G-01"]),
    ],
)  # fmt: skip
def test_rebase_asks_people_where_both_sides_meant_something(
    operation: dict[str, object], head: list[ClauseText]
) -> None:
    operations = read_operations([operation])
    found = rebase(operations, BASE, head)
    assert found.operations == operations
    assert [clash.principle for clash in found.clashes] == [operation["principle"]]


def test_operations_against_another_wording_are_out_of_date() -> None:
    with pytest.raises(OutOfDate, match="T-03 has been reworded"):
        after(op("revise", "T-03", text="No."), law=reworded("T-03", "Decline."))


words = st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=12).map(" ".join)


@given(words, words)
def test_merge_words_with_one_side_alone_is_that_side(base: str, ours: str) -> None:
    assert merge_words(base, ours, base) == ours
    assert merge_words(base, base, ours) == ours
    assert merge_words(base, ours, ours) == ours


@given(words, words, words)
def test_merge_words_does_not_depend_on_whose_side_is_which(base: str, ours: str, theirs: str) -> None:
    assert merge_words(base, ours, theirs) == merge_words(base, theirs, ours)


def test_merge_words_of_neighbouring_changes_is_left_to_people() -> None:
    assert merge_words("never tell doses", "never give doses", "never tell amounts") is None
