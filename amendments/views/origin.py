"""Where a proposal comes from: the cases that it answers, and who wrote it."""

from typing import Any

from django.urls import reverse

from amendments.models import Amendment, EdgeCase, Label
from amendments.producers import record
from amendments.views.words import proposer_label, score_words

EVIDENCE_SHOWN = 12


def evidence(amendment: Amendment) -> dict[str, Any]:
    """The cases of its cluster as it is now, without noise, the strongest first; and how many there are beside."""
    if amendment.cluster is None:
        return {"evidence": [], "evidence_more": 0}
    cases = amendment.cluster.present.edge_cases.counted().select_related("scenario").order_by("-score", "pk")
    total = cases.count()
    shown = list(cases[:EVIDENCE_SHOWN])
    return {"evidence": [_case(case) for case in shown], "evidence_more": total - len(shown)}


def producer(amendment: Amendment) -> dict[str, Any]:
    """Who wrote it."""
    found = amendment.producer
    return {
        "is_person": found is None,
        "name": proposer_label(amendment),
        "checkpoint": found.checkpoint if found else "",
        "prompt_digest": found.prompts if found else "",
        "model": found.model if found else "",
        "url": reverse("amendments:producer-detail", args=[found.pk]) if found else "",
        "record": record(found) if found else "",
    }


def _case(case: EdgeCase) -> dict[str, Any]:
    return {
        "pk": case.pk,
        "prompt": case.scenario.prompt,
        "context": list(case.scenario.context.values()),
        "response": case.response,
        # What nobody has called harmless is folded away: whoever wants to read it opens it.
        "is_harmful": case.scenario.label != Label.BENIGN,
        "signal_label": case.get_signal_display(),
        "score_words": score_words(case),
        "score": case.score,
        "verdicts": case.detail.get("verdicts", []),
    }
