"""Forward passes over rows of token ids: a prefix that several rows share is computed once.

Rows that begin alike (clause, examples, then a request) form a group. The group's prefix runs as one row, its keys
and values are shared by the rest of each row, and rows of all groups then meet in one left-padded batch. Positions
are counted per row, so a row's result does not depend on its batch beyond floating-point rounding.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from training.engine.model import LanguageModel
from training.engine.products import faster_products

SHORTEST_SHARED_PREFIX = 24


@dataclass(frozen=True)
class Group:
    """Rows (by index) whose first `prefix` tokens are the same."""

    rows: tuple[int, ...]
    prefix: int


@dataclass(frozen=True)
class Tree:
    """Short continuations of a prompt that are read in one pass, common beginnings once.

    `tokens` and `parents` describe the nodes that are fed to the model (parent 0 is the prompt's last token, node n
    has number n + 1). `paths` holds for each continuation its (number of the node before, token) steps.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    paths: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, continuations: Sequence[Sequence[int]]) -> Self:
        numbers: dict[tuple[int, ...], int] = {(): 0}
        parents: list[int] = []
        paths = []
        for ids in continuations:
            for end in range(1, len(ids)):  # the last token of a continuation is predicted, never fed
                if tuple(ids[:end]) not in numbers:
                    parents.append(numbers[tuple(ids[: end - 1])])
                    numbers[tuple(ids[:end])] = len(numbers)
            paths.append(tuple((numbers[tuple(ids[:i])], token) for i, token in enumerate(ids)))
        tokens = tuple(beginning[-1] for beginning in numbers if beginning)
        return cls(tokens, tuple(parents), tuple(paths))

    def ancestors(self) -> Tensor:
        """Which nodes each node may look at, [nodes, nodes]: itself and those before it on its path."""
        seen = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent:
                seen[node] |= seen[parent - 1]
        return seen


class Heads:
    """Beginnings of rows that come back batch after batch, as a clause with its examples does: the keys and values of
    each are computed once. At most `most` are held, those used last.
    """

    def __init__(self, lm: LanguageModel, texts: Sequence[str], *, most: int = 16) -> None:
        """`texts` must each end where a token ends, whatever follows; a row that does not begin so has no head."""
        found = {tuple(lm.tokenizer(text, add_special_tokens=False).input_ids) for text in texts}
        self._ids = sorted(found, key=len, reverse=True)
        self._lm, self._most = lm, most
        self._held: OrderedDict[tuple[int, ...], DynamicCache] = OrderedDict()

    def of(self, row: Sequence[int]) -> int:
        """How many tokens of a row are a head, with at least one token after it; 0 where none is."""
        return next((len(ids) for ids in self._ids if len(ids) < len(row) and tuple(row[: len(ids)]) == ids), 0)

    def groups(self, rows: Sequence[Sequence[int]]) -> list[Group]:
        """Rows with the same head together; the others as `share_prefixes` has them."""
        found: dict[tuple[int, ...], list[int]] = {}
        for index, row in enumerate(rows):
            found.setdefault(tuple(row[: self.of(row)]), []).append(index)
        bare = found.pop((), [])
        rest = [Group(tuple(bare[i] for i in g.rows), g.prefix) for g in share_prefixes([rows[i] for i in bare])]
        return [*(Group(tuple(indices), len(head)) for head, indices in found.items()), *rest]

    def layers(self, prefix: Sequence[int]) -> DynamicCache | None:
        """The cache of a head for one row, to be read and not changed; None where `prefix` is no head."""
        key = tuple(prefix)
        if key not in self._held:
            if key not in self._ids:
                return None
            self._held[key] = computed(self._lm, key)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


@contextmanager
def inference(lm: LanguageModel) -> Iterator[None]:
    """Evaluation mode without gradients; a model under training goes back to training afterwards."""
    training = lm.model.training
    lm.model.eval()
    try:
        # Weights under training change at every step: laying them out anew would cost more than it brings.
        with torch.inference_mode(), nullcontext() if training else faster_products(lm.model):
            yield
    finally:
        lm.model.train(training)


def share_prefixes(rows: Sequence[Sequence[int]], limits: Sequence[int] | None = None) -> list[Group]:
    """Partition rows into groups with a common prefix, long rows first.

    `limits[i]` is the most tokens of row i that may be in a prefix (default: all but its last token).
    """
    limits = limits or [len(row) - 1 for row in rows]
    groups: list[Group] = []
    members: list[int] = []
    prefix = 0
    for index in sorted(range(len(rows)), key=lambda i: list(rows[i])):
        if members:
            shared = min(prefix, limits[index], _common_length(rows[members[0]], rows[index]))
            # A much shorter prefix would make the rows already gathered pay for the newcomer.
            if shared >= max(SHORTEST_SHARED_PREFIX, prefix // 2 if len(members) > 1 else 0):
                members.append(index)
                prefix = shared
                continue
            groups.append(Group(tuple(members), prefix if len(members) > 1 else 0))
        members, prefix = [index], limits[index]
    if members:
        groups.append(Group(tuple(members), prefix if len(members) > 1 else 0))
    return sorted(groups, key=lambda group: -max(len(rows[i]) for i in group.rows))


def batches(rows: Sequence[Sequence[int]], batch_size: int, heads: Heads | None = None) -> Iterator[list[int]]:
    """Row indices in batches: rows that share a prefix together, then by length, longest first."""
    groups = heads.groups(rows) if heads else share_prefixes(rows)
    order = [i for group in groups for i in sorted(group.rows, key=lambda i: -len(rows[i]))]
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def run_group(
    lm: LanguageModel,
    rows: Sequence[Sequence[int]],
    prefix: int,
    *,
    keep: int = 1,
    tree: Tree | None = None,
    heads: Heads | None = None,
) -> tuple[Tensor, DynamicCache, Tensor]:
    """Logits of the last `keep` positions [rows, keep, vocabulary], the cache, and the mask [rows, length].

    The first `prefix` tokens of all rows must be the same. With a `tree`, its nodes follow every row, and the logits
    are those of the row's last token and of each node: [rows, 1 + nodes, vocabulary].
    """
    nodes = list(tree.tokens) if tree else []
    tails = [[*row[prefix:], *nodes] for row in rows]
    width = max(len(tail) for tail in tails)
    ids = torch.tensor([[0] * (width - len(tail)) + tail for tail in tails], device=lm.device)
    mask = torch.tensor([[1] * prefix + [0] * (width - len(t)) + [1] * len(t) for t in tails], device=lm.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, prefix:]
    attention = mask
    if tree and nodes:
        seen = tree.ancestors().to(lm.device)
        attention = tree_attention(mask, width, seen)
        positions[:, -len(nodes) :] = positions[:, -len(nodes) - 1, None] + seen.sum(1)
    cache = _prefix_cache(lm, rows[0][:prefix], len(rows), heads)
    output = lm.model(
        input_ids=ids,
        attention_mask=attention,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1 + len(nodes) if tree else keep,
    )
    return output.logits, cache, mask


def _prefix_cache(lm: LanguageModel, prefix: Sequence[int], rows: int, heads: Heads | None) -> DynamicCache:
    """The keys and values of a prefix as if `rows` rows had it, computed once."""
    if not prefix:
        return DynamicCache(config=lm.model.config)
    held = heads.layers(prefix) if heads else None
    one = held or computed(lm, prefix)
    cache = DynamicCache(config=lm.model.config)
    for layer, found in zip(cache.layers, one.layers, strict=True):
        layer.lazy_initialization(found.keys, found.values)
        # Whoever goes on with it joins new tokens to a copy: what is held stays as it is.
        layer.keys, layer.values = found.keys.expand(rows, -1, -1, -1), found.values.expand(rows, -1, -1, -1)
    return cache


def computed(lm: LanguageModel, prefix: Sequence[int]) -> DynamicCache:
    """The keys and values of a prefix, for one row."""
    cache = DynamicCache(config=lm.model.config)
    ids = torch.tensor([list(prefix)], device=lm.device)
    lm.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def tree_attention(mask: Tensor, width: int, seen: Tensor) -> Tensor:
    """Who may look at whom, [rows, 1, width, length]: causal, without padding, and nodes only at their ancestors."""
    length, nodes = mask.shape[1], len(seen)
    causal = torch.ones(width, length, dtype=torch.bool, device=mask.device).tril(length - width)
    causal[-nodes:, -nodes:] = seen
    allowed = causal[None] & mask[:, None].bool()
    # A padding position may look at itself: a row of the softmax with nothing in it would not be a number.
    allowed |= torch.eye(width, length, dtype=torch.bool, device=mask.device).roll(length - width, 1)[None]
    return allowed[:, None]


def _common_length(left: Sequence[int], right: Sequence[int]) -> int:
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
