"""From prompts to tokens, one after the other: a batch is read in, and goes on a token at a time.

Where the model's attention allows it (`attention.is_possible`), what rows have in common stays where it lies; elsewhere
each row gets its copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from training.engine.attention import Run, additive, attending, is_possible, kept
from training.engine.forward import Group, Heads, Tree, computed, run_group, share_prefixes, tree_attention
from training.engine.model import LanguageModel


@dataclass
class Prefilled:
    """A batch after its prompts: `cache` for going on, `mask` [rows, length], `positions` [rows] of the next token,
    `logits` [rows, vocabulary] for it; `order` says which of the prompts each row is.

    Where `runs` are, the beginnings that rows share are not in the cache and the mask, which have the rest alone.
    """

    cache: Cache
    mask: Tensor
    positions: Tensor
    logits: Tensor
    order: list[int]
    runs: list[Run] = field(default_factory=list)

    def keep(self, places: list[int]) -> None:
        """Drop all rows but those at `places` (ascending)."""
        index = torch.tensor(places, device=self.mask.device)
        self.cache.batch_select_indices(index)
        self.mask, self.positions = self.mask[index], self.positions[index]
        self.order = [self.order[place] for place in places]
        self.runs = kept(self.runs, places)


class ReservedLayer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped
    """Keys and values in a buffer of full length, so that a new token is written and nothing is copied."""

    def __init__(self, keys: Tensor, values: Tensor, used: int) -> None:
        super().__init__()
        self.key_buffer, self.value_buffer, self.used = keys, values, used
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._view()

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kw: Any) -> tuple[Tensor, Tensor]:
        start, self.used = self.used, self.used + key_states.shape[-2]
        self.key_buffer[:, :, start : self.used] = key_states
        self.value_buffer[:, :, start : self.used] = value_states
        self._view()
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        self.key_buffer, self.value_buffer = self.key_buffer[indices], self.value_buffer[indices]
        self._view()

    def _view(self) -> None:
        self.keys = self.key_buffer[:, :, : self.used]
        self.values = self.value_buffer[:, :, : self.used]


def prefill(lm: LanguageModel, rows: Sequence[Sequence[int]], *, reserve: int, heads: Heads | None = None) -> Prefilled:
    """Run non-empty rows through the model, leaving room for `reserve` further tokens each."""
    groups = _join_lonely(heads.groups(rows) if heads else share_prefixes(rows))
    order = [i for group in groups for i in group.rows]
    if is_possible(lm):
        logits, state = run_together(lm, rows, groups, reserve=reserve, heads=heads)
        state.logits = logits[:, -1]
        return state
    passes = [(group, *run_group(lm, [rows[i] for i in group.rows], group.prefix, heads=heads)) for group in groups]
    length = max(mask.shape[1] for _, _, _, mask in passes)
    cache = Cache(layers=[])
    for layers in zip(*(cache.layers for _, _, cache, _ in passes), strict=True):
        keys = _aligned([layer.keys for layer in layers], length, reserve)
        values = _aligned([layer.values for layer in layers], length, reserve)
        cache.layers.append(ReservedLayer(keys, values, length))
    mask = torch.cat([torch.nn.functional.pad(mask, (length - mask.shape[1], 0)) for _, _, _, mask in passes])
    return Prefilled(cache, mask, mask.sum(1), torch.cat([logits[:, -1] for _, logits, _, _ in passes]), order)


def step(lm: LanguageModel, state: Prefilled, tokens: Tensor) -> None:
    """Feed one token per row ([rows]) and move `state` on."""
    state.mask = torch.nn.functional.pad(state.mask, (0, 1), value=1)
    given = {
        "input_ids": tokens[:, None],
        "position_ids": state.positions[:, None],
        "past_key_values": state.cache,
        "use_cache": True,
        "logits_to_keep": 1,
    }
    if state.runs:
        with attending(lm):
            output = lm.model(attention_mask=additive(lm, state.mask[:, None].bool()), runs=state.runs, **given)
    else:
        output = lm.model(attention_mask=state.mask, **given)
    state.logits, state.positions = output.logits[:, -1], state.positions + 1


def run_together(
    lm: LanguageModel,
    rows: Sequence[Sequence[int]],
    groups: Sequence[Group],
    *,
    reserve: int = 0,
    tree: Tree | None = None,
    heads: Heads | None = None,
) -> tuple[Tensor, Prefilled]:
    """All groups in one pass: logits as `run_group` has them, of rows in the groups' order, and how to go on.

    Only where `attention.is_possible`. With a `tree` there is no going on.
    """
    nodes = list(tree.tokens) if tree else []
    order = [i for group in groups for i in group.rows]
    runs, begun = _runs(lm, rows, groups, heads)
    tails = [[*rows[i][begin:], *nodes] for i, begin in zip(order, begun, strict=True)]
    width = max(len(tail) for tail in tails)
    ids = torch.tensor([[0] * (width - len(tail)) + tail for tail in tails])
    mask = torch.tensor([[0] * (width - len(tail)) + [1] * len(tail) for tail in tails])
    positions = (mask.cumsum(1) - 1).clamp(min=0) + torch.tensor(begun)[:, None]
    seen = torch.ones(1, 1, dtype=torch.bool)
    if tree and nodes:
        seen = tree.ancestors()
        positions[:, -len(nodes) :] = positions[:, -len(nodes) - 1, None] + seen.sum(1)
    cache = _room(lm, len(rows), width + reserve)
    with attending(lm):
        output = lm.model(
            input_ids=ids,
            attention_mask=additive(lm, tree_attention(mask, width, seen)[:, 0]),
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1 + len(nodes),
            runs=runs,
        )
    return output.logits, Prefilled(cache, mask, positions[:, -1] + 1, output.logits[:, -1], order, runs)


def _runs(
    lm: LanguageModel, rows: Sequence[Sequence[int]], groups: Sequence[Group], heads: Heads | None
) -> tuple[list[Run], list[int]]:
    """The runs of a batch in the groups' order, and for each row how many tokens its beginning has."""
    runs: list[Run] = []
    for group in groups:
        prefix = rows[group.rows[0]][: group.prefix]
        held = heads.layers(prefix) if heads and prefix else None
        start = runs[-1].end if runs else 0
        beginning = (held or computed(lm, prefix)) if prefix else None
        runs.append(Run(start, start + len(group.rows), beginning))
    return runs, [group.prefix for group in groups for _ in group.rows]


def _room(lm: LanguageModel, rows: int, length: int) -> Cache:
    """An empty cache with room for so many tokens of so many rows."""
    config = lm.model.config
    shape = (rows, config.num_key_value_heads, length, config.head_dim)
    return Cache(
        layers=[
            ReservedLayer(torch.zeros(shape, dtype=lm.model.dtype), torch.zeros(shape, dtype=lm.model.dtype), 0)
            for _ in range(config.num_hidden_layers)
        ]
    )


def _join_lonely(groups: list[Group]) -> list[Group]:
    """Rows that share no prefix run together as one padded group."""
    lonely = tuple(i for group in groups if not group.prefix for i in group.rows)
    shared = [group for group in groups if group.prefix]
    return [*shared, Group(lonely, 0)] if lonely else shared


def _aligned(parts: Sequence[Tensor], length: int, reserve: int) -> Tensor:
    """Stack [rows, heads, n, size] parts into one buffer, each ending at `length`, with `reserve` free places."""
    rows, first = sum(part.shape[0] for part in parts), parts[0]
    buffer = first.new_zeros(rows, first.shape[1], length + reserve, first.shape[3])
    start = 0
    for part in parts:
        buffer[start : start + part.shape[0], :, length - part.shape[2] : length] = part
        start += part.shape[0]
    return buffer
