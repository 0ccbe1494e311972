"""The form with which a round is begun: a preset, and settings that hold instead of the preset's own.

A draft is what was typed, as it was typed. An empty field is no setting: the preset's own holds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from training.recipes.plan import PRESETS
from training.recipes.settings import read

YES, NO = "true", "false"
PRESET_LABELS = {
    "cpu": "cpu: the default round, for a small model on two cores",
    "quick": "quick: a few minutes, to try things",
    "tiny": "tiny: for tests, with a random model",
    "one_gpu": "one_gpu: one GPU, larger batches where nothing is learnt",
    "several_gpus": "several_gpus: SFT and DPO in a process on each of four GPUs",
}
# What may be set, in parts, each setting with what it does.
OFFERED: Mapping[str, Mapping[str, str]] = {
    "What it trains on": {
        "seed": "Decides what is learnt from and in which order; what measures stays the same. Another one shows how "
        "much of a result is chance, and the same one with the same settings repeats a round.",
        "sizes.train": "At most so many harmful and so many harmless requests, if there are enough.",
        "sizes.ordinary": "At most so many harmless requests without a harmful twin, which show how to help.",
    },
    "Fine-tuning (SFT)": {
        "sft.epochs": "Epochs: how often it goes over all rows, 1 to 1,000.",
        "sft.learning_rate": "How far it moves at a step: above 0 and under 1, such as 0.001 or 2e-4.",
        "sft.full": "The linear maps themselves are trained, in both stages, not matrices of low rank beside them. Set "
        "a far smaller learning rate with it, and leave room on the disk for those layers.",
        "sft.examples": "The constitution’s decided examples are rows, too.",
    },
    "Preferences (DPO)": {
        "dpo.epochs": "Epochs: how often it goes over all pairs, 1 to 1,000.",
        "dpo.learning_rate": "How far it moves at a step: above 0 and under 1, such as 0.001 or 2e-4.",
        "dpo.beta": "Above 0. The higher, the closer it stays to the model that fine-tuning ended with.",
        "dpo.sft_weight": "How much the better answer of a pair is also learnt by itself; 0 leaves that out.",
        "dpo.even": "The rarer kind is repeated.",
        "dpo.examples": "The constitution’s decided examples are pairs, too.",
    },
}
NAMES = tuple(name for part in OFFERED.values() for name in part)


@dataclass
class BeginForm:
    """What somebody set for a round, and what is wrong with it by the name of the setting, of `preset` or `note`."""

    preset: str
    typed: dict[str, str] = field(default_factory=dict)
    note: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, posted: Mapping[str, str]) -> "BeginForm":
        """What was sent. Settings that are not offered are not read."""
        typed = {name: posted.get(name, "").strip() for name in NAMES}
        return cls(posted.get("preset", ""), typed, posted.get("note", ""))

    def changes(self) -> dict[str, Any]:
        """The settings that were typed, by name. What is no number stays text, which is refused as in a file."""
        return {name: _value(text) for name, text in self.typed.items() if text}

    def own(self, *, seed: int) -> dict[str, Any]:
        """The preset's own settings by name, with the seed that holds where none is set; none of an unknown preset."""
        return read(self.preset, seed=seed).by_name() if self.preset in PRESETS else {}


def _value(text: str) -> Any:
    if text in (YES, NO):
        return text == YES
    kinds: tuple[Callable[[str], Any], ...] = (int, float)
    for kind in kinds:
        try:
            return kind(text)
        except ValueError:
            continue
    return text
