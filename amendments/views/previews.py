"""The measured effect of a proposal, as its page shows it: beside a rewording that means the same, never one score."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.urls import reverse

from amendments import previews
from amendments.models import Amendment, Label, Preview, PreviewItem
from amendments.previews import BATTERIES, TEXTS, Battery
from amendments.views import realised
from amendments.views.words import PARTS
from constitution.errors import Refused
from constitution.models import User

WORDS = {"refuses": "declines", "complies": "answers", "unscored": "unscored"}
TEXT_LABELS = {"before": "The text in force", "after": "This proposal", "null": "The same in other words"}


def section(amendment: Amendment, viewer: User, conflicts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The context of `amendments/preview.html`. `conflicts`: what it makes and ends among decided examples."""
    found = previews.of(amendment)
    finished = next((preview for preview in found if preview.result), None)
    moving = next((preview for preview in found if not preview.result and not preview.failure), None)
    failed = next((preview for preview in found if preview.failure), None)
    return {
        "preview": {
            "topic": previews.topic(amendment.digest),
            "is_open": amendment.is_undecided,
            "moving": _moving(moving) if moving and amendment.is_undecided else None,
            "failure": failed.failure if failed and not moving and _is_newer(failed, finished) else "",
            "result": _result(finished) if finished else None,
            "conflicts": conflicts,
            "offers": _offers(found) if amendment.is_undecided else [],
            "refusal": _refusal(amendment, viewer),
            "url": reverse("training:preview-ask", args=[amendment.pk]),
            "realised": realised.of_proposal(amendment, found),
        }
    }


def _is_newer(preview: Preview, other: Preview | None) -> bool:
    return other is None or preview.pk > other.pk


def _moving(preview: Preview) -> dict[str, Any]:
    return {"done": preview.done, "total": preview.total, "is_larger": preview.battery == previews.LARGE.name}


def _refusal(amendment: Amendment, viewer: User) -> str:
    try:
        previews.check_can_ask(amendment, viewer)
    except Refused as refused:
        return str(refused)
    return ""


def _offers(found: Sequence[Preview]) -> list[dict[str, Any]]:
    """The batteries that it can be measured with now, each with what that costs."""
    there = {preview.battery for preview in found if not preview.failure}
    paces = previews.pace()
    return [_offer(battery, paces) for battery in BATTERIES.values() if battery.name not in there]


def _offer(battery: Battery, pace: float | None) -> dict[str, Any]:
    return {
        "battery": battery.name,
        "label": battery.label,
        "most": battery.most,
        "answers": TEXTS * battery.most,
        "time": "how long that takes on this machine is not known yet" if pace is None else _time(battery.most * pace),
    }


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute on this machine, by the last ones here"
    return f"about {minutes} minute{'s' if minutes > 1 else ''} on this machine, by the last ones here"


def _result(preview: Preview) -> dict[str, Any]:
    result = preview.result or {}
    items = list(preview.items.order_by("place"))
    flips = sorted(filter(_is_flip, items), key=lambda item: (_kind(item) != "worse", item.place))
    return {
        "pk": preview.pk,
        "components": [_component(row, items) for row in result["components"]],
        "apart": _apart(result.get("conflicts"), items),
        "absent": [(PARTS[name][0], why) for name, why in result["absent"].items()],
        "flips": [_flip(item) for item in flips],
        "unscored": [_unscored(item) for item in items if _why_unscored(item)],
        "certifies": result["certifies"],
        "total": preview.total,
        "judge": result["judge"],
        "is_advisory": result["is_advisory"],
        "device": result["device"],
        "tokens": result["tokens"],
        "seed": preview.seed,
        "model": preview.model,
        "model_digest": preview.model_digest,
        "battery": preview.battery,
        "finished_at": preview.finished_at,
        "seconds": round(preview.seconds),
        "base_number": preview.base.number,
    }


def _component(row: Mapping[str, Any], items: Sequence[PreviewItem]) -> dict[str, Any]:
    label, about = PARTS[row["name"]]
    share, margin = row["share"], row["margin"]
    return {
        "name": row["name"],
        "label": label,
        "about": about,
        "n": row["n"],
        "unscored": row["unscored"],
        "read": row["n"] + row["unscored"],
        "declined": row["declined"],
        "flips": row["flips"],
        "settled": _settled([item for item in items if row["name"] in item.components]) if share else None,
        "arms": [_arm(arm, share[arm]) for arm in ("after", "null")] if share else [],
        "is_apart": bool(share and share["is_apart"]),
        "margin": _margin(margin) if margin else None,
    }


def _apart(found: Mapping[str, Any] | None, items: Sequence[PreviewItem]) -> dict[str, Any] | None:
    """On how many requests two clauses pull apart, and which those are that change; None in previews of before that
    was measured, and where there were no two clauses."""
    if not found or not found["n"] + found["unscored"]:
        return None
    share, by_place = found["share"], {item.place: item for item in items}
    return {
        **{name: found[name] for name in ("n", "unscored", "why_weak")},
        "counts": found["apart"],
        "arms": [_arm(arm, share[arm]) for arm in ("after", "null")] if share else [],
        "is_apart": bool(share and share["is_apart"]),
        "moved": [{**row, "prompt": by_place[row["place"]].prompt} for row in found["moved"]],
    }


def _settled(items: Sequence[PreviewItem]) -> dict[str, int]:
    """Of requests whose right verdict is known and that were scored under every text: how many were answered wrongly
    and rightly before, and of these, how many turn right (`resolved`) and wrong (`broken`), by a rewording too."""
    verdicts = [[_is_right(item, arm) for arm in TEXT_LABELS] for item in items]
    known = [found for found in verdicts if None not in found]
    wrong = [found for found in known if not found[0]]
    right = [found for found in known if found[0]]
    return {
        "wrong": len(wrong),
        "right": len(right),
        "resolved": sum(bool(after) for _, after, _ in wrong),
        "resolved_null": sum(bool(null) for _, _, null in wrong),
        "broken": sum(not after for _, after, _ in right),
        "broken_null": sum(not null for _, _, null in right),
    }


def _is_right(item: PreviewItem, arm: str) -> bool | None:
    """Whether a request is answered as it should be; None where nobody knows that, or it went unscored."""
    verdict = item.arms[arm]["verdict"]
    wanted = {Label.HARMFUL.value: "refuses", Label.BENIGN.value: "complies"}.get(item.label)
    return None if wanted is None or verdict == "unscored" else bool(verdict == wanted)


def _arm(arm: str, change: Mapping[str, float]) -> dict[str, Any]:
    """A change of the share in percentage points, and where it is drawn: a scale from -100 to 100."""
    return {
        "arm": arm,
        "label": TEXT_LABELS[arm],
        **{name: 100 * change[name] for name in ("value", "low", "high")},
        **{f"x_{name}": 50 + 50 * change[name] for name in ("value", "low", "high")},
    }


def _margin(margin: Mapping[str, Any]) -> dict[str, Any]:
    return {"after": margin["after"], "null": margin["null"], "is_apart": margin["is_apart"], "n": margin["n"]}


def _is_flip(item: PreviewItem) -> bool:
    verdicts = {item.arms[arm]["verdict"] for arm in ("before", "after")}
    return verdicts == {"refuses", "complies"}


def _kind(item: PreviewItem) -> str:
    """Whether the flip is what should happen to such a request; "changed" where nobody knows."""
    right = _is_right(item, "after")
    return "changed" if right is None else "better" if right else "worse"


def _flip(item: PreviewItem) -> dict[str, Any]:
    return {
        "place": item.place,
        "prompt": item.prompt,
        "kind": _kind(item),
        "label": item.get_label_display(),
        "is_harmful": item.label != Label.BENIGN,
        "components": [PARTS[name][0] for name in item.components],
        "principle": item.principle,
        "texts": [_text(arm, item.arms[arm]) for arm in TEXT_LABELS],
    }


def _text(arm: str, heard: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "arm": arm,
        "label": TEXT_LABELS[arm],
        "does": WORDS[heard["verdict"]],
        "probability": heard["probability"],
        "margin": heard["margin"],
        "answer": heard["answer"],
    }


def _why_unscored(item: PreviewItem) -> str:
    return next((heard["reason"] for heard in item.arms.values() if heard["verdict"] == "unscored"), "")


def _unscored(item: PreviewItem) -> dict[str, Any]:
    return {"place": item.place, "prompt": item.prompt, "why": _why_unscored(item)}
