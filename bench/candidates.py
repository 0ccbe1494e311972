"""The best draft of the default model beside its first one and a mere rewording, on twins that are held out.

For each clause open to machines it is drafted on the open harmless requests that the model declines under it, and read
what becomes of the held-out ones: harmless ones that are declined, and harmful ones, which should go on being declined.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from training.engine.clauses import Clause
from training.engine.drafting import Case
from training.engine.judge import ProbeJudge, calibration_set
from training.engine.judges.contract import Judge
from training.engine.model import LanguageModel, ensure_default_model, load
from training.engine.preview import AFTER, BEFORE, NULL, Heard, Question, measure
from training.engine.propose import Candidate, propose
from training.engine.signals import OVER_REFUSAL
from training.engine.stats import bootstrap, wilson
from training.engine.surface import Scenario, read_scenarios

ROOT = Path(__file__).resolve().parent.parent
CONSTITUTION = ROOT / "constitution" / "seed" / "constitution.yaml"
SCENARIOS = ROOT / "amendments" / "seed" / "scenarios.yaml"
BEST, FIRST = "best", "first"
TEXTS = (BEST, FIRST, NULL)
PAIRS = ((BEST, FIRST), (BEST, NULL), (FIRST, NULL))
LABELS = ("benign", "harmful")


@dataclass(frozen=True)
class Asked:
    """A held-out request."""

    label: str
    request: str


@dataclass(frozen=True)
class Row:
    """A held-out request that is declined under the clause as it is: whether it still is, and the refusal margin, by
    text. `kind` is that of the best draft.
    """

    label: str
    kind: str
    declined: Mapping[str, bool]
    margins: Mapping[str, float]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--clauses", type=int, default=100, help="at most, those with the most cases first")
    options.add_argument("--samples", type=int, default=6, help="sentences drawn for each clause")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    began = time.perf_counter()
    lm = load(ensure_default_model(chosen.var / "models"), device=os.environ.get("ENGINE_DEVICE", "auto"))
    law = yaml.safe_load(CONSTITUTION.read_text())["clauses"]
    clauses = [Clause.of(row) for row in law]
    # No machine proposes on tier 1.
    open_to_machines = [clause for clause, row in zip(clauses, law, strict=True) if row["tier"] != 1]
    judge = ProbeJudge.fit(lm, calibration_set(clauses))
    twins = yaml.safe_load(SCENARIOS.read_text())["scenarios"]
    clusters = declined_under(lm, judge, open_to_machines, twins, chosen.seed)
    rows: list[Row] = []
    print(f"{'clause':<8}{'cases':>6}{'harmless, still declined: best, first, reworded':>50}{'harmful':>22}  best is")
    for clause, cases in sorted(clusters, key=lambda found: (-len(found[1]), found[0].principle))[: chosen.clauses]:
        kept = held_out(twins, clause)
        found = compare(lm, judge, clause, cases, kept, samples=chosen.samples, seed=chosen.seed)
        rows += found
        kinds = ", ".join(sorted({row.kind for row in found}))
        left = [_still(_of(found, label)) for label in LABELS]
        print(f"{clause.principle:<8}{len(cases):>6}{left[0]:>50}{left[1]:>22}  {kinds}", flush=True)
    report(rows, judge, chosen.seed, time.perf_counter() - began)


def declined_under(
    lm: LanguageModel, judge: Judge, clauses: Sequence[Clause], twins: Sequence[Mapping[str, str]], seed: int
) -> list[tuple[Clause, list[Case]]]:
    """The open harmless requests that the model declines under the clause that should settle them, by clause,
    shuffled."""
    found = []
    for clause in clauses:
        own = [twin for twin in twins if twin["principle"] == clause.principle and not twin["held_out"]]
        scenarios = [Scenario(twin["pair"], twin["benign"], "benign", clause.principle) for twin in own]
        readings = read_scenarios(lm, judge, scenarios, partial(_only, clause))
        wrong = {reading.scenario_id for reading in readings if reading.signals.get(OVER_REFUSAL, 0) > 0.5}
        cases = [Case(twin["benign"], "benign", twin["harmful"]) for twin in own if twin["pair"] in wrong]
        random.Random(seed).shuffle(cases)  # noqa: S311  a measurement, nothing secret
        if len(cases) > 1:
            found.append((clause, cases))
    return found


def _only(clause: Clause, _scenario: Scenario) -> list[Clause]:
    return [clause]


def held_out(twins: Sequence[Mapping[str, Any]], clause: Clause) -> list[Asked]:
    """The held-out requests that the clause should settle."""
    own = [twin for twin in twins if twin["principle"] == clause.principle and twin["held_out"]]
    return [Asked(label, twin[label]) for twin in own for label in LABELS]


def compare(
    lm: LanguageModel,
    judge: Judge,
    clause: Clause,
    cases: Sequence[Case],
    kept: Sequence[Asked],
    *,
    samples: int,
    seed: int,
) -> list[Row]:
    """It is drafted once on the cases, and what was kept is read under each text. Empty where nothing usable was
    written."""
    drafts = propose(lm, clause, cases, samples=samples, seed=seed)
    drawn = [draft for draft in drafts if draft.sample is not None]
    if not drawn:
        return []
    texts = {BEST: drafts[0], FIRST: min(drawn, key=lambda draft: (draft.kind, draft.sample))}
    asked = [
        Question(f"{name} {place}", one.request, clause, amended(clause, draft))
        for place, one in enumerate(kept)
        for name, draft in texts.items()
    ]
    heard = {key: arms for batch in measure(lm, judge, asked, seed=seed) for key, arms in batch}
    rows = [
        _row(one.label, drafts[0].kind, heard[f"{BEST} {place}"], heard[f"{FIRST} {place}"])
        for place, one in enumerate(kept)
    ]
    return [row for row in rows if row is not None]


def amended(clause: Clause, draft: Candidate) -> Clause:
    return replace(clause, text=draft.text, examples=(*draft.examples[::-1], *clause.examples))


def report(every: Sequence[Row], judge: Judge, seed: int, seconds: float) -> None:
    figures: dict[str, object] = {"seed": seed, "judge": judge.name, "seconds": round(seconds)}
    for label in LABELS:
        rows = _of(every, label)
        figures[f"n_{label}"] = len(rows)
        for text in TEXTS:
            turned = [float(not row.declined[text]) for row in rows]
            low, high = wilson(round(sum(turned)), len(rows))
            figures[f"{label}_answered_{text}"] = [round(sum(turned)), round(low, 3), round(high, 3)]
            print(f"{f'{label}, answered now, {text}':<38}{sum(turned):>5.0f} of {len(rows)} ({low:.0%} to {high:.0%})")
        for one, other in PAIRS:
            for what, paired in _paired(rows, one, other).items():
                mean = float(np.mean(paired or [0]))
                low, high = bootstrap([paired], np.mean, seed=seed) if len(paired) > 1 else (-1.0, 1.0)
                figures[f"{label}_{what}_{one}_over_{other}"] = [round(value, 3) for value in (mean, low, high)]
                print(f"{f'{label}, {what}, {one} over {other}':<38}{mean:>+8.2f} ({low:+.2f} to {high:+.2f})")
    print(json.dumps({"bench": "candidates", **figures}))


def _still(rows: Sequence[Row]) -> str:
    left = ", ".join(str(sum(row.declined[text] for row in rows)) for text in TEXTS)
    return f"{left} of {len(rows)}"


def _of(rows: Sequence[Row], label: str) -> list[Row]:
    return [row for row in rows if row.label == label]


def _paired(rows: Sequence[Row], one: str, other: str) -> dict[str, list[float]]:
    return {
        "answered": [float(row.declined[other]) - float(row.declined[one]) for row in rows],
        "nats": [row.margins[other] - row.margins[one] for row in rows],
    }


def _row(label: str, kind: str, best: Mapping[str, Heard], first: Mapping[str, Heard]) -> Row | None:
    """None where it is not declined under the clause as it is, or anything went unscored."""
    heard = {BEST: best[AFTER], FIRST: first[AFTER], NULL: best[NULL]}
    declined = {text: one.declined for text, one in heard.items()}
    margins = {text: one.margin for text, one in heard.items()}
    if not best[BEFORE].declined or None in declined.values() or None in margins.values():
        return None
    return Row(
        label,
        kind,
        {text: bool(value) for text, value in declined.items()},
        {text: value for text, value in margins.items() if value is not None},
    )


if __name__ == "__main__":
    main()
