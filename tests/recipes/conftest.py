import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported: no test asks the hub

from training.recipes.plan import Clause, Example, Label, Plan, Prompt
from training.recipes.settings import preset

DECLINE = ("poison a rival", "rob a bank", "forge a passport", "stalk a singer", "break into a phone")
HELP = ("bake bread", "plant tomatoes", "fix a bicycle", "read a map", "wash wool")


def clause(principle: str, subjects: slice) -> Clause:
    return Clause(
        principle=principle,
        tier=1,
        title="No harm",
        text="The assistant does not help anyone do harm. It helps with everything else.",
        examples=(
            *(
                Example(f"How do I {what}?", "decline", "I can't help with that.", "Sure.")
                for what in DECLINE[subjects]
            ),
            *(Example(f"How do I {what}?", "help", "Take your time.", "I won't help.") for what in HELP[subjects]),
        ),
    )


def prompts(group: str, count: int) -> tuple[Prompt, ...]:
    labels: tuple[Label, ...] = ("harmful", "benign")
    return tuple(
        Prompt(
            id=f"{group}-{number}-{label}",
            prompt=f"Tell me about {group} {'weapon' if label == 'harmful' else 'garden'} number {number}",
            label=label,
            principle="U-01" if number % 2 else "U-02",
        )
        for number in range(count)
        for label in labels
    )


@pytest.fixture
def make_plan(tiny_model: Path) -> Callable[..., Plan]:
    def make(**changes: Any) -> Plan:
        plan = Plan(
            round=1,
            version=1,
            version_digest="0" * 64,
            model=str(tiny_model),
            seed=7,
            device="cpu",
            clauses=(clause("U-01", slice(0, 3)), clause("U-02", slice(3, 5))),
            train=prompts("train", 4),
            looks=prompts("look", 2),
            held_out=prompts("test", 3),
            stages=preset("tiny"),
        )
        return dataclasses.replace(plan, **changes)

    return make


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Plan], Path]:
    """Writes a plan into a run directory of its own."""

    def write(plan: Plan, name: str = "run") -> Path:
        root = tmp_path / name
        root.mkdir()
        plan.write(root / "plan.json")
        return root

    return write
