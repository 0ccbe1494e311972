"""How likely reference answers are to a model before and after its rounds: MT-Bench's, of the first turn.

A round that only teaches when to decline leaves what a good answer is as likely as before. Each answer is read in the
chat template after its question, at most so many tokens of it; differences are paired by question.
"""

import argparse
import gc
import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from bench.planting.rows import ROOT
from training.engine.generate import chat
from training.engine.model import ensure_default_model, load
from training.engine.score import continuation_logprobs
from training.engine.stats import bootstrap
from training.recipes.files import Row, read_rows

QUESTIONS, REFERENCES = "mt_bench_question.jsonl", "mt_bench_reference_gpt4.jsonl"
TOKENS = 128
BATCH = 8

Asked = tuple[str, str]


def main(argv: Sequence[str] | None = None) -> Row:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder of the public sets, with mt_bench")
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--model", type=Path, help="folder of another base model")
    options.add_argument("--adapter", type=Path, nargs="+", required=True, help="adapters that rounds left")
    chosen = options.parse_args(argv)
    folder = chosen.model or ensure_default_model(chosen.var / "models")
    asked = read(chosen.data / "mt_bench")
    before = likelihoods(folder, None, asked)
    print(f"{len(asked)} reference answers, at most {TOKENS} tokens of each; nats a token")
    print(f"{'base':<56}{fmean(before):>8.3f}")
    found = {}
    for adapter in chosen.adapter:
        now = likelihoods(folder, adapter, asked)
        differences = [b - a for a, b in zip(before, now, strict=True)]
        low, high = bootstrap([differences], fmean)
        name = "/".join(adapter.parts[-4:])
        found[name] = {"mean": round(fmean(now), 4), "change": [round(v, 4) for v in (fmean(differences), low, high)]}
        print(f"{name:<56}{fmean(now):>8.3f}{fmean(differences):>+9.3f} ({low:+.3f} to {high:+.3f})", flush=True)
    said = {"bench": "references", "n": len(asked), "base": round(fmean(before), 4), "adapters": found}
    print(json.dumps(said))
    return said


def read(folder: Path) -> list[Asked]:
    """(question, reference answer) of the first turns; those without a reference are not asked."""
    questions = {row["question_id"]: row["turns"][0] for row in read_rows(folder / QUESTIONS)}
    rows = ((row["question_id"], row["choices"][0]["turns"][0]) for row in read_rows(folder / REFERENCES))
    return [(questions[number], answer) for number, answer in rows if number in questions and answer.strip()]


def likelihoods(base: Path, adapter: Path | None, asked: Sequence[Asked]) -> list[float]:
    """Nats a token of each answer; the model is let go again."""
    lm = load(base, device=os.environ.get("ENGINE_DEVICE", "auto"), adapter=adapter)
    pairs = [(chat(lm, question), answer.strip()) for question, answer in asked]
    parts = (pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH))
    scores = [score.mean for part in parts for score in continuation_logprobs(lm, part, most_tokens=TOKENS)]
    del lm
    gc.collect()
    return scores


if __name__ == "__main__":
    main()
