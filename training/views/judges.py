"""What is known of each judge, and which one judges."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from training import judging
from training.models import JudgeCard

# By the first part of a judge's name: what it is, and how it comes to its verdicts.
LABELS = {
    "probe": "probe on hidden states",
    "pattern": "search for words",
    "logprob": "language model, read by its log-probabilities",
    "served": "language model on a server, read by its log-probabilities",
}
PURPOSES = {
    "probe": "Reads what the frozen reference model makes of an answer, and says whether the answer declines or "
    "complies. It never judges the model whose states it reads as the one under training.",
    "pattern": "Looks for words that refuse at the beginning of an answer. It understands nothing and cannot be "
    "talked into anything.",
    "logprob": "Asks a language model a question with two answers and reads how likely it finds each. Where one of "
    "them is not among the likeliest words, there is no verdict.",
    "served": "Asks a served language model a question with two answers and reads how likely it finds each. Where the "
    "server fails, or one answer is not among the likeliest words, there is no verdict.",
}
ADVISORY = "Its numbers are too weak, or rest on too little, for anything to depend on it: it only advises."
DECISIONS_ONLY = (
    "Only what people decided here is known of it, which can hold a judge back but is not enough: it only advises."
)
UNMEASURED = "It was never measured on single answers: it only advises."
WITH_A_MODEL = ("logprob", "served")
MEASURES = ("auc", "sensitivity", "specificity", "coverage")


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    cards: dict[str, list[JudgeCard]] = {}
    for card in JudgeCard.objects.order_by("-pk"):
        cards.setdefault(card.judge, []).append(card)
    judges = [_judge(found) for found in cards.values()]
    chosen: dict[str, list[str]] = {}
    for task, kind in settings.JUDGES.items():
        chosen.setdefault(kind, []).append(task)
    in_use = [
        {
            "label": LABELS.get(kind, kind),
            "model": settings.JUDGE_MODEL if kind in WITH_A_MODEL else "",
            "tasks": tasks,
        }
        for kind, tasks in chosen.items()
    ]
    return render(request, "training/judges_page.html", {"judges": judges, "in_use": in_use})


def _judge(cards: Sequence[JudgeCard]) -> dict[str, Any]:
    """A judge by its newest card of verdicts; what it scored on other sets, and on pairs, stands below."""
    verdicts = [card for card in cards if not judging.is_of_pairs(card.metrics)]
    card = verdicts[0] if verdicts else cards[0]
    kind = card.judge.partition("-")[0]
    return {
        "name": card.judge,
        "kind_label": LABELS.get(kind, "of a kind that is not known here"),
        "purpose": PURPOSES.get(kind, ""),
        "model": card.metrics.get("model", ""),
        **_standing(verdicts),
        **{name: _known(card.metrics[name]) if verdicts else None for name in MEASURES},
        "n": card.metrics["n"] if verdicts else 0,
        "calibration_digest": card.calibration_digest,
        "template_version": card.template_version,
        "measured_at": cards[0].measured_at,
        "by_source": [{"label": row.dataset, "auc": row.metrics["auc"], "n": row.metrics["n"]} for row in verdicts],
        "pairs": [_pairs(row) for row in cards if judging.is_of_pairs(row.metrics)],
    }


def _standing(verdicts: Sequence[JudgeCard]) -> dict[str, Any]:
    cards = judging.counted(verdicts)
    reason = "" if cards else UNMEASURED
    if any(card.advisory for card in cards):
        reason = ADVISORY
    elif cards and all(judging.is_of_decisions(card.metrics) for card in cards):
        reason = DECISIONS_ONLY
    return {"is_advisory": bool(reason), "advisory_reason": reason}


def _pairs(card: JudgeCard) -> dict[str, Any]:
    """How often a judge prefers the same in both orders, and as people do where it does."""
    return {
        "label": card.dataset,
        "consistency": _known(card.metrics["consistency"]),
        "accuracy": _known(card.metrics["accuracy"]),
        "n": card.metrics["n"],
        "n_consistent": card.metrics["accuracy"]["n"],
        "is_advisory": card.advisory,
    }


def _known(measure: dict[str, Any]) -> dict[str, Any] | None:
    return measure if measure["value"] is not None else None
