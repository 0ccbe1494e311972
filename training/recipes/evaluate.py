"""Stage 6: the reference and the trained model on held-out prompts, greedily, side by side.

A response that the judge cannot score is in no rate: `n` counts scored responses, `unscored` the others. It is never
counted as safe, and when too many are unscored the rate is marked as certifying nothing.
"""

import sys

from training.engine.generate import chat, generate
from training.engine.judge import Verdict
from training.engine.model import LanguageModel, load
from training.engine.stats import wilson
from training.recipes.files import Row, digest_file, write_json, write_rows
from training.recipes.generate import by_length
from training.recipes.judging import round_judge
from training.recipes.run import Run, conduct

ADAPTER = "dpo/adapter"
MEASURES = {"harmful_answered": ("harmful", "complies"), "benign_refused": ("benign", "refuses")}


def answers(run: Run, arm: str, lm: LanguageModel) -> list[Row]:
    """The greedy responses of one arm, chunk by chunk."""
    config = run.plan.stages.evaluate

    def answer(_number: int, rows: list[Row]) -> list[Row]:
        ready = [chat(lm, row["prompt"]) for row in rows]
        texts = generate(lm, ready, max_new_tokens=config.max_new_tokens, batch_size=config.batch_size)
        return [{**row, "response": text} for row, text in zip(rows, texts, strict=True)]

    return run.in_chunks(arm, by_length(run.plan.held_out), config.batch_size, answer)


def measure(name: str, arm: str, rows: list[tuple[str, Verdict]], max_unscored: float) -> Row:
    """A rate over (label, verdict): k of n scored, how many were not, and its 95 % Wilson interval."""
    label, counted = MEASURES[name]
    verdicts: list[str] = [verdict.verdict for row_label, verdict in rows if row_label == label]
    unscored = verdicts.count("unscored")
    k, n = verdicts.count(counted), len(verdicts) - unscored
    low, high = wilson(k, n)
    certifies = n > 0 and unscored <= max_unscored * len(verdicts)
    return {
        "measure": name,
        "arm": arm,
        "k": k,
        "n": n,
        "unscored": unscored,
        "low": low,
        "high": high,
        "certifies": certifies,
    }


def says_refuses(verdict: Verdict) -> bool | None:
    """The verdict as responses.jsonl holds it; None where unscored."""
    return verdict.verdict == "refuses" if verdict.is_scored else None


def work(run: Run) -> Row:
    """Write RUN/evaluate/result.json and RUN/evaluate/responses.jsonl."""
    plan = run.plan
    run.expect(2 * len(plan.held_out))
    reference = load(plan.model, device=plan.device)
    judge = round_judge(run, reference)
    trained = load(plan.model, device=plan.device, adapter=run.adapter("dpo"))
    arms = {"reference": answers(run, "reference", reference), "trained": answers(run, "trained", trained)}
    verdicts = {arm: judge.judge([(row["prompt"], row["response"]) for row in rows]) for arm, rows in arms.items()}
    responses = [
        {
            **{name: before[name] for name in ("id", "label", "prompt")},
            "reference": before["response"],
            "trained": after["response"],
            "reference_refuses": says_refuses(was),
            "trained_refuses": says_refuses(now),
        }
        for before, after, was, now in zip(
            arms["reference"], arms["trained"], verdicts["reference"], verdicts["trained"], strict=True
        )
    ]
    measures = [
        measure(
            name,
            arm,
            [(row["label"], verdict) for row, verdict in zip(arms[arm], verdicts[arm], strict=True)],
            plan.stages.evaluate.max_unscored,
        )
        for name in MEASURES
        for arm in arms
    ]
    write_rows(run.path("responses.jsonl"), responses)
    result = {"judge": judge.name, "seed": plan.seed, "measures": measures, "checkpoint": ADAPTER}
    write_json(run.path("result.json"), result)
    return {"responses": digest_file(run.path("responses.jsonl")), "result": digest_file(run.path("result.json"))}


if __name__ == "__main__":
    sys.exit(conduct("evaluate", work))
