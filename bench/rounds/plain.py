"""SFT or DPO as one writes it with TRL alone: no callbacks, no looks, nothing of ours. Reads a task, prints seconds.

The rows are token ids in their order, so that both sides of the comparison train on the same batches.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer


class OnTokens(DPOTrainer):  # type: ignore[misc]
    """The trainer, on rows that are token ids already."""

    def _prepare_dataset(self, dataset: Dataset, *_args: Any, **_kw: Any) -> Dataset:
        return dataset


def main(file: Path) -> None:
    task = json.loads(file.read_text())
    torch.set_num_threads(task["threads"])
    if task["is_chunked"]:  # as the recipe does: only what is learnt goes through the output layer
        trl.trainer.utils._use_triton = lambda _device: True
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(
        task["model"], dtype=getattr(torch, task["dtype"]), use_safetensors=True, attn_implementation="sdpa"
    )
    common = {"train_dataset": Dataset.from_list(task["rows"]), "processing_class": tokenizer}
    if task["stage"] == "sft":
        trainer = SFTTrainer(
            model=model, args=SFTConfig(**task["settings"]), peft_config=LoraConfig(**task["lora"]), **common
        )
    else:
        adapted = PeftModel.from_pretrained(model, task["adapter"], is_trainable=True)
        trainer = OnTokens(model=adapted, args=DPOConfig(**task["settings"]), **common)
    trainer.remove_callback(PrinterCallback)
    began, cpu_began = time.perf_counter(), time.process_time()
    trainer.train()
    took = {"train": time.perf_counter() - began, "cpu": time.process_time() - cpu_began}
    trainer.model.save_pretrained(task["out"], selected_adapters=["default"])
    print(json.dumps({**took, "steps": trainer.state.global_step}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
