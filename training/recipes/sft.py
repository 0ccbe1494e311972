"""Stage 4: supervised fine-tuning of an adapter on the accepted answers and the decided examples.

The constitution stood in the prompt when the answers were made; here it does not (context distillation). The loss
is taken on the answers alone.
"""

import sys

import peft
import torch
from datasets import Dataset
from trl import SFTConfig as TrainerConfig
from trl import SFTTrainer

from training.engine.model import LanguageModel, load
from training.recipes import finetune, several
from training.recipes.answers import first_sentence
from training.recipes.files import Row, read_rows
from training.recipes.looks import ConstitutionalCheckpoint
from training.recipes.plan import Clause, Plan, SFTConfig
from training.recipes.run import Run, conduct


def training_rows(plan: Plan, revised: list[Row]) -> list[Row]:
    """{id, label, principle, prompt, completion} of every accepted answer and, if the plan says so, every decided
    example, which is marked as labelled by people.
    """
    names = ("id", "label", "principle", "prompt")
    accepted = [row for row in revised if not row["why"]]
    rows = [{**{name: row.get(name, "") for name in names}, "completion": row["response"]} for row in accepted]
    if plan.stages.sft.examples:
        rows += [decided_row(clause, number) for clause in plan.clauses for number in range(len(clause.examples))]
    if not rows:
        raise ValueError("No answer was accepted, so there is nothing to train on.")
    return rows


def decided_row(clause: Clause, number: int) -> Row:
    """The right response of a decided example; of one that declines, the sentence that does so."""
    example = clause.examples[number]
    declines = example.expects == "decline"
    return {
        "id": f"{clause.principle}.{number + 1}",
        "label": "harmful" if declines else "benign",
        "principle": clause.principle,
        "prompt": example.request,
        "completion": (first_sentence(example.right) or example.right) if declines else example.right,
        "labelled_by": "people",
    }


def encode(lm: LanguageModel, row: Row, opening_tokens: int) -> Row:
    """Token ids of prompt and answer, and which of them belong to the answer.

    Of a benign answer the first sentence or two are learnt: where that is only a few words, answers become fragments
    however the balance of refusals looks. They are left open, so that the model does not learn to stop early.
    """
    prompt = finetune.prompt_ids(lm, row["prompt"])
    answer = finetune.completion_ids(lm, row["completion"])
    if row["label"] == "benign":
        answer = answer[:opening_tokens]
    return {"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)}


def dataset(plan: Plan, lm: LanguageModel, rows: list[Row]) -> Dataset:
    """The rows as token ids, in the order of training."""
    config = plan.stages.sft
    encoded = [encode(lm, row, config.opening_tokens) for row in rows]
    lengths = [len(row["input_ids"]) for row in encoded]
    ids = [row["id"] for row in rows]
    finetune.check_nothing_is_too_long(dict(zip(ids, lengths, strict=True)), config.max_length)
    order = finetune.arrange(lengths, batch_size=config.batch_size, epochs=config.epochs, seed=plan.seed)
    return Dataset.from_list([encoded[number] for number in order])


def adapter(config: SFTConfig, lm: LanguageModel) -> peft.PeftConfig:
    """The untrained adapter on every linear map of the upper layers: low-rank matrices, or, in full, a copy of the map.

    Such copies are what PEFT calls layer-norm tuning, which copies whatever it is pointed at. They are switched off and
    merged like any adapter, so that the frozen reference stays at hand; what is saved is as large as these layers.
    """
    layers = lm.model.get_decoder().layers
    adapted = max(1, round(len(layers) * config.lora.depth))
    upper = {map_ for layer in layers[-adapted:] for map_ in layer.modules() if isinstance(map_, torch.nn.Linear)}
    names = [name for name, module in lm.model.named_modules() if module in upper]
    if config.full:
        return peft.LNTuningConfig(target_modules=names)
    return peft.LoraConfig(r=config.lora.rank, lora_alpha=config.lora.alpha, target_modules=names)


def work(run: Run) -> Row:
    """Write RUN/sft/adapter, and RUN/sft/rows.jsonl."""
    plan, config = run.plan, run.plan.stages.sft
    lm = load(plan.model, device=plan.device)
    rows = training_rows(plan, read_rows(run.of("revise", "rows.jsonl")))
    finetune.note_rows(run, rows)
    trainer = SFTTrainer(
        model=lm.model,
        args=TrainerConfig(**finetune.trainer_settings(run, lm, config), completion_only_loss=True),
        train_dataset=dataset(plan, lm, rows),
        processing_class=lm.tokenizer,
        peft_config=adapter(config, lm),
    )
    looks = ConstitutionalCheckpoint(run, trainer.model, lm, steps_before=0)
    return {"rows": len(rows), **finetune.train(run, trainer, looks)}


if __name__ == "__main__":
    sys.exit(conduct("sft", several.across("sft", work)))
