"""Stage 3: preference pairs, each labelled by the judge twice alike, or not at all.

The probe reads every response alone, so that neither can gain from standing first. The revisions were read with
the accepted response second; here each pair is read anew, the other way round and in other batches. A pair is
labelled only if both readings prefer the same response by a clear gap; otherwise the judge abstains. A judge that
asks a model is shown both responses as well, in both orders, and abstains where the order decides. It is asked which is
the less harmful one, so of harmful requests alone: an over-refusal harms nobody. Decided examples are pairs as well:
people have labelled them. So are the answers that people rewrote in proposals.
"""

import sys

from training.engine.judges.choosing import comparer
from training.engine.judges.contract import Judge, Pair, Preference
from training.engine.judges.pairs import ORDER_DECIDES, Apart, prefer
from training.engine.model import load
from training.recipes.answers import first_sentence
from training.recipes.files import Row, digest_file, read_rows, write_rows
from training.recipes.judging import round_judge
from training.recipes.plan import Plan
from training.recipes.run import Run, conduct

CHUNK = 32
OTHER = "the judge prefers the other response"
EDITED = "edited proposals"  # the source of such pairs in a data card


def candidates(rows: list[Row]) -> list[Row]:
    """The pairs worth asking the judge about: `chosen` is the response that the label of the prompt calls for.

    `gaps` starts with the reading that the stage before made.
    """
    return [pair for pair in (candidate(row) for row in rows if not row["why"]) if pair["rejected"]]


def candidate(row: Row) -> Row:
    """An accepted row as a pair; `rejected` is empty where there is nothing to prefer the response to.

    Both sides are first sentences, or what there is of them: whether to decline is decided there, and length must not
    be what is preferred.
    """
    harmful = row["label"] == "harmful"
    before = row["original_refuses"] if harmful else row["over_refusal_refuses"]
    return {
        **{name: row[name] for name in ("id", "label", "principle", "prompt")},
        "chosen": first_sentence(row["response"]) or row["response"],
        "rejected": (first_sentence(row["original"]) or row["original"]) if harmful else row["over_refusal"],
        "gaps": [gap(row["response_refuses"], before, row["label"])],
    }


def decided_pairs(plan: Plan) -> list[Row]:
    """The decided examples that say whether to decline or to help, as pairs."""
    return [
        {
            "id": f"{clause.principle}.{number}",
            "label": "harmful" if example.expects == "decline" else "benign",
            "principle": clause.principle,
            "prompt": example.request,
            "chosen": example.right,
            "rejected": example.wrong,
            "labelled_by": "people",
        }
        for clause in plan.clauses
        for number, example in enumerate(clause.examples, start=1)
        if example.expects != "style"
    ]


def edited_pairs(plan: Plan) -> list[Row]:
    """What people made of drafted answers, as pairs: theirs is chosen, the draft rejected."""
    return [
        {
            "id": f"edited.{one.amendment}.{number}",
            "label": one.label,
            "principle": one.principle,
            "prompt": one.request,
            "chosen": one.chosen,
            "rejected": one.rejected,
            "labelled_by": "people",
            "source": EDITED,
        }
        for number, one in enumerate(plan.edited, start=1)
    ]


def label(judge: Judge, pairs: list[Row], min_gap: float) -> list[Row]:
    """Add the second reading's gap, `why` (empty: labelled as it stands) and the judge's name to each pair."""
    verdicts = judge.judge([(pair["prompt"], pair[side]) for pair in pairs for side in ("rejected", "chosen")])
    rows = []
    for pair, rejected, chosen in zip(pairs, verdicts[::2], verdicts[1::2], strict=True):
        gaps = [*pair["gaps"], gap(chosen.probability, rejected.probability, pair["label"])]
        rows.append({**pair, "gaps": gaps, "why": why_not_labelled(gaps, min_gap), "labelled_by": judge.name})
    return in_both_orders(judge, rows)


def in_both_orders(judge: Judge, rows: list[Row]) -> list[Row]:
    """The rows, with `why` for those harmful requests of which the judge, shown both responses in either order, does
    not prefer the chosen one twice. A judge that reads each response alone has no order.
    """
    both = comparer(judge)
    asked = [row for row in rows if row["label"] == "harmful" and not row["why"]]
    if isinstance(both, Apart) or not asked:
        return rows
    found = prefer(both, [Pair(row["prompt"], row["chosen"], row["rejected"]) for row in asked])
    why = {row["id"]: why_not_preferred(one) for row, one in zip(asked, found, strict=True)}
    return [{**row, "why": row["why"] or why.get(row["id"], "")} for row in rows]


def why_not_preferred(found: Preference) -> str:
    """Why a pair is not labelled, of which the chosen response stood first; empty where it is preferred."""
    if found.preferred == "unscored":
        return ORDER_DECIDES if found.reason == ORDER_DECIDES else f"unscored: {found.reason}"
    return OTHER if found.preferred == "second" else ""


def gap(chosen: float | None, rejected: float | None, label: str) -> float | None:
    """By how much the chosen response satisfies the label better than the rejected one; None where unscored."""
    if chosen is None or rejected is None:
        return None
    return chosen - rejected if label == "harmful" else rejected - chosen


def why_not_labelled(gaps: list[float | None], min_gap: float) -> str:
    """Why the judge abstains; empty when both readings agree clearly."""
    scored = [value for value in gaps if value is not None]
    if len(scored) < len(gaps):
        return "unscored"
    if any(value < 0 for value in scored):
        return "inconsistent" if max(scored) > 0 else OTHER
    return "too close" if min(scored) < min_gap else ""


def work(run: Run) -> Row:
    """Write RUN/label/pairs.jsonl (the labelled) and RUN/label/dropped.jsonl."""
    plan = run.plan
    reference = load(plan.model, device=plan.device)
    judge = round_judge(run, reference)
    asked = candidates(read_rows(run.of("revise", "rows.jsonl")))
    run.expect(len(asked))
    min_gap = plan.stages.label.min_gap
    labelled = run.in_chunks("pairs", asked, CHUNK, lambda _number, chunk: label(judge, chunk, min_gap))
    kept = [row for row in labelled if not row["why"]]
    dropped = [row for row in labelled if row["why"]]
    write_rows(run.path("pairs.jsonl"), [*kept, *decided_pairs(plan), *edited_pairs(plan)])
    write_rows(run.path("dropped.jsonl"), dropped)
    return {
        "labelled": len(kept),
        "decided": len(decided_pairs(plan)),
        "edited": len(plan.edited),
        "dropped": {why: sum(row["why"] == why for row in dropped) for why in sorted({r["why"] for r in dropped})},
        "pairs": digest_file(run.path("pairs.jsonl")),
    }


if __name__ == "__main__":
    sys.exit(conduct("label", work))
