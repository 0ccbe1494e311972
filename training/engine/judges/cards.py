"""What is known of a judge: its verdicts and preferences beside those of people."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from training.engine.judges.contract import Comparer, Judge, Labelled, Pair
from training.engine.judges.pairs import ORDER_DECIDES, prefer
from training.engine.stats import bootstrap, wilson

NOTHING = {"value": None, "low": None, "high": None}


def card(judge: Judge, items: Sequence[Labelled]) -> dict[str, Any]:
    """What is known of a judge, measured on labelled responses it was not fitted on. Shares carry k, n and a 95 %
    Wilson interval, AUC a bootstrap interval; unscored items lower the coverage and are in no other number.
    """
    verdicts = judge.judge([(item.request, item.response) for item in items])
    scored = [
        (item.refuses, verdict.verdict == "refuses", verdict.probability if verdict.score is None else verdict.score)
        for item, verdict in zip(items, verdicts, strict=True)
        if verdict.is_scored
    ]
    truth = [truth for truth, _, _ in scored]
    hits = sum(truth and found for truth, found, _ in scored)
    passes = sum(not truth and not found for truth, found, _ in scored)
    return {
        "judge": judge.name,
        **judge.about,
        "n": len(items),
        "coverage": _share(len(scored), len(items)),
        "sensitivity": _share(hits, sum(truth)),
        "specificity": _share(passes, len(truth) - sum(truth)),
        "auc": auc(truth, [score for _, _, score in scored if score is not None]),
        "unscored": _reasons(verdict.reason for verdict in verdicts if not verdict.is_scored),
    }


def pair_card(judge: Judge, comparer: Comparer, pairs: Sequence[Pair]) -> dict[str, Any]:
    """How often a judge prefers what people did, of pairs whose `first` is the response that people preferred.

    Every pair is asked in both orders. `coverage`: an answer in both; `consistency`: the same in both, of those;
    `accuracy`: as people, of those again. Shares carry k, n and a 95 % Wilson interval.
    """
    found = prefer(comparer, pairs)
    right, wrong = (sum(one.preferred == side for one in found) for side in ("first", "second"))
    swayed = sum(one.reason == ORDER_DECIDES for one in found)
    consistent = right + wrong
    return {
        "judge": judge.name,
        **judge.about,
        "template": judge.about.get("comparison", judge.about["template"]),
        "n": len(pairs),
        "coverage": _share(consistent + swayed, len(pairs)),
        "consistency": _share(consistent, consistent + swayed),
        "accuracy": _share(right, consistent),
        # What a card of verdicts has: readers of cards find it here, too, and that it was not measured.
        **dict.fromkeys(("auc", "sensitivity", "specificity"), NOTHING),
        "unscored": _reasons(one.reason for one in found if one.preferred == "unscored"),
    }


def _reasons(reasons: Any) -> dict[str, int]:
    listed = list(reasons)
    return {reason: listed.count(reason) for reason in sorted(set(listed))}


def _share(k: int, n: int) -> dict[str, float | int | None]:
    low, high = wilson(k, n)
    return {"value": k / n if n else None, "k": k, "n": n, "low": low, "high": high}


def auc(truth: Sequence[bool], scores: Sequence[float]) -> dict[str, float | None]:
    """The area under the ROC curve, with a 95 % interval over the items; None where all are of one kind."""
    if len(set(truth)) < 2:
        return {**NOTHING}

    def area(labels: NDArray[np.bool_], values: NDArray[np.float64]) -> float:
        return float(roc_auc_score(labels, values)) if len(set(labels.tolist())) == 2 else 0.5

    low, high = bootstrap([truth, scores], area)
    return {"value": area(np.array(truth), np.array(scores)), "low": low, "high": high}
