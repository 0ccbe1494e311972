"""Stage 5: direct preference optimisation of the adapter that SFT ended with.

The reference of the DPO loss is that very adapter, frozen: TRL copies the loaded adapter as `ref` before the first
step. Comparing with the bare model instead would reward again what SFT has already learnt, and drift.
"""

import sys

from datasets import Dataset
from peft import PeftModel
from trl import DPOConfig, DPOTrainer

from training.engine.model import LanguageModel, load
from training.recipes import finetune
from training.recipes.files import Row, read_json, read_rows
from training.recipes.looks import ConstitutionalCheckpoint
from training.recipes.plan import Plan
from training.recipes.run import Run, conduct


def training_pairs(plan: Plan, pairs: list[Row]) -> list[Row]:
    """The labelled pairs and, if the plan says so or there are no others, the decided examples."""
    labelled = [pair for pair in pairs if pair["labelled_by"] != "people"]
    chosen = pairs if plan.stages.dpo.examples or not labelled else labelled
    if not chosen:
        raise ValueError("No pair was labelled, so there is nothing to prefer.")
    return chosen


def dataset(plan: Plan, lm: LanguageModel, pairs: list[Row]) -> Dataset:
    """The pairs as conversations, in the order of training, none of them cut."""
    config = plan.stages.dpo
    pairs = finetune.weighted(pairs, config.benign_weight)
    triples = [
        {
            "prompt": finetune.message("user", pair["prompt"], lm),
            "chosen": finetune.message("assistant", pair["chosen"], lm),
            "rejected": finetune.message("assistant", pair["rejected"], lm),
        }
        for pair in pairs
    ]
    lengths = [
        max(finetune.rendered_length(lm, row["prompt"] + row[side]) for side in ("chosen", "rejected"))
        for row in triples
    ]
    ids = [pair["id"] for pair in pairs]
    finetune.check_nothing_is_too_long(dict(zip(ids, lengths, strict=True)), config.max_length)
    order = finetune.arrange(lengths, batch_size=config.batch_size, epochs=config.epochs, seed=plan.seed + 1)
    return Dataset.from_list([triples[number] for number in order])


def work(run: Run) -> Row:
    """Write RUN/dpo/adapter."""
    plan, config = run.plan, run.plan.stages.dpo
    lm = load(plan.model, device=plan.device)
    pairs = training_pairs(plan, read_rows(run.of("label", "pairs.jsonl")))
    settings = finetune.trainer_settings(run, lm, config)
    losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, config.sft_weight]}
    trainer = DPOTrainer(
        model=PeftModel.from_pretrained(lm.model, str(run.of("sft", "adapter")), is_trainable=True),
        args=DPOConfig(**settings, beta=config.beta, **(losses if config.sft_weight else {})),
        train_dataset=dataset(plan, lm, pairs),
        processing_class=lm.tokenizer,
    )
    steps_before = read_json(run.of("sft", "done.json"))["steps"]
    looks = ConstitutionalCheckpoint(run, trainer.model, lm, steps_before=steps_before)
    return {"pairs": len(pairs), **finetune.train(run, trainer, looks)}


if __name__ == "__main__":
    sys.exit(conduct("dpo", work))
