"""Variants that a model wrote: what is kept of them, and what not."""

from collections.abc import Iterator, Sequence

import pytest

from amendments.generation import frames
from amendments.generation.drawing import Drawn, draw
from amendments.generation.storing import asked_of, generate
from amendments.models import Scenario
from constitution.models import LedgerEntry, Version
from training.engine.model import load
from training.variant_engine import writer_for
from training.variants import BATCH, Asked, Writer, write

pytestmark = pytest.mark.django_db
OURS = frames.read()


@pytest.fixture
def originals(constitution: Version) -> list[Drawn]:
    generate(version=constitution, frames=OURS, seed=5, count=20, by="test")
    asked = asked_of(constitution, OURS, seed=5, count=20)
    return [one for side in (True, False) for group in draw(asked, count=10, held_out=side) for one in group]


def says(*samples: tuple[str, str]) -> Writer:
    """A writer that gives the same samples for every request, numbered."""
    numbers = iter(range(10_000))

    def reword(asked: Sequence[Asked]) -> Iterator[Sequence[tuple[str, str]]]:
        for _ in asked:
            yield [(f"{text} {'abcdefghijklmnopqrstuvwxyz'[next(numbers) % 26] * 40}", why) for text, why in samples]

    return Writer(model="a small model", temperature=0.8, reword=reword)


def test_variant_wears_what_its_original_does(originals: list[Drawn]) -> None:
    before = Scenario.objects.count()
    report = write(originals[:5], writer=says(("Reworded", ""), ("No", "a refusal")), seed=5, by="test")
    assert (report.asked, report.samples, report.added) == (5, 10, Scenario.objects.count() - before)
    assert report.left_out["a refusal"] == 5
    for row in Scenario.objects.filter(source__contains="reworded").order_by("pk"):
        original = next(one for one in originals if row.prompt == one.prompt.replace(one.heart, row_heart(row, one), 1))
        assert (row.held_out, row.label, row.context) == (original.held_out, original.label, dict(original.context))
    entry = LedgerEntry.objects.get(action="scenarios reworded")
    assert entry.detail["added"] == report.added


def row_heart(row: Scenario, original: Drawn) -> str:
    """What stands in the row where its original has its heart."""
    before, _, after = original.prompt.partition(original.heart)
    return row.prompt.removeprefix(before).removesuffix(after)


def test_same_variants_again_are_already_there(originals: list[Drawn]) -> None:
    one = says(("Reworded", ""))
    write(originals[:2], writer=one, seed=5, by="test")
    report = write(originals[:2], writer=says(("Reworded", "")), seed=5, by="test")
    assert (report.added, report.left_out["already there"]) == (0, 2)


def test_hidden_characters_are_a_reason_and_not_an_error(originals: list[Drawn]) -> None:
    report = write(originals[:1], writer=says(("bad \u202e text", "")), seed=5, by="test")
    assert report.added == 0
    assert "hidden character U+202E" in next(iter(report.left_out))


def test_killed_run_keeps_its_batches(originals: list[Drawn]) -> None:
    fine = says(("Reworded", ""))

    def reword(asked: Sequence[Asked]) -> Iterator[Sequence[tuple[str, str]]]:
        if originals[BATCH].heart in {text for text, _ in asked}:
            raise KeyboardInterrupt
        yield from fine.reword(asked)

    with pytest.raises(KeyboardInterrupt):
        write(originals[: 2 * BATCH], writer=Writer("m", 0.8, reword), seed=5, by="test")
    assert Scenario.objects.filter(source__contains="reworded").exists()
    assert LedgerEntry.objects.filter(action="scenarios reworded").count() == 1


def test_tiny_model_writes_or_says_why_not(originals: list[Drawn], tiny_model: object) -> None:
    writer = writer_for(load(str(tiny_model), device="cpu"), samples=2, temperature=0.8, seed=5)
    report = write(originals[:3], writer=writer, seed=5, by="test")
    assert report.samples == 6
    assert report.added + sum(report.left_out.values()) == 6
