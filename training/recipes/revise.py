"""Stage 2: answers that follow the constitution, under its clauses and decided examples, and which of them to trust.

A harmful prompt: the reference answers it again under the clause that settles it, shown the cases in which that
clause declines. (It is not shown its plain answer: small models copy that.) It is led into the refusal by its first
words and says itself what it declines, and why; left alone, it evades ("I'm not sure what to say"), which the judge
takes for a refusal and a person would not. The revision is accepted only if the judge finds that it declines, and
more clearly than the original did. Cutting it to its first statement is what keeps it from breaking the other
clauses: it adds no advice, no preaching and no second thought.

A benign prompt: the plain answer is the target, accepted only if the judge finds that it complies. Beside it stands
what a reading of the clause that only knows how to decline would have said: an over-refusal to prefer it to.
"""

import sys
from dataclasses import dataclass

from training.engine import prompts
from training.engine.generate import generate
from training.engine.judges.contract import Judge, Verdict
from training.engine.model import LanguageModel, load
from training.recipes.answers import first_statement
from training.recipes.files import Row, digest_file, read_rows, write_rows
from training.recipes.judging import round_judge, shown_clause
from training.recipes.plan import Plan
from training.recipes.run import Run, conduct

OPENING = "I can't"


@dataclass(frozen=True)
class Desk:
    """What revising needs at hand."""

    plan: Plan
    reference: LanguageModel
    judge: Judge

    def decline(self, rows: list[Row], *, temperature: float = 0.0, seed: int = 0) -> list[str]:
        """How the reference declines each row under its clause and the cases in which that declines."""
        config = self.plan.stages.revise
        clauses = [shown_clause(self.plan.clause(row["principle"]), expects="decline") for row in rows]
        texts = generate(
            self.reference,
            [f"{prompts.follow(clause, row['prompt'])} {OPENING}" for clause, row in zip(clauses, rows, strict=True)],
            max_new_tokens=config.max_new_tokens,
            temperature=temperature,
            seed=seed,
            batch_size=config.batch_size,
            stop=prompts.STOP,
        )
        return [first_statement(led(text)) for text in texts]

    def over_refuse(self, rows: list[Row]) -> list[str]:
        """How each benign row would be declined by mistake; empty under a clause that has no case of declining."""
        declining = [row for row in rows if self._declines(row["principle"])]
        declined = dict(zip((row["id"] for row in declining), self.decline(declining), strict=True))
        return [declined.get(row["id"], "") for row in rows]

    def _declines(self, principle: str) -> bool:
        return any(example.expects == "decline" for example in self.plan.clause(principle).examples)


def led(text: str) -> str:
    """The opening and what the model went on with, which comes without the space before it."""
    return f"{OPENING} {text}" if text[:1].isalnum() else f"{OPENING}{text}"


def why_not_accepted(before: Verdict, after: Verdict) -> str:
    """Why a revision of a harmful answer is dropped; empty when it is accepted."""
    if after.verdict == "unscored":
        return f"unscored: {after.reason}"
    if after.verdict == "complies":
        return "the revision does not decline"
    if before.probability is not None and after.probability is not None and after.probability <= before.probability:
        return "the original declines as clearly"
    return ""


def why_not_kept(verdict: Verdict) -> str:
    """Why the plain answer to a benign prompt is dropped; empty when it is kept."""
    if verdict.verdict == "unscored":
        return f"unscored: {verdict.reason}"
    return "the plain answer already refuses" if verdict.verdict == "refuses" else ""


def revise_harmful(desk: Desk, rows: list[Row], attempt: int, seed: int) -> list[Row]:
    """One attempt at each row: adds response, why, probabilities, attempt and seed."""
    revisions = desk.decline(rows, temperature=desk.plan.stages.revise.temperature if attempt else 0.0, seed=seed)
    before = desk.judge.judge([(row["prompt"], row["original"]) for row in rows])
    after = desk.judge.judge([(row["prompt"], text) for row, text in zip(rows, revisions, strict=True)])
    return [
        {
            **row,
            "response": text,
            "why": why_not_accepted(was, now),
            "original_refuses": was.probability,
            "response_refuses": now.probability,
            "attempt": attempt,
            "seed": seed,
            "judge": desk.judge.name,
        }
        for row, text, was, now in zip(rows, revisions, before, after, strict=True)
    ]


def keep_benign(desk: Desk, rows: list[Row]) -> list[Row]:
    """The plain answers worth keeping, each with the over-refusal to prefer them to (empty if there is none)."""
    over_refusals = desk.over_refuse(rows)
    kept = desk.judge.judge([(row["prompt"], row["original"]) for row in rows])
    refused = desk.judge.judge([(row["prompt"], text) for row, text in zip(rows, over_refusals, strict=True)])
    return [
        {
            **row,
            "response": row["original"],
            "why": why_not_kept(verdict),
            "response_refuses": verdict.probability,
            "over_refusal": over if against.verdict == "refuses" else "",
            "over_refusal_refuses": against.probability,
            "judge": desk.judge.name,
        }
        for row, verdict, over, against in zip(rows, kept, over_refusals, refused, strict=True)
    ]


def attempts(run: Run, desk: Desk, pending: list[Row]) -> list[Row]:
    """Try every row until a revision is accepted or the attempts are used up; each row's last try."""
    config = desk.plan.stages.revise
    done: list[Row] = []
    for attempt in range(config.attempts):

        def revise(number: int, chunk: list[Row], attempt: int = attempt) -> list[Row]:
            return revise_harmful(desk, chunk, attempt, seed=desk.plan.seed + 1000 * attempt + number)

        tried = run.in_chunks(f"attempt-{attempt}", pending, config.batch_size, revise)
        is_last = attempt == config.attempts - 1
        done += [row for row in tried if is_last or not row["why"]]
        again = {row["id"] for row in tried if row["why"]}
        pending = [row for row in pending if row["id"] in again]
    return done


def work(run: Run) -> Row:
    """Write RUN/revise/rows.jsonl: one row a training prompt, `why` empty where `response` is accepted."""
    plan, config = run.plan, run.plan.stages.revise
    plain = [
        {**row, "original": row.pop("response")}
        for row in sorted(read_rows(run.of("generate", "plain.jsonl")), key=lambda row: row["principle"])
    ]
    reference = load(plan.model, device=plan.device)
    desk = Desk(plan, reference, round_judge(run, reference))
    harmful = [row for row in plain if row["label"] == "harmful"]
    benign = [row for row in plain if row["label"] == "benign"]
    run.expect(len(harmful) * config.attempts + len(benign))
    done = run.in_chunks("benign", benign, config.batch_size, lambda _number, chunk: keep_benign(desk, chunk))
    done += attempts(run, desk, harmful)
    rows = sorted(done, key=lambda row: row["id"])
    write_rows(run.path("rows.jsonl"), rows)
    return {**counts(rows), "prompts": prompts.PROMPT_DIGEST, "rows": digest_file(run.path("rows.jsonl"))}


def counts(rows: list[Row]) -> Row:
    """How many rows of each label were accepted, and why the others were dropped."""
    dropped: dict[str, int] = {}
    for row in rows:
        if row["why"]:
            dropped[row["why"]] = dropped.get(row["why"], 0) + 1
    accepted = [row for row in rows if not row["why"]]
    return {
        "harmful_accepted": sum(row["label"] == "harmful" for row in accepted),
        "benign_accepted": sum(row["label"] == "benign" for row in accepted),
        "dropped": dropped,
    }


if __name__ == "__main__":
    sys.exit(conduct("revise", work))
