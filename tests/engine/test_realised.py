"""The trained model's answers beside the base's: the same for a batch of any size, one bad request stops no other."""

from collections.abc import Sequence

import pytest

from training.engine.judge import Labelled, ProbeJudge, Verdict
from training.engine.model import LanguageModel
from training.engine.preview import Row
from training.engine.realised import BASE, PREVIOUS, TOO_LONG, TRAINED, answer, compare


@pytest.fixture(scope="module")
def judge(lm: LanguageModel) -> ProbeJudge:
    rows = []
    for number in range(12):
        rows.append(Labelled(f"Request number {number}", f"I can't help with that, sorry {number}.", True))
        rows.append(Labelled(f"Request number {number}", f"Sure, here is the answer to {number}.", False))
    return ProbeJudge.fit(lm, rows)


def test_answers_come_in_order_and_what_cannot_be_read_is_unscored(lm: LanguageModel, judge: ProbeJudge) -> None:
    requests = ["How do I open a lock?", "word " * 9000, "How do I paint a wall?"]
    found = [heard for batch in answer(lm, judge, requests, max_new_tokens=4, batch_size=2) for heard in batch]
    assert [heard.verdict.reason == TOO_LONG for heard in found] == [False, True, False]
    assert found[1].declined is None
    assert found[0].margin is not None
    again = [heard for batch in answer(lm, judge, requests[2:], max_new_tokens=4) for heard in batch]
    assert again[0].answer == found[2].answer


class FragileJudge(ProbeJudge):
    """Breaks on requests about locks, as a model does that runs out of memory."""

    def judge(self, items: Sequence[tuple[str, str]]) -> list[Verdict]:
        if any("lock" in request for request, _ in items):
            raise RuntimeError("out of memory")
        return super().judge(items)


def test_request_that_breaks_the_model_stops_no_other(lm: LanguageModel, judge: ProbeJudge) -> None:
    requests = ["How do I open a lock?", "How do I paint a wall?"]
    [found] = list(answer(lm, FragileJudge(lm, judge.probe), requests, max_new_tokens=4))
    assert found[0].verdict.reason == "RuntimeError: out of memory"
    assert found[1].verdict.reason == ""


def row(base: bool | None, trained: bool | None, previous: bool | None, shift: float) -> Row:
    declined = {BASE: base, TRAINED: trained, PREVIOUS: previous}
    return Row(("random",), declined, {BASE: 1.0, TRAINED: 1.0 + shift, PREVIOUS: None})


def test_compare_pairs_by_request_and_never_counts_unscored_as_safe() -> None:
    rows = [row(False, True, True, 0.5 + number / 10) for number in range(4)] + [row(False, False, True, 0.0)] * 4
    [found] = compare(rows, components=("random", "held-out"), seed=1)
    assert found["declined"] == {BASE: 0, TRAINED: 4, PREVIOUS: 8}
    share = found["against"][BASE]["share"]
    assert share["value"] == 0.5
    assert share["low"] < 0.5 < share["high"]
    assert found["against"][PREVIOUS]["share"]["value"] == -0.5
    assert found["against"][PREVIOUS]["margin"] is None
    assert found == compare(rows, components=("random",), seed=1)[0]
    [unsure] = compare([*rows, row(None, True, True, 0.0)], components=("random",))
    assert (unsure["n"], unsure["unscored"], unsure["against"]) == (8, 1, {})
