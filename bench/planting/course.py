"""A round of SFT as a default round trains, that can go back to a step and on with other rows."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import peft
import torch
from transformers import get_linear_schedule_with_warmup

from training.engine.generate import chat
from training.engine.model import LanguageModel
from training.engine.score import pair_margins, refusal_margin
from training.recipes import finetune, sft
from training.recipes.band import Key, Reading
from training.recipes.files import Row
from training.recipes.groups import changes, pairs, taken
from training.recipes.looks import OPENING_TOKENS, finite
from training.recipes.plan import Plan, SFTConfig

ROUND_STEPS = 252  # of SFT in a default round: the schedule of the rate is that of a whole one
STAGE = "sft"

Values = dict[Key, float]


@dataclass
class Course:
    """One round as it went: at each look the mean change of each group."""

    name: str
    seed: int
    planted: int | None
    looks: list[tuple[int, Values]] = field(default_factory=list)

    def to_json(self) -> Row:
        looks = [[step, [[*key, value] for key, value in values.items()]] for step, values in self.looks]
        return {"name": self.name, "seed": self.seed, "planted": self.planted, "looks": looks}

    @classmethod
    def from_json(cls, read: Row) -> "Course":
        looks = [
            (step, {(measure, group): value for measure, group, value in values}) for step, values in read["looks"]
        ]
        return cls(read["name"], read["seed"], read["planted"], looks)

    def readings(self) -> list[Reading]:
        return [Reading(STAGE, step, values) for step, values in self.looks]


class Round:
    """A model with an adapter, in training."""

    def __init__(self, lm: LanguageModel, config: SFTConfig, plan: Plan) -> None:
        torch.manual_seed(0)
        self.config, self.plan = config, plan
        self.model = peft.get_peft_model(lm.model, sft.adapter(config, lm))
        self.lm = LanguageModel(self.model, lm.tokenizer, lm.device, lm.digest)
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        with self.model.disable_adapter():
            self.reference = self._measured()
        self.begin(0)

    def begin(self, seed: int) -> None:
        """As a round with this seed starts: an untrained adapter and a fresh optimiser."""
        torch.manual_seed(seed)
        for name, module in self.model.named_modules():
            if isinstance(module, peft.tuners.lora.LoraLayer) and name:
                module.reset_lora_parameters("default", init_lora_weights=True)
        self.optimiser = torch.optim.AdamW(self.weights, lr=self.config.learning_rate, weight_decay=0.0)
        self.schedule = get_linear_schedule_with_warmup(self.optimiser, self.config.warmup_steps, ROUND_STEPS)
        self.step = 0

    def saved(self) -> Callable[[], None]:
        """A function that brings back this moment: weights, optimiser, rate and step."""
        weights, step = self._weights(), self.step
        states = [copy.deepcopy(part.state_dict()) for part in (self.optimiser, self.schedule)]

        def bring_back() -> None:
            self.begin(0)
            self._restore(weights)
            for part, state in zip((self.optimiser, self.schedule), states, strict=True):
                part.load_state_dict(copy.deepcopy(state))
            self.step = step

        return bring_back

    def train(self, rows: Iterator[list[Row]], *, until: int, course: Course, looks: set[int]) -> None:
        """Steps up to `until`, one batch of `rows` each, and a look at these steps."""
        while self.step < until:
            self._learn(next(rows))
            self.step += 1
            if self.step in looks:
                course.looks.append((self.step, self.changes()))

    def changes(self) -> Values:
        """The mean change of each group against the reference."""
        now = self._measured()
        moved = [changes(after, before) for after, before in zip(now, self.reference, strict=True)]
        found = taken(self.plan, moved[0], moved[1])
        return {key: one.value for key, one in found.items() if one.value is not None}

    def _learn(self, batch: list[Row]) -> None:
        self.model.train()
        longest = max(len(row["input_ids"]) for row in batch)
        ids = torch.full((len(batch), longest), self.lm.tokenizer.pad_token_id)
        labels = torch.full((len(batch), longest), -100)
        for place, row in enumerate(batch):
            tokens, learnt = torch.tensor(row["input_ids"]), torch.tensor(row["completion_mask"], dtype=torch.bool)
            ids[place, : len(tokens)] = tokens
            labels[place, : len(tokens)][learnt] = tokens[learnt]
        mask = torch.zeros_like(ids)
        for place, row in enumerate(batch):
            mask[place, : len(row["input_ids"])] = 1
        halved = self.lm.device.type == "cuda" or finetune.computes_in_bfloat16()
        with torch.autocast(self.lm.device.type, dtype=torch.bfloat16) if halved else nullcontext():
            ids, mask, labels = (part.to(self.lm.device) for part in (ids, mask, labels))
            loss = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)  # as the trainer does
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        self.model.eval()

    def _measured(self) -> tuple[list[float | None], list[float | None]]:
        self.model.eval()
        asked = [(chat(self.lm, pair.request), pair.right, pair.wrong) for pair in pairs(self.plan)]
        margins = refusal_margin(self.lm, [chat(self.lm, prompt.prompt) for prompt in self.plan.looks])
        return finite(margins), finite(pair_margins(self.lm, asked, opening_tokens=OPENING_TOKENS))

    def _weights(self) -> list[torch.Tensor]:
        return [weight.detach().clone() for weight in self.weights]

    def _restore(self, weights: Sequence[torch.Tensor]) -> None:
        with torch.no_grad():
            for weight, value in zip(self.weights, weights, strict=True):
                weight.copy_(value)


def encoded(training: Round, rows: Sequence[Row]) -> list[Row]:
    return [sft.encode(training.lm, one, training.config.opening_tokens) for one in rows]


def batches(rows: Sequence[Row], size: int, seed: int) -> Iterator[list[Row]]:
    """Batches in the order in which a round with this seed takes them, without an end."""
    lengths = [len(one["input_ids"]) for one in rows]
    epoch = 0
    while True:
        order = finetune.arrange(lengths, batch_size=size, epochs=1, seed=seed * 1000 + epoch)
        for start in range(0, len(order) - size + 1, size):
            yield [rows[number] for number in order[start : start + size]]
        epoch += 1
