"""Stage 1: what the frozen reference answers to every training prompt, with no constitution in sight.

For a harmful prompt this is the answer that a revision has to beat; for a benign one it is kept as the target, so
that the round teaches nothing new about helping.
"""

import sys
from collections import Counter

from training.engine.generate import chat, generate
from training.engine.model import LanguageModel, load
from training.recipes.files import Row, digest_file, write_rows
from training.recipes.plan import GenerateConfig, Prompt
from training.recipes.run import Run, conduct


def by_length(prompts: tuple[Prompt, ...]) -> list[Row]:
    """Prompts as rows, the longest first: batches of one length need little padding."""
    ordered = sorted(prompts, key=lambda prompt: (-len(prompt.prompt), prompt.id))
    return [{"id": p.id, "label": p.label, "principle": p.principle, "prompt": p.prompt} for p in ordered]


def answer(lm: LanguageModel, rows: list[Row], config: GenerateConfig) -> list[Row]:
    """Add the model's greedy `response` to each row."""
    responses = generate(
        lm,
        [chat(lm, row["prompt"]) for row in rows],
        max_new_tokens=config.max_new_tokens,
        batch_size=config.batch_size,
    )
    return [{**row, "response": response} for row, response in zip(rows, responses, strict=True)]


def work(run: Run) -> Row:
    """Write RUN/generate/plain.jsonl: {id, label, principle, prompt, response}. What the plan left out counts here."""
    plan, config = run.plan, run.plan.stages.generate
    lm = load(plan.model, device=plan.device)
    run.expect(len(plan.train))
    rows = run.in_chunks(
        "plain", by_length(plan.train), config.batch_size, lambda _number, chunk: answer(lm, chunk, config)
    )
    write_rows(run.path("plain.jsonl"), rows)
    return {
        "rows": len(rows),
        "dropped": dict(sum((Counter({one.reason: one.count}) for one in plan.left_out), Counter())),
        "reference": lm.digest,
        "plain": digest_file(run.path("plain.jsonl")),
    }


if __name__ == "__main__":
    sys.exit(conduct("generate", work))
