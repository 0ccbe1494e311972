"""What is known of each judge."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from training.models import JudgeCard

KIND = "probe on hidden states"
PURPOSE = (
    "Reads what the frozen reference model makes of an answer, and says whether the answer declines or complies. "
    "It never judges the model whose states it reads as the one under training."
)
ADVISORY = "Its numbers are too weak, or rest on too little, for anything to depend on it: it only advises."


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    cards: dict[str, list[JudgeCard]] = {}
    for card in JudgeCard.objects.order_by("-pk"):
        cards.setdefault(card.judge, []).append(card)
    return render(request, "training/judges_page.html", {"judges": [_judge(found) for found in cards.values()]})


def _judge(cards: list[JudgeCard]) -> dict[str, Any]:
    """A judge by its newest card; what it scored on other sets stands below."""
    card = cards[0]
    shares = {name: card.metrics[name] for name in ("auc", "sensitivity", "specificity", "coverage")}
    return {
        "name": card.judge,
        "kind_label": KIND,
        "purpose": PURPOSE,
        "is_advisory": any(card.advisory for card in cards),
        "advisory_reason": ADVISORY if any(card.advisory for card in cards) else "",
        **{name: value if value["value"] is not None else None for name, value in shares.items()},
        "n": card.metrics["n"],
        "calibration_digest": card.calibration_digest,
        "template_version": card.template_version,
        "measured_at": card.measured_at,
        "by_source": [{"label": row.dataset, "auc": row.metrics["auc"], "n": row.metrics["n"]} for row in cards],
    }
