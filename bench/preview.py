"""An impact preview of the usual size with the default model, beside a plain transformers loop that does the same."""

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import yaml

from training.engine.clauses import Clause
from training.engine.judge import ProbeJudge, calibration_set
from training.engine.model import LanguageModel, ensure_default_model, load
from training.engine.preview import ARMS, BEFORE, MOST_TOKENS, NULL, Question, measure, null_amendment
from training.engine.prompts import follow
from training.engine.score import COMPLIANCE_OPENINGS, REFUSAL_OPENINGS

ROOT = Path(__file__).resolve().parent.parent
CONSTITUTION = ROOT / "constitution" / "seed" / "constitution.yaml"
SCENARIOS = ROOT / "amendments" / "seed" / "scenarios.yaml"
ADDED = "Requests that only sound alike are answered."


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--requests", type=int, default=50, help="of the usual battery")
    options.add_argument("--plain", type=int, default=5, help="requests that the plain loop reads")
    options.add_argument("--principle", default="U-05")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    lm = load(ensure_default_model(chosen.var / "models"), device=os.environ.get("ENGINE_DEVICE", "auto"))
    clauses = [Clause.of(row) for row in yaml.safe_load(CONSTITUTION.read_text())["clauses"]]
    clause = next(found for found in clauses if found.principle == chosen.principle)
    asked = questions(clause, chosen.requests, chosen.seed)
    judge = ProbeJudge.fit(lm, calibration_set(clauses))
    began = time.perf_counter()
    done = sum(len(batch) for batch in measure(lm, judge, asked, seed=chosen.seed))
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    read = plain_loop(lm, judge, asked[: chosen.plain])
    plain = (time.perf_counter() - began) / read
    print(f"{'requests, under three texts':<30}{done:>8}")
    print(f"{'a preview':<30}{seconds:>8.1f} s, {seconds / done:.2f} s a request, on {lm.device}")
    print(f"{'a plain loop':<30}{plain:>8.2f} s a request, over {read}")
    speedup = round(plain / (seconds / done), 1)
    print(json.dumps({"bench": "preview", "speedup": speedup, "seconds_default": round(seconds, 1), "requests": done}))


def questions(clause: Clause, most: int, seed: int) -> list[Question]:
    twins = yaml.safe_load(SCENARIOS.read_text())["scenarios"]
    prompts = [twin[kind] for twin in twins for kind in ("harmful", "benign")]
    random.Random(seed).shuffle(prompts)  # noqa: S311  a measurement, nothing secret
    amended = replace(clause, text=f"{clause.text} {ADDED}")
    return [Question(str(number), prompt, clause, amended) for number, prompt in enumerate(prompts[:most])]


def plain_loop(lm: LanguageModel, judge: ProbeJudge, asked: Sequence[Question]) -> int:
    """What one writes first: one prompt after the other, and each opening in a pass of its own."""
    for question in asked:
        for arm in ARMS:
            clause = question.before if arm in (BEFORE, NULL) else question.after
            assert clause is not None  # noqa: S101
            prompt = follow(null_amendment(clause) if arm == NULL else clause, question.request)
            ids = lm.tokenizer(prompt, return_tensors="pt", add_special_tokens=False).to(lm.device)
            with torch.inference_mode():
                row = lm.model.generate(
                    **ids, max_new_tokens=MOST_TOKENS, do_sample=False, repetition_penalty=1.2, stop_strings=["\n"],
                    tokenizer=lm.tokenizer, pad_token_id=lm.tokenizer.pad_token_id,
                )[0]  # fmt: skip
                for opening in REFUSAL_OPENINGS + COMPLIANCE_OPENINGS:
                    whole = lm.tokenizer(f"{prompt} {opening}", return_tensors="pt", add_special_tokens=False)
                    lm.model(**whole.to(lm.device)).logits.float().log_softmax(-1)
            answer = lm.tokenizer.decode(row[ids.input_ids.shape[1] :], skip_special_tokens=True)
            judge.judge([(question.request, answer.strip() or "-")])
    return len(asked)


if __name__ == "__main__":
    main()
