"""What each arm trains on: as many rows and pairs as every other arm, in run directories that the real stages read.

An arm of a constitution has what its own round made, in the stages generate, revise and label. The arm of preferences
alone has pairs that people labelled, picked so that its rows are about as long.
"""

import dataclasses
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.engine.model import LanguageModel
from training.recipes import dpo, sft
from training.recipes.files import Row, read_rows, write_json, write_rows
from training.recipes.plan import Plan


@dataclass(frozen=True)
class Rows:
    """{id, label, prompt, completion} for SFT, and {id, prompt, chosen, rejected, labelled_by} for DPO."""

    sft: list[Row]
    pairs: list[Row]


def with_examples(plan: Plan) -> Plan:
    """The plan with its decided examples among what is learnt, whatever its preset says: they are what amendments add.

    In a directory that `lay_out` made they are rows like the others: see there.
    """
    stages = plan.stages
    learnt = dataclasses.replace(
        stages,
        sft=dataclasses.replace(stages.sft, examples=True),
        dpo=dataclasses.replace(stages.dpo, examples=True),
    )
    return dataclasses.replace(plan, stages=learnt)


def of_round(root: Path) -> Rows:
    """What the round in this directory, whose stages up to label are done, would train on."""
    plan = Plan.read(root / "plan.json")
    pairs = dpo.training_pairs(plan, read_rows(root / "label" / "pairs.jsonl"))
    return Rows(
        sft=sft.training_rows(plan, read_rows(root / "revise" / "rows.jsonl")),
        pairs=dpo.learnt(plan, pairs),
    )


def of_people(pairs: Sequence[Row], like: Rows, lm: LanguageModel, plan: Plan) -> Rows:
    """For each row and pair of `like` one of people's pairs, the one among those left that is nearest in tokens.

    The preferred answer is the row of SFT. Fewer where there are too few.
    """
    answers = [{"id": p["id"], "label": "benign", "prompt": p["prompt"], "completion": p["chosen"]} for p in pairs]
    labelled = [{**pair, "labelled_by": "people"} for pair in pairs]
    config = plan.stages

    def row_tokens(row: Row) -> int:
        return len(sft.encode(lm, row, config.sft.opening_tokens)["input_ids"])

    def pair_tokens(pair: Row) -> int:
        return sum(map(len, dpo.encode(lm, pair, config.dpo.opening_tokens).values()))

    return Rows(
        sft=nearest(answers, like.sft, row_tokens, config.sft.max_length),
        pairs=nearest(labelled, like.pairs, pair_tokens, config.dpo.max_length),
    )


def nearest(found: Sequence[Row], like: Sequence[Row], size: Callable[[Row], int], most: int) -> list[Row]:
    """For each of `like` another of `found` that is the nearest in size, none of them above `most`."""
    sizes = {row["id"]: size(row) for row in found}
    left = [row for row in found if sizes[row["id"]] <= most]
    taken = []
    for wanted in map(size, like):
        if not left:
            break
        best = min(range(len(left)), key=lambda place: abs(sizes[left[place]["id"]] - wanted))
        taken.append(left.pop(best))
    return taken


def equal(arms: Mapping[str, Rows], plan: Plan, *, steps: int | None, seed: int) -> dict[str, Rows]:
    """As many rows and pairs of every arm as the one with the fewest has, drawn by the seed; at most `steps` of each.

    Without a limit of steps nothing but the surplus of the others is left out.
    """
    sizes = {"sft": min(len(rows.sft) for rows in arms.values()), "dpo": min(len(r.pairs) for r in arms.values())}
    if steps is not None:
        sft_, dpo_ = plan.stages.sft, plan.stages.dpo
        sizes["sft"] = min(sizes["sft"], max(1, steps * sft_.batch_size // sft_.epochs))
        sizes["dpo"] = min(sizes["dpo"], max(1, steps * dpo_.batch_size // dpo_.epochs))
    return {
        arm: Rows(sft=drawn(rows.sft, sizes["sft"], seed), pairs=drawn(rows.pairs, sizes["dpo"], seed))
        for arm, rows in arms.items()
    }


def drawn(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """So many of the rows, in their order."""
    chance = random.Random(seed)  # noqa: S311  a sample, not a secret
    return [rows[place] for place in sorted(chance.sample(range(len(rows)), count))]


def lay_out(root: Path, plan: Plan, rows: Rows) -> Plan:
    """Write a run directory in which the stages SFT and DPO train on these rows alone; the plan that stands there.

    The decided examples are among the rows already, so that SFT must not add them again; so are the pairs that come
    again. A directory that is there stays as it is: its stages go on.
    """
    stages = plan.stages
    alone = dataclasses.replace(
        stages,
        sft=dataclasses.replace(stages.sft, examples=False),
        dpo=dataclasses.replace(stages.dpo, examples=True, even=False),
    )
    laid = dataclasses.replace(plan, stages=alone)
    if (root / "plan.json").exists():
        return Plan.read(root / "plan.json")
    revised = [
        {**{name: row[name] for name in ("id", "label", "prompt")}, "response": row["completion"], "why": ""}
        for row in rows.sft
    ]
    write_rows(root / "revise" / "rows.jsonl", revised)
    write_json(root / "revise" / "done.json", {"rows": len(revised)})
    write_rows(root / "label" / "pairs.jsonl", rows.pairs)
    write_json(root / "label" / "done.json", {"pairs": len(rows.pairs)})
    laid.write(root / "plan.json")  # last: with it the directory is whole
    return laid


def tokens(rows: Rows, lm: LanguageModel, plan: Plan) -> dict[str, int]:
    """How many tokens an arm reads over all its epochs, and how many of them are learnt: of pairs, on both sides."""
    config = plan.stages
    encoded = [sft.encode(lm, row, config.sft.opening_tokens) for row in rows.sft]
    pairs = [dpo.encode(lm, pair, config.dpo.opening_tokens) for pair in rows.pairs]
    return {
        "sft_read": config.sft.epochs * sum(len(row["input_ids"]) for row in encoded),
        "sft_learnt": config.sft.epochs * sum(sum(row["completion_mask"]) for row in encoded),
        "dpo_read": config.dpo.epochs * sum(
            2 * len(pair["prompt_ids"]) + len(pair["chosen_ids"]) + len(pair["rejected_ids"]) for pair in pairs
        ),
        "dpo_learnt": config.dpo.epochs * sum(len(p["chosen_ids"]) + len(p["rejected_ids"]) for p in pairs),
    }  # fmt: skip


def command(stage: str, root: Path) -> list[str]:
    """How a stage is started: as the worker does it."""
    return [sys.executable, "-m", f"training.recipes.{stage}", str(root)]
