"""Whether the model tells right answers from wrong ones when it criticises them: the decided examples of our clauses.

Each answer is read under its clause without the example that it is taken from. A critique is worth a stage of the round
only where it finds breaches in the wrong answers more often than in the right ones.
"""

import argparse
import dataclasses
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.planting.rows import ROOT, read_clauses
from training.engine.critique import breaches
from training.engine.judges.cards import auc
from training.engine.model import ensure_default_model, load
from training.recipes.judging import shown_clause
from training.recipes.plan import Clause

BATCH = 16
KINDS = ("decline", "help", "")


class Asked(NamedTuple):
    """An answer that people decided on, and whether it breaks its clause."""

    clause: Clause
    request: str
    answer: str
    breaks: bool
    expects: str


def main(argv: Sequence[str] | None = None) -> dict[str, object]:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--model", type=Path, help="folder of another model")
    options.add_argument("--sample", type=int, default=400, help="so many answers at most")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args(argv)
    lm = load(
        chosen.model or ensure_default_model(chosen.var / "models"), device=os.environ.get("ENGINE_DEVICE", "auto")
    )
    asked = decided(read_clauses(), chosen.sample, chosen.seed)
    began = time.perf_counter()
    found: list[float | None] = []
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        found += breaches(lm, [(shown_clause(one.clause), one.request, one.answer) for one in part])
    seconds = time.perf_counter() - began
    said: dict[str, object] = {"bench": "critique", "seed": chosen.seed, "s_each": round(seconds / len(asked), 2)}
    print(f"{'examples that':<16}{'n':>5}{'unscored':>10}   AUC (95 % interval)")
    for kind in KINDS:
        rows = [(one, p) for one, p in zip(asked, found, strict=True) if kind in ("", one.expects)]
        scored = [(one.breaks, p) for one, p in rows if p is not None]
        area = auc([breaks for breaks, _ in scored], [p for _, p in scored])
        name = kind or "all"
        said[name] = {"n": len(scored), "unscored": len(rows) - len(scored), **area}
        print(f"{name:<16}{len(scored):>5}{len(rows) - len(scored):>10}   {area}")
    print(json.dumps(said))
    return said


def decided(clauses: Sequence[Clause], most: int, seed: int) -> list[Asked]:
    """Right and wrong answers of decided examples, a random choice of `most`; each clause without that example."""
    found = [
        Asked(without(clause, number), example.request, answer, breaks, example.expects)
        for clause in clauses
        for number, example in enumerate(clause.examples)
        if example.expects != "style"
        for answer, breaks in ((example.right, False), (example.wrong, True))
    ]
    random.Random(seed).shuffle(found)  # noqa: S311  for a reproducible choice
    return found[:most]


def without(clause: Clause, number: int) -> Clause:
    """The clause without one of its examples."""
    kept = tuple(example for place, example in enumerate(clause.examples) if place != number)
    return dataclasses.replace(clause, examples=kept)


if __name__ == "__main__":
    main()
