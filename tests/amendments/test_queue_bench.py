"""The measurement of the queue, small: every kind is answered, and more rows take no more queries. Never seconds."""

import pytest
from zeal import zeal_ignore

from bench import queue

SIZES = ((1_000, 120), (4_000, 480))


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["queue", "filter", "search", "next"])
def test_more_rows_take_no_more_queries(kind: str) -> None:
    counts = []
    for cases, amendments in SIZES:
        with queue.trial(cases, amendments) as desk, zeal_ignore():
            counts.append({queue.counted(desk, queue.KINDS[kind]) for _ in range(len(queue.FILTERS))})
    assert len(counts[0] | counts[1]) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["detail", "decide"])
def test_every_kind_is_answered(kind: str) -> None:
    with queue.trial(*SIZES[0]) as desk, zeal_ignore():
        assert queue.timed(desk, queue.KINDS[kind]) > 0
