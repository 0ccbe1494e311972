"""An impact preview of the usual size with the default model, beside a plain loop over the same prompts."""

import argparse
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from bench.survey import plainly
from training.engine.clauses import Clause
from training.engine.judge import ProbeJudge, calibration_set
from training.engine.model import LanguageModel, ensure_default_model, load
from training.engine.preview import AFTER, ARMS, MOST_TOKENS, NULL, Question, leans, measure, null_amendment
from training.engine.prompts import follow

ROOT = Path(__file__).resolve().parent.parent
CONSTITUTION = ROOT / "constitution" / "seed" / "constitution.yaml"
SCENARIOS = ROOT / "amendments" / "seed" / "scenarios.yaml"
ADDED = "Requests that only sound alike are answered."


@dataclass
class Run:
    """What was heard in `seconds`: the answer and the refusal margin of each request under each text."""

    seconds: float
    answers: dict[tuple[str, str], str] = field(default_factory=dict)
    margins: dict[tuple[str, str], float] = field(default_factory=dict)

    def tokens(self, lm: LanguageModel) -> int:
        return sum(len(lm.tokenizer(text, add_special_tokens=False).input_ids) for text in self.answers.values())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--requests", type=int, default=50, help="of the usual battery")
    options.add_argument("--principle", default="U-05")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    lm = load(ensure_default_model(chosen.var / "models"), device=os.environ.get("ENGINE_DEVICE", "auto"))
    clauses = [Clause.of(row) for row in yaml.safe_load(CONSTITUTION.read_text())["clauses"]]
    clause = next(found for found in clauses if found.principle == chosen.principle)
    asked = questions(clause, chosen.requests, chosen.seed)
    judge = ProbeJudge.fit(lm, calibration_set(clauses))
    ours, plain = preview(lm, judge, asked, chosen.seed), plain_loop(lm, judge, asked)
    second = second_clauses(lm, asked, clauses)
    print(f"{'on ' + str(lm.device):<28}{'requests':>9}{'prompts':>9}{'seconds':>10}{'prompts/s':>11}{'tokens/s':>10}")
    for name, run in (("a preview", ours), (f"plain loop, {plainly.BATCH} a batch", plain)):
        rates = f"{len(run.answers) / run.seconds:>11.2f}{run.tokens(lm) / run.seconds:>10.1f}"
        print(f"{name:<28}{len(asked):>9}{len(run.answers):>9}{run.seconds:>10.1f}{rates}")
    print(f"each request under a second clause as well, for conflicts: {second:.1f} s more")
    same = sum(plain.answers[key] == answer for key, answer in ours.answers.items())
    apart = max(abs(plain.margins[key] - margin) for key, margin in ours.margins.items())
    print(f"{same} of {len(ours.answers)} answers are the same, letter for letter; margins differ by {apart:.0e} nats")
    result = {"speedup": round(plain.seconds / ours.seconds, 2), "seconds_default": round(ours.seconds + second, 1)}
    print(json.dumps({"bench": "preview", **result, "requests": len(asked)}))


def questions(clause: Clause, most: int, seed: int) -> list[Question]:
    twins = yaml.safe_load(SCENARIOS.read_text())["scenarios"]
    prompts = [twin[kind] for twin in twins for kind in ("harmful", "benign")]
    random.Random(seed).shuffle(prompts)  # noqa: S311  a measurement, nothing secret
    amended = replace(clause, text=f"{clause.text} {ADDED}")
    return [Question(str(number), prompt, clause, amended) for number, prompt in enumerate(prompts[:most])]


def preview(lm: LanguageModel, judge: ProbeJudge, asked: Sequence[Question], seed: int) -> Run:
    began = time.perf_counter()
    heard = [one for batch in measure(lm, judge, asked, seed=seed) for one in batch]
    run = Run(time.perf_counter() - began)
    for key, arms in heard:
        for arm, one in arms.items():
            run.answers[key, arm] = one.answer
            run.margins[key, arm] = one.margin if one.margin is not None else float("nan")
    return run


def second_clauses(lm: LanguageModel, asked: Sequence[Question], clauses: Sequence[Clause]) -> float:
    """Seconds for the margins of all requests under other clauses, as many different ones as there are: the most that
    looking for conflicts takes."""
    others = [clause for clause in clauses if clause.examples]
    began = time.perf_counter()
    leans(lm, [(question.request, others[place % len(others)]) for place, question in enumerate(asked)])
    return time.perf_counter() - began


def plain_loop(lm: LanguageModel, judge: ProbeJudge, asked: Sequence[Question]) -> Run:
    """The same prompts in batches as they come: answers, verdicts and margins."""
    jobs = [(question, arm, prompt_of(question, arm)) for question in asked for arm in ARMS]
    run, began = Run(0.0), time.perf_counter()
    for part in plainly.batches(jobs):
        prompts = [prompt for _, _, prompt in part]
        answers = plainly.answers(lm, prompts, most_tokens=MOST_TOKENS)
        judge.judge([(question.request, text) for (question, _, _), text in zip(part, answers, strict=True)])
        found = zip(part, answers, plainly.margins(lm, prompts), strict=True)
        for (question, arm, _), answer, margin in found:
            run.answers[question.key, arm] = answer
            run.margins[question.key, arm] = margin
    run.seconds = time.perf_counter() - began
    return run


def prompt_of(question: Question, arm: str) -> str:
    clause = question.after if arm == AFTER else question.before
    assert clause is not None  # noqa: S101  all of these questions have both
    return follow(null_amendment(clause) if arm == NULL else clause, question.request)


if __name__ == "__main__":
    main()
