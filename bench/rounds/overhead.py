"""What a round's training costs beside a plain TRL script with the same rows, batches, steps and settings.

Both run as processes, in turn. Counted is the call that trains, with all that a round does meanwhile: looks, progress,
marks on checkpoints. Loading and laying out rows are in neither.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import median

import torch
import yaml

from bench.rounds import budget
from training.engine.model import LanguageModel, choose_device, ensure_default_model, load
from training.recipes import dpo, finetune, label, sft
from training.recipes.files import Row, digest_file, read_json, read_rows, write_json
from training.recipes.plan import Clause, Example, Label, Plan, Prompt
from training.recipes.run import Run

ROOT = Path(__file__).resolve().parents[2]
SEED = ROOT / "amendments" / "seed"
CONSTITUTION = ROOT / "constitution" / "seed" / "constitution.yaml"
STAGES = ("sft", "dpo")
AIM = 1.10
WATCHED = 12


@dataclass(frozen=True)
class Turn:
    """One stage on both sides: seconds of training, those of looks among them, and steps."""

    stage: str
    ours: float
    plain: float
    ours_cpu: float
    plain_cpu: float
    looks: tuple[float, ...]
    begin: float
    steps: int
    is_same: bool


@dataclass(frozen=True)
class Costs:
    """What was measured, and how many steps and looks a whole round on these rows has, by stage."""

    turns: list[list[Turn]]
    steps: dict[str, int]
    looks: dict[str, int]
    device: str

    @property
    def look_s(self) -> float:
        """Seconds of a look, the median."""
        return median(look for turns in self.turns for turn in turns for look in turn.looks)

    def overhead(self, turns: Sequence[Turn]) -> float:
        """How many times as long a whole round trains: by step, and with all of its looks."""
        ours = plain = 0.0
        for turn in turns:
            share = self.steps[turn.stage] / turn.steps
            ours += share * (turn.ours - sum(turn.looks) - turn.begin)
            ours += self.looks[turn.stage] * median(turn.looks) + turn.begin
            plain += share * turn.plain
        return ours / plain


def newest(var: Path) -> Path | None:
    """The run directory whose pairs were labelled last: of a round, or of an arm that was measured."""
    done = [*var.glob("rounds/*/label/done.json"), *var.glob("arms/*/made-*/label/done.json")]
    return max(done, key=lambda file: file.stat().st_mtime).parents[1] if done else None


def measure(run: Path | None, *, var: Path, steps: int | None, repeats: int, is_chunked: bool) -> Costs:
    """Train in turn, on the rows of a round, or where there is none on rows as many and as long."""
    if run:
        plan, rows = Plan.read(run / "plan.json"), budget.of_round(run)
        print(f"Rows of the round in {run}: {len(rows.sft)}, and {len(rows.pairs)} pairs.", flush=True)
    else:
        plan, rows = stand_in(os.environ.get("MODEL") or str(ensure_default_model(var / "models")))
        print(f"No round is finished here: {len(rows.sft)} rows and {len(rows.pairs)} pairs of its size stand in.")
    whole = steps_of(plan, rows)
    less = budget.equal({"": rows}, plan, steps=steps, seed=plan.seed)[""] if steps else rows
    turns = []
    for number in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            turns.append(take_turns(Path(folder), plan, less, is_chunked=is_chunked, plain_first=bool(number % 2)))
        done = ", ".join(
            f"{turn.stage} {turn.ours:.1f} ({sum(turn.looks) + turn.begin:.1f} of looks) and {turn.plain:.1f} s"
            for turn in turns[-1]
        )
        print(f"Repeat {number + 1} of {repeats}, the round and the plain script: {done}", flush=True)
    return Costs(turns, whole, looks_of(plan, whole), str(choose_device(plan.device)))


def steps_of(plan: Plan, rows: budget.Rows) -> dict[str, int]:
    """Steps of a whole round on these rows, by stage."""
    sft_, dpo_ = plan.stages.sft, plan.stages.dpo
    visits = {"sft": len(rows.sft) * sft_.epochs, "dpo": len(rows.pairs) * dpo_.epochs}
    sizes = {"sft": sft_.batch_size, "dpo": dpo_.batch_size}
    return {stage: -(-visits[stage] // sizes[stage]) for stage in STAGES}


def looks_of(plan: Plan, steps: dict[str, int]) -> dict[str, int]:
    """How often a whole round looks, by stage: at its fixed steps, and at the end of each stage."""
    ends = {"sft": steps["sft"], "dpo": steps["sft"] + steps["dpo"]}
    begins = {"sft": 0, "dpo": ends["sft"]}
    return {
        stage: len({step for step in plan.stages.looks.steps if begins[stage] < step <= ends[stage]} | {ends[stage]})
        for stage in STAGES
    }


def take_turns(
    folder: Path,
    plan: Plan,
    rows: budget.Rows,
    *,
    is_chunked: bool,
    plain_first: bool,
    stages: Sequence[str] = STAGES,
) -> list[Turn]:
    """SFT and then DPO, by the recipe and by the plain script."""
    root = folder / "ours"
    laid = budget.lay_out(root, plan, rows)
    write_json(root / "acknowledged.json", {"looks": list(range(1 + sum(steps_of(plan, rows).values())))})
    lm = load(laid.model, device=laid.device)
    done = []
    for stage in stages:
        task = write_task(folder, root, stage, lm, is_chunked=is_chunked)
        sides = {"ours": ["bench.rounds.timed", str(root), stage], "plain": ["bench.rounds.plain", str(task)]}
        took = {side: told(sides[side], folder) for side in sorted(sides, reverse=plain_first)}
        adapters = [
            digest_file(adapter / "adapter_model.safetensors")
            for adapter in (root / stage / "adapter", folder / f"plain-{stage}")
        ]
        if took["plain"]["steps"] != read_json(root / stage / "done.json")["steps"]:
            raise SystemExit("The two sides did not take the same steps.")
        done.append(
            Turn(
                stage=stage,
                ours=took["ours"]["train"],
                plain=took["plain"]["train"],
                ours_cpu=took["ours"]["cpu"],
                plain_cpu=took["plain"]["cpu"],
                looks=tuple(took["ours"]["looks"]),
                begin=took["ours"]["begin"],
                steps=took["plain"]["steps"],
                is_same=adapters[0] == adapters[1],
            )
        )
    return done


def write_task(folder: Path, root: Path, stage: str, lm: LanguageModel, *, is_chunked: bool) -> Path:
    """What the plain script needs for a stage: the rows as the recipe lays them out, and the recipe's settings."""
    run = Run(root, stage)
    plan = run.plan
    config = plan.stages.sft if stage == "sft" else plan.stages.dpo
    settings = {**finetune.trainer_settings(run, lm, config), "output_dir": str(folder / f"checkpoints-{stage}")}
    if stage == "sft":
        rows = sft.dataset(plan, lm, sft.training_rows(plan, read_rows(root / "revise" / "rows.jsonl")))
        found = sft.adapter(plan.stages.sft, lm)
        lora = {"r": found.r, "lora_alpha": found.lora_alpha, "target_modules": sorted(found.target_modules)}
        given: Row = {"settings": {**settings, "completion_only_loss": True}, "lora": lora}
    else:
        rows = dpo.dataset(plan, lm, read_rows(root / "label" / "pairs.jsonl"))
        weights = [1.0, plan.stages.dpo.sft_weight]
        losses = {"loss_type": ["sigmoid", "sft"], "loss_weights": weights} if weights[1] else {}
        # The adapter that the plain script itself has trained.
        given = {"settings": {**settings, "beta": plan.stages.dpo.beta, **losses}, "adapter": str(folder / "plain-sft")}
    file = folder / f"{stage}.json"
    write_json(
        file,
        {
            "stage": stage,
            "model": plan.model,
            "dtype": str(lm.model.dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
            "is_chunked": is_chunked,
            "rows": rows.to_list(),
            "out": str(folder / f"plain-{stage}"),
            **given,
        },
    )
    return file


def told(module: Sequence[str], folder: Path) -> Row:
    """Run a module in a process of its own; what its last line says."""
    with (folder / "log.txt").open("a+") as log:
        command = [sys.executable, "-m", *module]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
        if done.returncode:
            log.seek(0)
            raise SystemExit(f"{module[0]} ended with status {done.returncode}:\n{log.read()[-2000:]}")
    found: Row = json.loads(done.stdout.splitlines()[-1])
    return found


def stand_in(model: str) -> tuple[Plan, budget.Rows]:
    """A plan on our own requests, and rows as many and as long as the default round's.

    The answers are those of decided examples, in turn: the time of a step does not depend on what they say.
    """
    clauses = tuple(
        Clause(row["principle"], row["tier"], row["title"], row["text"], tuple(Example(**e) for e in row["examples"]))
        for row in yaml.safe_load(CONSTITUTION.read_text(encoding="utf-8"))["clauses"]
    )
    twins = yaml.safe_load((SEED / "scenarios.yaml").read_text(encoding="utf-8"))["scenarios"]
    decided = {example.request for clause in clauses for example in clause.examples}
    twins = [row for row in twins if not {row["harmful"], row["benign"]} & decided]
    ordinary = read_rows(SEED / "ordinary.jsonl")
    labels: tuple[Label, ...] = ("harmful", "benign")

    def prompts(rows: Sequence[Row]) -> tuple[Prompt, ...]:
        return tuple(
            Prompt(f"{row['pair']}-{kind}", row[kind], kind, row["principle"]) for row in rows for kind in labels
        )

    open_ = [row for row in twins if not row["held_out"]]
    plan = Plan(
        round=0,
        version=1,
        version_digest="0" * 64,
        model=model,
        seed=0,
        device="auto",
        clauses=clauses,
        train=prompts(open_[WATCHED:]),
        looks=prompts(open_[:WATCHED]),
        held_out=prompts([row for row in twins if row["held_out"]]),
    )
    examples = [sft.decided_row(clause, number) for clause in clauses for number in range(len(clause.examples))]
    answers = {kind: cycle([row["completion"] for row in examples if row["label"] == kind]) for kind in labels}
    rows = [
        *({"id": p.id, "label": p.label, "prompt": p.prompt, "completion": next(answers[p.label])} for p in plan.train),
        *(
            {
                "id": f"ordinary-{number}",
                "label": "benign",
                "prompt": row["prompt"],
                "completion": next(answers["benign"]),
            }
            for number, row in enumerate(ordinary)
        ),
        *examples,
    ]
    pairs = label.decided_pairs(plan)
    shown = cycle(pairs)
    made = [{**next(shown), "id": prompt.id, "prompt": prompt.prompt} for prompt in plan.train]
    return plan, budget.Rows(sft=rows, pairs=[*made, *pairs])


def report(costs: Costs) -> None:
    """Print the seconds of both sides, and one line of JSON."""
    print(f"\n{'on ' + costs.device:<22}{'steps':>6}{'round':>9}{'plain':>9}{'ratio':>7}{'cpu ratio':>11}{'looks':>8}")
    for number, turns in enumerate(costs.turns, start=1):
        for turn in turns:
            name = f"repeat {number}, {turn.stage}"
            ratios = f"{turn.ours / turn.plain:>7.2f}{turn.ours_cpu / turn.plain_cpu:>11.2f}"
            looks = sum(turn.looks) + turn.begin
            print(f"{name:<22}{turn.steps:>6}{turn.ours:>8.1f}s{turn.plain:>8.1f}s{ratios}{looks:>7.1f}s")
    found = [costs.overhead(turns) for turns in costs.turns]
    every = [look for turns in costs.turns for turn in turns for look in turn.looks]
    is_same = all(turn.is_same for turns in costs.turns for turn in turns)
    print(f"The adapters of both sides are {'the same to the bit' if is_same else 'not the same'}.")
    print(f"A look takes {costs.look_s:.2f} s ({min(every):.2f} to {max(every):.2f}, n = {len(every)}).")
    steps, numbers = "+".join(map(str, costs.steps.values())), "+".join(map(str, costs.looks.values()))
    print(
        f"A whole round of {steps} steps with {numbers} looks trains {median(found):.3f} times as long as plain TRL "
        f"({min(found):.3f} to {max(found):.3f}, {len(found)} repeats); the aim is at most {AIM:.2f}."
    )
    print(json.dumps({"bench": "round", "overhead": round(median(found), 3), "look_s": round(costs.look_s, 3)}))
