import copy

import pytest
import torch

from training.engine import products
from training.engine.attention import Run, kept
from training.engine.decoding import run_together
from training.engine.forward import Heads, Tree, inference, run_group
from training.engine.model import LanguageModel

SHARED = "An assistant answers requests by this rule. Rule: The assistant helps with everyday questions. Request:"
TEXTS = [f"{SHARED} {rest}" for rest in ("How?", "Why is it so far to the sea?", "Who?")] + ["Tomatoes need sun."]


@pytest.fixture
def rows(lm: LanguageModel) -> list[list[int]]:
    return [lm.tokenizer(text, add_special_tokens=False).input_ids for text in TEXTS]


@pytest.mark.parametrize("tree", [None, Tree.of([[5, 6, 7], [5, 8], [9, 6, 5]])])
def test_groups_in_one_pass_have_the_logits_of_each_by_itself(
    lm: LanguageModel, rows: list[list[int]], tree: Tree | None
) -> None:
    groups = Heads(lm, [SHARED]).groups(rows)
    assert [len(group.rows) for group in groups] == [3, 1]
    with inference(lm):
        logits, state = run_together(lm, rows, groups, tree=tree)
        for place, index in enumerate(state.order):
            alone, _, _ = run_group(lm, [rows[index]], 0, tree=tree)
            torch.testing.assert_close(logits[place], alone[0], atol=1e-4, rtol=1e-4)


def test_rows_that_leave_take_their_run_with_them() -> None:
    runs = [Run(0, 3, None), Run(3, 4, None), Run(4, 6, None)]
    assert [(run.start, run.end) for run in kept(runs, [0, 2, 5])] == [(0, 2), (2, 3)]


needs_avx512 = pytest.mark.skipif(not products.is_possible(), reason="this processor gains nothing by it")


@needs_avx512
def test_faster_products_give_the_same_apart_from_rounding(lm: LanguageModel, rows: list[list[int]]) -> None:
    ids = torch.tensor([rows[3]])
    with torch.inference_mode():
        usual = lm.model(input_ids=ids).logits
        with products.faster_products(lm.model):
            assert "forward" in lm.model.lm_head.__dict__
            torch.testing.assert_close(lm.model(input_ids=ids).logits, usual, atol=1e-4, rtol=1e-4)
        assert "forward" not in lm.model.lm_head.__dict__
        torch.testing.assert_close(lm.model(input_ids=ids).logits, usual, atol=0, rtol=0)


def test_few_numbers_of_rows_are_multiplied_and_none_is_much_larger() -> None:
    padded = [products.padded(count) for count in range(1, 10_000)]
    assert all(count <= more <= 1.125 * count + 1 for count, more in enumerate(padded, 1))
    assert len(set(padded)) < 100


@needs_avx512
def test_faster_products_follow_a_changed_weight_and_leave_training_alone(lm: LanguageModel) -> None:
    layer = copy.deepcopy(lm.model.get_decoder().layers[0].mlp.up_proj)
    holder = torch.nn.Sequential(layer).eval()
    rows = torch.randn(3, layer.in_features)
    for change in (0.0, 1.0):
        with torch.no_grad():
            layer.weight += change
        with torch.inference_mode():
            usual = holder(rows)
            with products.faster_products(holder):
                torch.testing.assert_close(holder(rows), usual, atol=1e-4, rtol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16), products.faster_products(holder):
        assert "forward" not in layer.__dict__
    with products.faster_products(holder.train()):
        assert "forward" not in layer.__dict__
