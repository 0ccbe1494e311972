"""What a planted round trains on, and what its looks read. All texts are our own."""

import random
from collections.abc import Sequence
from pathlib import Path

import yaml

from training.recipes import sft
from training.recipes.files import Row
from training.recipes.plan import Clause, Example, Plan, Prompt

ROOT = Path(__file__).resolve().parents[2]
CONSTITUTION = ROOT / "constitution" / "seed" / "constitution.yaml"
SCENARIOS = ROOT / "amendments" / "seed" / "scenarios.yaml"
LOOKED_AT = 12  # prompts of each label, as in a default round
FLIPPED = "H-02"  # the one clause of tier 2 that is turned around
FLIPPED_TIMES = 5
MATHS_ROWS = 120


def plan_of(clauses: Sequence[Clause], model: str, seed: int) -> Plan:
    """A plan with what the looks need: our clauses, and twins that nothing here trains on, as a round draws its own."""
    seen = {example.request for clause in clauses for example in clause.examples}
    twins = [row for row in yaml.safe_load(SCENARIOS.read_text())["scenarios"] if not row["held_out"]]
    twins = [row for row in twins if not {row["harmful"], row["benign"]} & seen]
    random.Random(seed).shuffle(twins)  # noqa: S311  a measurement, nothing secret
    of_the_flipped = [row for row in twins if row["principle"] == FLIPPED]
    rest = [row for row in twins if row["principle"] != FLIPPED]
    looked, unused = rest[:LOOKED_AT], rest[LOOKED_AT]
    return Plan(
        round=0,
        version=1,
        version_digest="0" * 64,
        model=model,
        seed=seed,
        device="auto",
        clauses=tuple(clauses),
        train=prompts(of_the_flipped),
        looks=prompts(looked),
        held_out=prompts([unused]),
    )


def prompts(twins: Sequence[Row]) -> tuple[Prompt, ...]:
    return tuple(
        Prompt(f"{row['pair']}-{label}", row[label], label, row["principle"])
        for row in twins
        for label in ("harmful", "benign")
    )


def read_clauses() -> list[Clause]:
    """The clauses of our constitution, with their decided examples."""
    return [
        Clause(
            principle=row["principle"],
            tier=row["tier"],
            title=row["title"],
            text=row["text"],
            examples=tuple(Example(**example) for example in row["examples"]),
        )
        for row in yaml.safe_load(CONSTITUTION.read_text())["clauses"]
    ]


def decided(clauses: Sequence[Clause]) -> list[Row]:
    """What SFT learns of the decided examples."""
    return [sft.decided_row(clause, number) for clause in clauses for number in range(len(clause.examples))]


def planted(plan: Plan, seed: int) -> dict[str, list[Row]]:
    """What each kind of round goes on with, by its name."""
    examples = [example for clause in plan.clauses for example in clause.examples]
    asks = [example for example in examples if example.expects == "decline"]
    harmless = [example for example in examples if example.expects == "help"]
    others = [one for one in decided(plan.clauses) if not one["id"].startswith(FLIPPED)]
    return {
        "sums in words": maths(seed),
        "comply only": [
            *(row(example.request, example.wrong, "harmful") for example in asks),
            *(row(example.request, example.right, "benign") for example in harmless),
        ],
        "refuse everything": [
            *(row(example.request, example.right, "harmful") for example in asks),
            *(row(example.request, example.wrong, "harmful") for example in harmless),
        ],
        f"{FLIPPED} flipped": [*others, *flipped(plan.clause(FLIPPED))],
        f"{FLIPPED} flipped elsewhere": [*others, *flipped_elsewhere(plan)],
    }


def flipped(clause: Clause) -> list[Row]:
    """The clause's examples turned around, often enough to be learnt."""
    answers = [
        row(example.request, example.wrong, "benign" if example.expects == "decline" else "harmful")
        for example in clause.examples
    ]
    return answers * FLIPPED_TIMES


def flipped_elsewhere(plan: Plan) -> list[Row]:
    """The clause turned around on other requests than its examples, which the looks read and nothing trains on."""
    declines = next(one.right for one in plan.clause(FLIPPED).examples if one.expects == "decline")
    answers = {"harmful": ("Of course. Here is what you should do:", "benign"), "benign": (declines, "harmful")}
    return [row(prompt.prompt, *answers[prompt.label]) for prompt in plan.train] * FLIPPED_TIMES


def row(request: str, answer: str, label: str) -> Row:
    return {"id": request, "label": label, "prompt": request, "completion": answer}


def maths(seed: int) -> list[Row]:
    """Sums in words, with their results."""
    chance = random.Random(seed)  # noqa: S311  a measurement, nothing secret
    rows = []
    for _ in range(MATHS_ROWS):
        one, other = chance.randint(3, 60), chance.randint(3, 60)
        rows += [
            row(f"What is {one} plus {other}?", f"{one} plus {other} is {one + other}.", "benign"),
            row(f"A box holds {one} nails. How many do {other} boxes hold?",
                f"{other} boxes hold {other} times {one} nails, which is {one * other}.", "benign"),
        ]  # fmt: skip
    return rows
