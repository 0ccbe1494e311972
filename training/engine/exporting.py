"""Writing a trained model so that transformers and peft load it anywhere: safetensors and a tokenizer, no code."""

import json
import shutil
from pathlib import Path

from transformers import AutoTokenizer

from training.engine.model import load, local_folder, weights_digest

WEIGHTS = "adapter_model.safetensors"
SETTINGS = "adapter_config.json"


def base_digest(base: str) -> str:
    """The digest of the base model's weights, as a round writes it down."""
    return weights_digest(local_folder(base))


def write_adapter(adapter: Path, folder: Path, *, base: str, base_name: str) -> None:
    """Copy an adapter and its base's tokenizer into `folder`. The adapter then names its base as others know it."""
    settings = json.loads((adapter / SETTINGS).read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = base_name
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.copyfile(adapter / WEIGHTS, folder / WEIGHTS)
    _write_tokenizer(base, folder)


def write_merged(adapter: Path, folder: Path, *, base: str) -> None:
    """Write whole weights into `folder`: the base's with the adapter's added, computed in float32 on the processor."""
    trained = load(base, device="cpu", adapter=adapter)
    trained.model.save_pretrained(folder)
    _write_tokenizer(base, folder)


def _write_tokenizer(base: str, folder: Path) -> None:
    AutoTokenizer.from_pretrained(local_folder(base)).save_pretrained(folder)
