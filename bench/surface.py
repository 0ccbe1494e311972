"""Reading scenarios for edge cases with the default model, beside a plain transformers loop over the same prompts."""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import psutil
import yaml

from bench.survey import plainly
from training.engine.clauses import Clause
from training.engine.judge import ProbeJudge, calibration_set
from training.engine.model import LanguageModel, ensure_default_model, load
from training.engine.prompts import follow
from training.engine.surface import Scenario, read_scenarios

ROOT = Path(__file__).resolve().parent.parent
CONSTITUTION = ROOT / "constitution" / "seed" / "constitution.yaml"
SCENARIOS = ROOT / "amendments" / "seed" / "scenarios.yaml"
TOKENS = 32
WARM = 1_000  # cases after which memory is looked at first
KINDS: tuple[Literal["harmful", "benign"], ...] = ("harmful", "benign")


@dataclass
class Run:
    """What was done in `seconds`; the answers are by scenario and clause."""

    cases: int = 0
    seconds: float = 0.0
    answers: dict[tuple[str, str], str] = field(default_factory=dict)

    @contextmanager
    def timed(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began

    def tokens(self, lm: LanguageModel) -> int:
        return sum(len(lm.tokenizer(text, add_special_tokens=False).input_ids) for text in self.answers.values())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--cases", type=int, default=128, help="scenarios, each under two clauses")
    options.add_argument("--batch", type=int, default=64, help="scenarios read at a time")
    options.add_argument("--long", type=int, default=10_000, help="cases of the tiny model, for memory; 0 for none")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    clauses = [Clause.of(row) for row in yaml.safe_load(CONSTITUTION.read_text())["clauses"]]
    shown = [clause for clause in clauses if clause.principle[0] != "T" and clause.examples]
    growth = memory_growth(shown, chosen.long) if chosen.long else 0.0
    lm = load(ensure_default_model(chosen.var / "models"), device=os.environ.get("ENGINE_DEVICE", "auto"))
    judge = ProbeJudge.fit(lm, calibration_set(clauses))
    found = scenarios(chosen.cases, chosen.seed)
    ours, plain = in_turn(lm, judge, found, two_clauses(shown), chosen.batch)
    print(f"{'on ' + str(lm.device):<28}{'cases':>8}{'seconds':>10}{'cases/s':>10}{'tokens/s':>10}")
    for name, run in (("reading", ours), (f"plain loop, {plainly.BATCH} a batch", plain)):
        rates = f"{run.cases / run.seconds:>10.2f}{run.tokens(lm) / run.seconds:>10.1f}"
        print(f"{name:<28}{run.cases:>8}{run.seconds:>10.1f}{rates}")
    same = sum(plain.answers[key] == answer for key, answer in ours.answers.items())
    print(f"{same} of {len(ours.answers)} answers are the same, letter for letter")
    if chosen.long:
        print(f"memory over {chosen.long} cases of a tiny model grew by {growth:.1f} MB after the first {WARM}")
    speedup = round(ours.cases / ours.seconds / (plain.cases / plain.seconds), 2)
    print(json.dumps({"bench": "surface", "speedup": speedup, "rss_growth_mb": round(growth, 1)}))


def scenarios(most: int, seed: int) -> list[Scenario]:
    """Of both kinds, in an order as they might arrive; repeated where there are fewer."""
    pairs = yaml.safe_load(SCENARIOS.read_text())["scenarios"]
    rows = [(pair["principle"], pair[kind], kind) for pair in pairs for kind in KINDS]
    random.Random(seed).shuffle(rows)  # noqa: S311  a measurement, nothing secret
    return [
        Scenario(str(number), prompt, kind, principle)
        for number, (principle, prompt, kind) in enumerate(islice(cycle(rows), most))
    ]


def two_clauses(shown: Sequence[Clause]) -> Callable[[Scenario], list[Clause]]:
    """The clause that should settle a scenario, and one drawn by the scenario's place."""

    def under(scenario: Scenario) -> list[Clause]:
        first = next((clause for clause in shown if clause.principle == scenario.principle), shown[0])
        others = [clause for clause in shown if clause is not first]
        return [first, others[int(scenario.id) % len(others)]]

    return under


def in_turn(
    lm: LanguageModel,
    judge: ProbeJudge,
    found: Sequence[Scenario],
    under: Callable[[Scenario], Sequence[Clause]],
    batch: int,
) -> tuple[Run, Run]:
    """Both ways of reading, a batch of each after the other, so that other work slows both."""
    ours, plain = Run(), Run()
    readings = read_scenarios(lm, judge, found, under, batch_size=batch, max_new_tokens=TOKENS)
    for start in range(0, len(found), batch):
        with ours.timed():
            done = list(islice(readings, batch))
        ours.cases += len(done)
        ours.answers |= {(one.scenario_id, name): said for one in done for name, said in one.responses.items()}
        part = found[start : start + batch]
        with plain.timed():
            answers = plain_loop(lm, judge, part, under)
        plain.cases += len(part)
        plain.answers |= answers
    return ours, plain


def plain_loop(
    lm: LanguageModel, judge: ProbeJudge, found: Sequence[Scenario], under: Callable[[Scenario], Sequence[Clause]]
) -> dict[tuple[str, str], str]:
    """What one writes first: batches in the order of arrival, and the same judge."""
    jobs = [(scenario, clause) for scenario in found for clause in under(scenario)]
    answers: dict[tuple[str, str], str] = {}
    for part in plainly.batches(jobs):
        prompts = [follow(clause, scenario.prompt) for scenario, clause in part]
        texts = plainly.answers(lm, prompts, most_tokens=TOKENS)
        judge.judge([(scenario.prompt, text) for (scenario, _), text in zip(part, texts, strict=True)])
        for (scenario, clause), text in zip(part, texts, strict=True):
            answers[scenario.id, clause.principle] = text
    return answers


def memory_growth(shown: Sequence[Clause], most: int) -> float:
    """Megabytes that this process gained between the first WARM cases and the last, with the tests' tiny model."""
    sys.path.insert(0, str(ROOT))
    from tests.tiny_model import build_tiny_model

    with tempfile.TemporaryDirectory() as folder:
        lm = load(build_tiny_model(Path(folder)), device="cpu")
    judge = ProbeJudge.fit(lm, calibration_set(shown))
    process, first = psutil.Process(), 0
    under = two_clauses(shown)
    for number, _ in enumerate(read_scenarios(lm, judge, scenarios(most, 0), under, max_new_tokens=4), 1):
        if number == min(WARM, most):
            first = process.memory_info().rss
    return (process.memory_info().rss - first) / 1e6


if __name__ == "__main__":
    main()
