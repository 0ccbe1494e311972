"""What a request is about, as the frozen reference model has it: the mean hidden state over the request's tokens.

Signals go by it: what was decided near a request. Cases are placed by `sentences`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.engine.clauses import clean
from training.engine.features import hidden_states
from training.engine.forward import inference
from training.engine.model import LanguageModel

HEAD = "Request:"  # the first tokens' states say only that something begins: they are left out
MOST_TOKENS = 256


def request_states(lm: LanguageModel, requests: Sequence[str], *, batch_size: int = 32) -> NDArray[np.float32]:
    """States [requests, hidden size], not normalised: compare them after taking off a common centre (`units`)."""
    head = lm.tokenizer(HEAD, add_special_tokens=False).input_ids
    bodies = [lm.tokenizer(f" {clean(text)}", add_special_tokens=False).input_ids[:MOST_TOKENS] for text in requests]
    order = sorted(range(len(requests)), key=lambda i: -len(bodies[i]))
    states = np.zeros((len(requests), lm.model.config.hidden_size), dtype=np.float32)
    with inference(lm):
        for start in range(0, len(order), batch_size):
            part = order[start : start + batch_size]
            found = hidden_states(lm, [[*head, *bodies[i]] for i in part])
            for i, row in zip(part, found, strict=True):
                states[i] = row[-max(1, len(bodies[i])) :].float().mean(0).cpu().numpy()
    return states


def units(states: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    """States as directions from a centre: raw states of one model all point about the same way."""
    moved = states - centre
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=-1, keepdims=True), 1e-6), dtype=np.float32)
