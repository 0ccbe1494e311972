"""What a plain transformers loop makes of prompts: padded batches in the order of arrival, each to its longest answer.

Measurements of speed are held against it. It is written as somebody who knows the library would: in batches, with a
cache, and without what our engine does beyond that.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from transformers.cache_utils import DynamicCache
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

from training.engine.model import LanguageModel
from training.engine.score import COMPLIANCE_OPENINGS, REFUSAL_OPENINGS
from training.engine.surface import REPETITION_PENALTY

BATCH = 32
T = TypeVar("T")


def batches(jobs: Sequence[T]) -> Iterator[Sequence[T]]:
    return (jobs[start : start + BATCH] for start in range(0, len(jobs), BATCH))


def answers(lm: LanguageModel, prompts: Sequence[str], *, most_tokens: int) -> list[str]:
    """The first line of a greedy answer to each prompt of a batch."""
    rows = lm.tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False).to(lm.device)
    penalty = RepetitionPenaltyLogitsProcessor(REPETITION_PENALTY, rows.input_ids.shape[1])
    with torch.inference_mode():
        written = lm.model.generate(
            **rows, max_new_tokens=most_tokens, do_sample=False, logits_processor=[penalty],
            stop_strings=["\n"], tokenizer=lm.tokenizer, pad_token_id=lm.tokenizer.pad_token_id,
        )  # fmt: skip
    texts = lm.tokenizer.batch_decode(written[:, rows.input_ids.shape[1] :], skip_special_tokens=True)
    return [text.split("\n")[0].strip() for text in texts]


def margins(lm: LanguageModel, prompts: Sequence[str]) -> list[float]:
    """The refusal margin of each prompt of a batch, in nats: the prompts in one pass, then each opening in one more."""
    rows = lm.tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False).to(lm.device)
    cache = DynamicCache(config=lm.model.config)
    positions = (rows.attention_mask.cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        first = lm.model(**rows, position_ids=positions, past_key_values=cache, logits_to_keep=1).logits
        totals = {}
        for opening in REFUSAL_OPENINGS + COMPLIANCE_OPENINGS:
            ids = lm.tokenizer(f" {opening}", return_tensors="pt", add_special_tokens=False).input_ids.to(lm.device)
            ids = ids.expand(len(prompts), -1)
            mask = torch.cat([rows.attention_mask, torch.ones_like(ids)], 1)
            places = positions[:, -1:] + 1 + torch.arange(ids.shape[1], device=lm.device)
            following = lm.model(ids, attention_mask=mask, position_ids=places, past_key_values=cache).logits
            cache.crop(-ids.shape[1])
            chances = torch.cat([first, following[:, :-1]], 1).float().log_softmax(-1)
            totals[opening] = chances.gather(2, ids.unsqueeze(2)).sum((1, 2))
        refusing, complying = (
            torch.stack([totals[opening] for opening in openings], 1).logsumexp(1)
            for openings in (REFUSAL_OPENINGS, COMPLIANCE_OPENINGS)
        )
    return (refusing - complying).tolist()
