"""Stage 4: supervised fine-tuning of a LoRA adapter on the accepted answers and the decided examples.

The constitution stood in the prompt when the answers were made; here it does not (context distillation). The loss
is taken on the answers alone.
"""

import sys

from datasets import Dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from training.engine.model import LanguageModel, load
from training.recipes import finetune
from training.recipes.files import Row, read_rows
from training.recipes.looks import ConstitutionalCheckpoint
from training.recipes.plan import Plan
from training.recipes.run import Run, conduct


def training_rows(plan: Plan, revised: list[Row]) -> list[Row]:
    """{id, prompt, completion} of every accepted answer and, if the plan says so, every decided example."""
    rows = [
        {"id": row["id"], "prompt": row["prompt"], "completion": row["response"]} for row in revised if not row["why"]
    ]
    if plan.stages.sft.examples:
        rows += [
            {"id": f"{clause.principle}.{number}", "prompt": example.request, "completion": example.right}
            for clause in plan.clauses
            for number, example in enumerate(clause.examples, start=1)
        ]
    if not rows:
        raise ValueError("No answer was accepted, so there is nothing to train on.")
    return rows


def dataset(plan: Plan, lm: LanguageModel, rows: list[Row]) -> Dataset:
    """The rows as conversations, in the order of training, none of them cut."""
    config = plan.stages.sft
    pairs = [
        {
            "prompt": finetune.message("user", row["prompt"], lm),
            "completion": finetune.message("assistant", row["completion"], lm),
        }
        for row in rows
    ]
    lengths = [finetune.rendered_length(lm, pair["prompt"] + pair["completion"]) for pair in pairs]
    ids = [row["id"] for row in rows]
    finetune.check_nothing_is_cut(dict(zip(ids, lengths, strict=True)), config.max_length)
    order = finetune.arrange(lengths, batch_size=config.batch_size, epochs=config.epochs, seed=plan.seed)
    return Dataset.from_list([pairs[number] for number in order])


def work(run: Run) -> Row:
    """Write RUN/sft/adapter."""
    plan, config = run.plan, run.plan.stages.sft
    lm = load(plan.model, device=plan.device)
    rows = training_rows(plan, read_rows(run.of("revise", "rows.jsonl")))
    trainer = SFTTrainer(
        model=lm.model,
        args=SFTConfig(**finetune.trainer_settings(run, lm, config), completion_only_loss=True),
        train_dataset=dataset(plan, lm, rows),
        processing_class=lm.tokenizer,
        peft_config=LoraConfig(r=config.lora.rank, lora_alpha=config.lora.alpha, target_modules="all-linear"),
    )
    looks = ConstitutionalCheckpoint(run, trainer.model, lm, steps_before=0)
    return {"rows": len(rows), **finetune.train(run, trainer, looks)}


if __name__ == "__main__":
    sys.exit(conduct("sft", work))
