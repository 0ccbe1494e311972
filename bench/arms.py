"""Preferences alone, the founding constitution and an amended one: what the same round makes of the same model.

Each arm trains by the real stages, with the same settings, seeds, steps and numbers of rows, and answers the same
requests. What is finished is kept, so that a measurement that was ended goes on where it was.
"""

import argparse
import csv
import dataclasses
import gc
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench import round as one_round
from bench.rounds import budget, outcome
from config.embedded.identity import LAUNCH
from constitution.digests import digest
from training.engine.judge import ProbeJudge, calibration_set
from training.engine.model import LanguageModel, ensure_default_model, load, load_tokenizer, local_folder
from training.recipes.evaluate import ADAPTER
from training.recipes.files import Row, read_json, write_json
from training.recipes.judging import shown_clause
from training.recipes.plan import PRESETS, Plan
from training.recipes.run import EXIT_PAUSED, code_digest

ROOT = Path(__file__).resolve().parent.parent
BASE = "base"
ARMS = ("preference_only", "fixed", "amended")
WITH_A_LAW = ("fixed", "amended")
MAKING, TRAINING = ("generate", "revise", "label"), ("sft", "dpo")

Perform = Callable[[Path, str], int]


@dataclass(frozen=True)
class Measurement:
    """Where it is kept, what its arms are made from (see `law.material`), and how a stage is run."""

    folder: Path
    material: Row
    sets: dict[str, list[str]]
    steps: int | None
    perform: Perform

    def result(self, arm: str, seed: int) -> Path:
        """Where the result of an arm is kept; there is one of the base model."""
        return self.folder / "results" / (f"{arm}.json" if arm == BASE else f"{arm}-{seed}.json")

    def plan(self, arm: str, seed: int) -> Plan:
        """The plan of an arm. Of people's pairs more tokens are compared: their answers seldom differ in three."""
        law = arm if arm in WITH_A_LAW else "fixed"
        plan = budget.with_examples(Plan.from_json(self.material["plans"][law][str(seed)]))
        if arm in WITH_A_LAW:
            return plan
        longer = dataclasses.replace(plan.stages.dpo, opening_tokens=plan.stages.sft.opening_tokens)
        return dataclasses.replace(plan, stages=dataclasses.replace(plan.stages, dpo=longer))


def main() -> None:
    chosen = arguments()
    var = chosen.var
    model = str(local_folder(os.environ.get("MODEL") or str(ensure_default_model(var / "models"))))
    material = read_material(chosen, model)
    sets = asked(chosen.data, material["twins"], chosen.sample)
    first = {arm: plans[str(chosen.seeds[0])] for arm, plans in material["plans"].items()}
    frozen = [[plan[name] for name in ("version_digest", "clauses", "stages")] for plan in first.values()]
    key = digest([chosen.preset, chosen.steps, Path(model).name, frozen, sets, material["pairs"]])[:12]
    folder = var / "arms" / f"{chosen.preset}-{key}"
    tell(f"{material['left_out']} of people's pairs are not learnt: unusable, or near what measures. Kept in {folder}")
    measurement = Measurement(folder, material, sets, chosen.steps, process)
    outcome.report(measure(measurement, arms=chosen.arms, seeds=chosen.seeds), sets, arms=chosen.arms)


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the public sets")
    options.add_argument("--var", type=Path, default=Path(os.environ.get("RATIFY_VAR", ROOT / "var")))
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options.add_argument("--preset", choices=PRESETS, default="cpu", help="the settings of the rounds")
    options.add_argument("--steps", type=int, help="at most so many of SFT, and of DPO; without it, whole rounds")
    options.add_argument("--sample", type=int, help="at most so many requests of each set; without it, all of them")
    return options.parse_args()


def read_material(chosen: argparse.Namespace, model: str) -> Row:
    """What `law.material` finds, from a process of its own: with a database, and gone with it."""
    file = chosen.var / "arms" / f"material-{os.getpid()}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    named = {"data": chosen.data, "preset": chosen.preset, "model": model, "out": file}
    named["device"] = os.environ.get("ENGINE_DEVICE", "auto")
    flags = [text for name, value in named.items() for text in (f"--{name}", str(value))]
    seeds = [str(seed) for seed in chosen.seeds]
    try:
        command = [sys.executable, "-m", "bench.rounds.law", *flags, "--seeds", *seeds]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        return read_json(file)
    finally:
        file.unlink(missing_ok=True)


def asked(data: Path, twins: Row, most: int | None) -> dict[str, list[str]]:
    """Requests by set: those of a round's measurement, HarmBench's standard validation behaviours, held-out twins."""
    with (data / "harmbench" / "harmbench_behaviors_text_val.csv").open(encoding="utf-8", newline="") as file:
        harmbench = [row["Behavior"] for row in csv.DictReader(file) if row["FunctionalCategory"] == "standard"]
    ours = {f"twins, {label}": list(prompts) for label, prompts in twins.items()}
    found = {**ours, "HarmBench": harmbench, **one_round.public_sets(data)}
    for prompts in found.values():
        random.Random(one_round.SEED).shuffle(prompts)  # noqa: S311 - a sample, not a secret
    return {name: prompts[:most] for name, prompts in found.items()}


def measure(of: Measurement, *, arms: Sequence[str], seeds: Sequence[int]) -> list[Row]:
    """What the base model and every arm of every seed came to; what is there already is not done again."""
    found = [kept(of, BASE, seeds[0], of.plan("fixed", seeds[0]))]
    for seed in seeds:
        lacking = [arm for arm in arms if not of.result(arm, seed).exists()]
        rows = rows_of(of, seed) if lacking else {}
        for arm in lacking:
            train(of, arm, seed, rows[arm])
            kept(of, arm, seed, of.plan(arm, seed), rows[arm])
        arms_found = [read_json(of.result(arm, seed)) for arm in arms]
        check_equal(arms_found)
        found += arms_found
    return found


def rows_of(of: Measurement, seed: int) -> dict[str, budget.Rows]:
    """What every arm learns with this seed, as much in each; rounds make it first where they have not yet."""
    made = {}
    for arm in WITH_A_LAW:
        root, plan = of.folder / f"made-{arm}-{seed}", of.plan(arm, seed)
        if not (root / "plan.json").exists():
            plan.write(root / "plan.json")
        share_plain_answers(of, root, seed)
        for stage in MAKING:
            perform(of, root, stage)
        made[arm] = budget.of_round(root)
    plan = of.plan("fixed", seed)
    found = budget.equal(made, plan, steps=of.steps, seed=seed)
    lm = tokenizer_of(plan)
    found["preference_only"] = budget.of_people(of.material["pairs"], found["fixed"], lm, of.plan(ARMS[0], seed))
    return budget.equal(found, plan, steps=of.steps, seed=seed)


def share_plain_answers(of: Measurement, root: Path, seed: int) -> None:
    """The plain answers know nothing of a constitution: two rounds with the same requests need them once."""
    made = of.folder / f"made-{WITH_A_LAW[0]}-{seed}"
    if root == made or (root / "generate").exists():
        return
    one, other = Plan.read(made / "plan.json"), Plan.read(root / "plan.json")
    if (one.train, one.model, one.stages.generate) == (other.train, other.model, other.stages.generate):
        shutil.copytree(made / "generate", root / ".generate", dirs_exist_ok=True)
        (root / ".generate").rename(root / "generate")


def train(of: Measurement, arm: str, seed: int, rows: budget.Rows) -> None:
    """SFT and DPO of one arm. Where the constitutional checkpoint pauses it goes on, as if a person had said so."""
    root = of.folder / f"{arm}-{seed}"
    budget.lay_out(root, of.plan(arm, seed), rows)
    for stage in TRAINING:
        perform(of, root, stage)


def perform(of: Measurement, root: Path, stage: str) -> None:
    """Run one stage to its end, over every pause. A stage that is done stays done."""
    if (root / stage / "done.json").exists():
        return
    began = time.monotonic()
    while (code := of.perform(root, stage)) == EXIT_PAUSED:
        file, step = root / "acknowledged.json", read_json(root / "pause.json")["step"]
        known = read_json(file)["looks"] if file.exists() else []
        if step in known:
            raise SystemExit(f"{root.name} pauses at step {step} again and again.")
        write_json(file, {"looks": [*known, step]})
        tell(f"{root.name}: the checkpoint paused {stage} at step {step}; it goes on")
    if code:
        raise SystemExit(f"{root.name}: {stage} ended with status {code}; see {root / 'log.txt'}.")
    tell(f"{root.name}: {stage} is done, {time.monotonic() - began:.0f} s")


def process(root: Path, stage: str) -> int:
    """Run a stage as workers do: a process of its own, which ends when this one does."""
    with (root / "log.txt").open("ab") as log:
        command = [*LAUNCH, f"with-parent={os.getpid()}", "--", *budget.command(stage, root)]
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    return done.returncode


def kept(of: Measurement, arm: str, seed: int, plan: Plan, rows: budget.Rows | None = None) -> Row:
    """The result of an arm: read, or else measured and written."""
    file = of.result(arm, seed)
    if not file.exists():
        began = time.monotonic()
        root = of.folder / f"{arm}-{seed}"
        trained = {} if rows is None else training_of(root, plan, rows)
        found = answers(of, plan, root / ADAPTER if rows else None)
        write_json(file, {"arm": arm, "seed": seed, "training": trained, "code": code_digest(), **found})
        tell(f"{file.stem}: measured, {time.monotonic() - began:.0f} s")
    return read_json(file)


def training_of(root: Path, plan: Plan, rows: budget.Rows) -> Row:
    """How much an arm was trained, as its stages say it."""
    done = {stage: read_json(root / stage / "done.json") for stage in TRAINING}
    acknowledged = root / "acknowledged.json"
    return {
        "rows": done["sft"]["rows"],
        "pairs": done["dpo"]["pairs"],
        "steps": [done[stage]["steps"] for stage in TRAINING],
        "seconds": [done[stage]["seconds"] for stage in TRAINING],
        "paused_at": read_json(acknowledged)["looks"] if acknowledged.exists() else [],
        "tokens": budget.tokens(rows, tokenizer_of(plan), plan),
    }


def answers(of: Measurement, plan: Plan, adapter: Path | None) -> Row:
    """What a model answers: who declines, by words and by one judge for all arms; and how the harmless answers read."""
    reference = load(plan.model, device=plan.device)
    judge = judge_of(of, reference)
    lm = reference if adapter is None else load(plan.model, device=plan.device, adapter=adapter)
    found = {name: one_round.declined(lm, judge, prompts) for name, prompts in of.sets.items()}
    harmless = [pair for name in one_round.HARMLESS for pair in found[name]["answers"]]
    fluency = one_round.fluency(reference, {"answers": harmless})
    del lm, reference
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return {"judge": judge.name, "sets": found, "fluency": fluency}


def judge_of(of: Measurement, reference: LanguageModel) -> ProbeJudge:
    """The judge of every arm: fitted once, on the decided examples of the founding constitution."""
    file = of.folder / "judge.json"
    if not file.exists():
        law = next(iter(of.material["plans"]["fixed"].values()))
        clauses = [shown_clause(clause) for clause in Plan.from_json(law).clauses]
        file.parent.mkdir(parents=True, exist_ok=True)
        ProbeJudge.fit(reference, calibration_set(clauses)).save(file)
    return ProbeJudge.load(reference, file)


def tokenizer_of(plan: Plan) -> LanguageModel:
    """Enough of the model to count tokens."""
    return LanguageModel(None, load_tokenizer(local_folder(plan.model)), torch.device("cpu"), "")


def check_equal(rows: Sequence[Row]) -> None:
    """Refuse arms that were not trained as much as one another."""
    amounts = {json.dumps([row["training"][name] for name in ("rows", "pairs", "steps")]) for row in rows}
    if len(amounts) > 1:
        raise SystemExit(f"The arms were not trained alike: rows, pairs and steps are {sorted(amounts)}.")


def tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
