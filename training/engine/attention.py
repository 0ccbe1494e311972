"""Attention for rows that share beginnings: what all rows of a run have in common is looked at where it lies, once.

The usual way gives each row a copy of the beginning's keys and values, and a step then reads all the copies. Here
queries of a run meet the one beginning in one product, each row's own keys in another, and the two are joined by the
sums of their exponentials, which is exact.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import DynamicCache

from training.engine.model import LanguageModel

NAME = "shared_beginnings"
# Models whose attention is the plain one: no windows, sinks or caps. Others keep their own.
KINDS = frozenset({"llama"})


@dataclass(frozen=True)
class Run:
    """Rows `start` to `end` of a batch, and the beginning that they share; None for rows without."""

    start: int
    end: int
    beginning: DynamicCache | None

    @property
    def length(self) -> int:
        return self.beginning.get_seq_length() if self.beginning else 0


def kept(runs: Sequence[Run], places: Sequence[int]) -> list[Run]:
    """The runs of the rows at `places` (ascending), which become rows 0, 1, 2 ..."""
    found: list[Run] = []
    start = 0
    for run in runs:
        end = start + sum(run.start <= place < run.end for place in places)
        if end > start:
            found.append(Run(start, end, run.beginning))
        start = end
    return found


def is_possible(lm: LanguageModel) -> bool:
    """Whether this model, where it lies, can attend so."""
    config = lm.model.config
    return (
        lm.device.type == "cpu"
        and config.model_type in KINDS
        and lm.model.dtype == torch.float32
        and config._attn_implementation in {"sdpa", NAME}
    )


@contextmanager
def attending(lm: LanguageModel) -> Iterator[None]:
    """Within it the model's forward pass takes `runs`, and a mask as `additive` makes it."""
    config = lm.model.get_decoder().layers[0].self_attn.config
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def additive(lm: LanguageModel, allowed: Tensor) -> Tensor:
    """The mask for `attend` of who may look at which of its row's own keys, [rows, queries, keys]."""
    config = lm.model.config
    shared_by = config.num_attention_heads // config.num_key_value_heads
    mask = torch.zeros(allowed.shape, dtype=lm.model.dtype).masked_fill_(~allowed, -torch.inf)
    return mask[:, None].repeat(1, 1, shared_by, 1)


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    *,
    runs: Sequence[Run],
    scaling: float,
    **_given: Any,
) -> tuple[Tensor, None]:
    """As transformers calls it: query [rows, heads, n, size], a row's own keys and values [rows, key heads, m, size].

    Every row must be allowed to look at something of its own at least.
    """
    rows, heads, count, size = query.shape
    few = key.shape[1]
    # The query heads that share a key head stand one below the other, as if they were further queries.
    queries = query.reshape(rows, few, heads // few * count, size)
    found, total = _flash(queries, key, value, attention_mask, scaling)
    layer: Any = module.layer_idx
    for run in runs:
        if run.beginning is None:
            continue
        place = slice(run.start, run.end)
        held = run.beginning.layers[layer]
        together = queries[place].transpose(0, 1).reshape(1, few, -1, size)
        seen, seen_total = _flash(together, held.keys, held.values, None, scaling)
        seen = seen.view(few, run.end - run.start, -1, size).transpose(0, 1)
        seen_total = seen_total.view(few, run.end - run.start, -1).transpose(0, 1)
        found[place] = torch.lerp(found[place], seen, torch.sigmoid(seen_total - total[place])[..., None])
    return found.view(rows, heads, count, size).transpose(1, 2), None


def _flash(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> tuple[Tensor, Tensor]:
    """What is seen, contiguous, and the logarithm of the sum of exponentials for each query."""
    found, total = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query, key, value, attn_mask=mask, scale=scaling
    )
    return found.contiguous(), total


AttentionInterface.register(NAME, attend)
