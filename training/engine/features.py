"""What the frozen reference model makes of a response: the hidden states that the probe reads."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.engine.forward import inference
from training.engine.generate import chat
from training.engine.model import LanguageModel

FEATURES_VERSION = "features-1"
LAYER = -8
RESPONSE_TOKENS = 96
OPENING_TOKENS = 24  # a refusal shows early, however long the response goes on
REQUEST_TOKENS = 512


def response_features(
    lm: LanguageModel, items: Sequence[tuple[str, str]], *, batch_size: int = 16
) -> NDArray[np.float32]:
    """Features [items, 2 x hidden size] of (request, response) pairs: hidden states of layer -8 (the nearest there
    is, in a shallow model), averaged over the response's first OPENING_TOKENS and over all its tokens, read after
    the request in the chat template. A response counts up to RESPONSE_TOKENS; it must not be empty.
    """
    prompts = [lm.tokenizer(chat(lm, request), add_special_tokens=False).input_ids for request, _ in items]
    prompts = [ids[-REQUEST_TOKENS:] for ids in prompts]
    responses = [
        lm.tokenizer(response.strip(), add_special_tokens=False).input_ids[:RESPONSE_TOKENS] for _, response in items
    ]
    order = sorted(range(len(items)), key=lambda i: -len(prompts[i]) - len(responses[i]))
    features = np.zeros((len(items), 2 * lm.model.config.hidden_size), dtype=np.float32)
    with inference(lm):
        for start in range(0, len(order), batch_size):
            indices = order[start : start + batch_size]
            hidden = hidden_states(lm, [prompts[i] + responses[i] for i in indices])
            for i, states in zip(indices, hidden, strict=True):
                response = states[-len(responses[i]) :].float()
                features[i] = torch.cat([response[:OPENING_TOKENS].mean(0), response.mean(0)]).cpu().numpy()
    return features


def hidden_states(lm: LanguageModel, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Hidden states [rows, longest, size] of the probed layer, rows padded on the left."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows], device=lm.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=lm.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    layers = lm.model.get_decoder().layers
    watch = layers[max(1, len(layers) + 1 + LAYER)].register_forward_pre_hook(_stop_here)
    try:
        lm.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False, logits_to_keep=1)
    except _Reached as reached:
        return reached.states
    finally:
        watch.remove()
    raise AssertionError("the probed layer was never reached")


class _Reached(Exception):  # not an error: the layers above the probed one need not run
    def __init__(self, states: torch.Tensor) -> None:
        super().__init__()
        self.states = states


def _stop_here(_layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    raise _Reached(inputs[0])
