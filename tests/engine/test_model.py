import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from training.engine import model as model_module
from training.engine.generate import chat, generate
from training.engine.model import ModelError, ensure_default_model, load, weights_digest
from training.recipes import settings


@pytest.fixture
def copy(tiny_path: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_path, tmp_path / "copy"))


def test_load_is_ready_to_use(tiny_path: Path) -> None:
    lm = load(tiny_path, device="cpu")
    assert lm.model.dtype is torch.float32
    assert not lm.model.training
    assert lm.tokenizer.padding_side == "left"
    assert lm.tokenizer.pad_token_id is not None
    assert len(lm.digest) == 64


def test_digest_follows_the_weights_and_not_the_stamp(copy: Path) -> None:
    before = weights_digest(copy)
    assert weights_digest(copy) == before
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(1, 1))
    assert weights_digest(copy) != before


def test_digest_with_a_broken_stamp_is_computed_anew(copy: Path) -> None:
    before = weights_digest(copy)
    (copy / "digest.json").write_text("{")
    assert weights_digest(copy) == before


def test_load_reads_safetensors_only(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load(copy, device="cpu")


@pytest.mark.parametrize("path", ["; rm -rf /", "../../etc/passwd", "--help", "no such\nmodel", ""])
def test_load_refuses_what_is_no_model(path: str) -> None:
    with pytest.raises(ModelError):
        load(path, device="cpu")


def test_load_refuses_an_unknown_device(tiny_path: Path) -> None:
    with pytest.raises(ModelError, match="auto, cpu or cuda"):
        load(tiny_path, device="tpu")


def test_load_says_when_there_is_no_gpu(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="no usable GPU"):
        load(tiny_path, device="cuda")


# peft asks transformers for this by its old name.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_load_with_an_adapter_changes_model_and_digest(tiny_path: Path, tmp_path: Path) -> None:
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_path), LoraConfig(r=2, target_modules="all-linear")
    )
    for name, weights in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.5)
    adapted.save_pretrained(tmp_path / "adapter")
    plain, changed = load(tiny_path, device="cpu"), load(tiny_path, device="cpu", adapter=tmp_path / "adapter")
    assert changed.digest.startswith(plain.digest + "+")
    prompt = chat(plain, "Who?")
    assert generate(plain, [prompt], max_new_tokens=8) != generate(changed, [prompt], max_new_tokens=8)


def test_default_model_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "smollm2-135m-instruct").mkdir()
    assert ensure_default_model(tmp_path) == tmp_path / "smollm2-135m-instruct"


def test_default_model_says_which_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_module, "DEFAULT_PACKAGE", "no_such_package")
    with pytest.raises(ModelError, match=r"requirements-model\.lock"):
        ensure_default_model(tmp_path)
    assert not (tmp_path / "smollm2-135m-instruct").exists()


def test_default_model_says_how_much_room_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "tiny.gguf").touch()
    monkeypatch.setattr(model_module, "_packaged_gguf", lambda: package / "tiny.gguf")
    monkeypatch.setattr(model_module, "FREE_BYTES_NEEDED", 10**18)
    with pytest.raises(ModelError, match="Make room"):
        ensure_default_model(tmp_path / "models")


@pytest.mark.model
@pytest.mark.timeout(600)
def test_default_model_is_converted_and_answers(tmp_path: Path) -> None:
    said: list[str] = []
    path = ensure_default_model(tmp_path, on_progress=said.append)
    assert said
    assert "quantization_config" not in json.loads((path / "config.json").read_text())
    lm = load(path, device="cpu")
    band = json.loads((settings.PRESET_FILES / "cpu.band.json").read_text())
    assert lm.digest == band["reference"], "control rounds were measured with other weights: measure them again"
    assert "Paris" in generate(lm, [chat(lm, "What is the capital of France?")], max_new_tokens=16)[0]
    assert not list(tmp_path.glob(".converting-*"))
