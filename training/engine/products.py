"""Faster matrix products in float32 on a processor with AVX-512: oneDNN's, with weights laid out for it once.

PyTorch multiplies float32 with MKL, which uses half of the width of other makers' registers. The same numbers come out
apart from rounding. What is laid out anew is a second copy of the weights; it is made when first needed, is made again
where a weight changed, and goes with the model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

# A model whose products take more than this is left as it is: two copies of it may not fit.
MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class Packed:
    """A layer's weight as oneDNN likes it, and which state of the weight that is."""

    weight: Tensor
    state: tuple[int, int]


_packed: WeakKeyDictionary[nn.Linear, Packed] = WeakKeyDictionary()


def is_possible() -> bool:
    """Whether this processor gains by it."""
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return has_onednn and torch.cpu._is_avx512_supported()


@contextmanager
def faster_products(model: nn.Module) -> Iterator[None]:
    """Within it the model's linear layers multiply with oneDNN. For inference alone: nothing is derived through it.

    Changes nothing for a model in training, on a GPU, in another precision (autocast's too), or too large for a second
    copy.
    """
    is_left_alone = model.training or torch.is_autocast_enabled("cpu") or not is_possible()
    layers = [] if is_left_alone else _layers(model)
    for layer in layers:
        layer.__dict__["forward"] = _Product(layer, _of(layer))
    try:
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


class _Product:
    """What stands in for a layer's `forward`."""

    def __init__(self, layer: nn.Linear, packed: Packed) -> None:
        self.weight, self.bias = packed.weight, layer.bias

    def __call__(self, rows: Tensor) -> Tensor:
        flat = rows.reshape(-1, rows.shape[-1])
        count = len(flat)
        if more := padded(count) - count:
            flat = torch.nn.functional.pad(flat, (0, 0, 0, more))
        found: Tensor = torch.ops.mkldnn._linear_pointwise(flat, self.weight, self.bias, "none", [], "")
        return found[:count].view(*rows.shape[:-1], -1)


def padded(count: int) -> int:
    """The next number of rows that is multiplied: oneDNN writes and keeps a program for each, so they are few."""
    step = 1 << max(0, count.bit_length() - 4)
    return -(-count // step) * step


def _layers(model: nn.Module) -> list[nn.Linear]:
    """The layers that are not taken care of already; none where not all are float32 in ordinary memory."""
    found = [layer for layer in model.modules() if type(layer) is nn.Linear]
    if any(layer.weight.dtype != torch.float32 or layer.weight.device.type != "cpu" for layer in found):
        return []
    if sum(layer.weight.nbytes for layer in found) > MOST_BYTES:
        return []
    return [layer for layer in found if "forward" not in layer.__dict__]


def _of(layer: nn.Linear) -> Packed:
    state = (layer.weight.data_ptr(), layer.weight._version)
    known = _packed.get(layer)
    if known is None or known.state != state:
        weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)
        known = _packed[layer] = Packed(weight, state)
    return known
