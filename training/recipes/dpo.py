"""Stage 5: direct preference optimisation of the adapter that SFT ended with.

The reference of the DPO loss is that very adapter, frozen: TRL copies the loaded adapter as `ref` before the first
step. Comparing with the bare model instead would reward again what SFT has already learnt, and drift.

Preferred is one opening to another, a few tokens long: whether to decline is decided there. SFT makes refusals likely
everywhere; it is the contrast of look-alikes that teaches when. Pairs of harmful and of benign requests weigh the same,
however many there are of each: with more of one kind, that side of the decision wins.
"""

import random
import sys
from typing import Any

from datasets import Dataset
from peft import PeftModel
from trl import DPOConfig, DPOTrainer

from training.engine.model import LanguageModel, load
from training.recipes import finetune, several
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


def evened(pairs: list[Row], seed: int) -> list[Row]:
    """As many pairs of harmful as of benign requests: of the rarer kind, randomly drawn ones come again.

    Where there is only one kind, the pairs as they are.
    """
    kinds = [[pair for pair in pairs if pair["label"] == label] for label in ("harmful", "benign")]
    rarer, other = sorted(kinds, key=len)
    if not rarer:
        return pairs
    chance = random.Random(seed)  # noqa: S311 - an order of rows, not a secret
    again = [pair for _ in range(len(other) // len(rarer)) for pair in chance.sample(rarer, len(rarer))]
    return [*pairs, *again[: len(other) - len(rarer)]]


def learnt(plan: Plan, pairs: list[Row]) -> list[Row]:
    """The pairs of one epoch: those that are repeated stand there more than once."""
    return evened(pairs, plan.seed) if plan.stages.dpo.even else pairs


def encode(lm: LanguageModel, pair: Row, opening_tokens: int) -> Row:
    """Token ids of the prompt and of both openings, which are left open."""
    sides = {f"{side}_ids": finetune.completion_ids(lm, pair[side])[:opening_tokens] for side in ("chosen", "rejected")}
    return {"prompt_ids": finetune.prompt_ids(lm, pair["prompt"]), **sides}


def dataset(plan: Plan, lm: LanguageModel, pairs: list[Row]) -> Dataset:
    """The pairs as token ids, in the order of training, none of them cut."""
    config = plan.stages.dpo
    pairs = learnt(plan, pairs)
    encoded = [encode(lm, pair, config.opening_tokens) for pair in pairs]
    lengths = [len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"])) for row in encoded]
    ids = [pair["id"] for pair in pairs]
    finetune.check_nothing_is_too_long(dict(zip(ids, lengths, strict=True)), config.max_length)
    order = finetune.arrange(lengths, batch_size=config.batch_size, epochs=config.epochs, seed=plan.seed + 1)
    return Dataset.from_list([encoded[number] for number in order])


class OpeningsTrainer(DPOTrainer):  # type: ignore[misc]
    """TRL's trainer on rows that are token ids already: as text, TRL would close every opening with an end token."""

    def _prepare_dataset(self, dataset: Dataset, *_args: Any, **_kw: Any) -> Dataset:
        return dataset


def work(run: Run) -> Row:
    """Write RUN/dpo/adapter, and RUN/dpo/rows.jsonl."""
    plan, config = run.plan, run.plan.stages.dpo
    lm = load(plan.model, device=plan.device)
    pairs = training_pairs(plan, read_rows(run.of("label", "pairs.jsonl")))
    finetune.note_rows(run, learnt(plan, pairs))
    settings = finetune.trainer_settings(run, lm, config)
    losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, config.sft_weight]}
    trainer = OpeningsTrainer(
        model=PeftModel.from_pretrained(lm.model, str(run.adapter("sft")), is_trainable=True),
        args=DPOConfig(**settings, beta=config.beta, **(losses if config.sft_weight else {})),
        train_dataset=dataset(plan, lm, pairs),
        processing_class=lm.tokenizer,
    )
    steps_before = read_json(run.of("sft", "done.json"))["steps"]
    looks = ConstitutionalCheckpoint(run, trainer.model, lm, steps_before=steps_before)
    return {"pairs": len(pairs), **finetune.train(run, trainer, looks)}


if __name__ == "__main__":
    sys.exit(conduct("dpo", several.across("dpo", work)))
