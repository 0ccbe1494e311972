"""What SFT and DPO share: a frozen order of rows, settings of the trainer, progress, stopping and exact resumption.

A checkpoint of the trainer holds adapter, optimiser, schedule, random state and position. One that a kill left half
written lacks its mark and is thrown away, so that a stage always resumes from the last complete one.
"""

import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import trl.trainer.utils
from datasets import disable_progress_bars
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.engine.clauses import without_special_tokens
from training.engine.generate import chat
from training.engine.model import LanguageModel
from training.recipes import several
from training.recipes.files import Row, digest_folder, write_json, write_rows
from training.recipes.looks import ConstitutionalCheckpoint
from training.recipes.plan import DPOConfig, SFTConfig
from training.recipes.run import Paused, Run, Stopped, rolled_back_to

COMPLETE = "complete.json"
BATCHES_TO_SORT = 6
NOTED = ("id", "label", "principle", "labelled_by", "source")
# TRL puts only the tokens that are learnt through the output layer where it computes with Triton, and every token
# elsewhere: some accelerators would compile anew for each number of them. A processor does not, and an answer is a
# fraction of its row, so a step of SFT takes a third less time.
trl.trainer.utils._use_triton = lambda _device: True
disable_progress_bars()  # progress goes to the run directory; the last lines of stderr are for errors


def arrange(lengths: Sequence[int], *, batch_size: int, epochs: int, seed: int) -> list[int]:
    """Row numbers in the order of training, all epochs in a row; batches hold rows of similar length.

    Every epoch is shuffled anew; runs of a few batches are sorted by length, cut into batches, and these shuffled.
    """
    chance = random.Random(seed)  # noqa: S311 - an order of rows, not a secret
    order: list[int] = []
    for _ in range(epochs):
        shuffled = list(range(len(lengths)))
        chance.shuffle(shuffled)
        batches = []
        for start in range(0, len(shuffled), batch_size * BATCHES_TO_SORT):
            group = sorted(shuffled[start : start + batch_size * BATCHES_TO_SORT], key=lambda row: lengths[row])
            batches += [group[place : place + batch_size] for place in range(0, len(group), batch_size)]
        chance.shuffle(batches)
        order += [row for batch in batches for row in batch]
    return order


def prompt_ids(lm: LanguageModel, request: str) -> list[int]:
    """Token ids of a request in the model's chat template, up to where the answer begins."""
    return list(lm.tokenizer(chat(lm, request), add_special_tokens=False).input_ids)


def completion_ids(lm: LanguageModel, text: str) -> list[int]:
    """Token ids of an answer and its end. Whatever the text, it cannot end its own turn before."""
    harmless = without_special_tokens(text, lm.tokenizer.all_special_tokens)
    return [*lm.tokenizer(harmless, add_special_tokens=False).input_ids, lm.tokenizer.eos_token_id]


def check_nothing_is_too_long(lengths: dict[str, int], limit: int) -> None:
    """Refuse rows longer than `limit` tokens: cut to fit, they would teach answers that nobody accepted."""
    long = {row: length for row, length in lengths.items() if length > limit}
    if long:
        row, length = max(long.items(), key=lambda item: item[1])
        raise ValueError(
            f"{len(long)} rows are longer than max_length ({limit} tokens), the longest, {row}, has {length}. "
            "Shorten them or raise max_length; no row is cut."
        )


def trainer_settings(run: Run, lm: LanguageModel, config: SFTConfig | DPOConfig) -> dict[str, Any]:
    """Arguments common to TRL's SFTConfig and DPOConfig. Nothing is left to their defaults that could bite."""
    on_gpu = lm.device.type == "cuda"
    return {
        "output_dir": str(run.path("checkpoints")),
        "per_device_train_batch_size": config.batch_size // several.processes(),
        "num_train_epochs": 1,  # the rows are laid out for all epochs
        "train_sampling_strategy": "sequential",
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": config.warmup_steps,
        "weight_decay": 0.0,
        "max_length": None,
        "bf16": on_gpu or computes_in_bfloat16(),
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "activation_checkpointing": False,
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "seed": run.plan.seed,
    }


def computes_in_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16. That halves the time of a step; where it is emulated it adds."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def note_rows(run: Run, rows: Sequence[Row]) -> None:
    """Write RUN/<stage>/rows.jsonl for the data card: which rows are learnt in an epoch, each once, without its texts.

    {id, label, principle, and where known labelled_by and source, times}: `times` is above 1 for what is repeated.
    """
    if not several.is_first():
        return
    times = Counter(row["id"] for row in rows)
    known = {row["id"]: {name: row[name] for name in NOTED if name in row} for row in rows}
    write_rows(run.path("rows.jsonl"), [{**row, "times": times[row["id"]]} for row in known.values()])


class Conductor(TrainerCallback):  # type: ignore[misc]
    """Tells progress and loss, marks complete checkpoints, and stops after the step in which SIGTERM came and after
    `last_step`, where there is one before the end.
    """

    def __init__(self, run: Run, last_step: int | None = None) -> None:
        self.run = run
        self.last_step = last_step

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kw: Any) -> None:
        self.run.progress(state.global_step, state.max_steps)
        if several.is_to_stop(self.run, is_ending=control.should_training_stop):
            control.should_save = control.should_training_stop = True
        if state.global_step == self.last_step:
            control.should_training_stop = True

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float],
        **_kw: Any,
    ) -> None:
        for series in ("loss", "rewards/accuracies"):
            if series in logs:
                self.run.point(series.rpartition("/")[2], state.global_step, float(logs[series]))

    def on_save(self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_kw: Any) -> None:
        several.wait_for_all()  # each has saved its random state
        if not several.is_first():
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        write_json(folder / COMPLETE, {"step": state.global_step})


def last_complete(folder: Path, before: int | None = None) -> Path | None:
    """The newest complete checkpoint; incomplete ones, and those of the step `before` and later ones, are removed."""
    found = {}
    for checkpoint in folder.glob("checkpoint-*"):
        step = int(checkpoint.name.partition("-")[2])
        if (checkpoint / COMPLETE).exists() and (before is None or step < before):
            found[step] = checkpoint
        else:
            shutil.rmtree(checkpoint)
    return found[max(found)] if found else None


def train(run: Run, trainer: Trainer, looks: ConstitutionalCheckpoint) -> Row:
    """Train from the last complete checkpoint to the end, and write RUN/<stage>/adapter.

    Where a person rolled the stage back, the end is the step that they chose. It is trained up to there again from the
    checkpoint before: that gives the same weights, whether any were saved at that step or not.

    Raises `Paused` when the constitutional checkpoint trips and `Stopped` after SIGTERM, both with all state saved.
    """
    back = rolled_back_to(run.root, run.stage)
    last_step = None if back is None else back - looks.steps_before
    trainer.remove_callback(PrinterCallback)
    if several.is_first():
        trainer.add_callback(looks)
    trainer.add_callback(Conductor(run, last_step))
    if several.is_first():
        last_complete(run.path("checkpoints"), before=last_step)
        looks.forget_after(back)
    several.wait_for_all()
    checkpoint = last_complete(run.path("checkpoints"), before=last_step)
    if last_step != 0:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if looks.has_paused:
        raise Paused
    if trainer.state.global_step < (trainer.state.max_steps if last_step is None else last_step):
        raise Stopped
    if not several.is_first():
        return {}
    adapter = save_adapter(run, trainer.model)
    return {"steps": trainer.state.global_step, "adapter": digest_folder(adapter, "*.safetensors")}


def save_adapter(run: Run, model: Any) -> Path:
    """Write the trained adapter to RUN/<stage>/adapter, whole or not at all."""
    partial, target = run.path(".adapter.partial"), run.path("adapter")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    model.save_pretrained(partial, selected_adapters=["default"])
    partial.rename(target)
    return target
