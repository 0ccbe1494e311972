"""What the page of a round shows: values from rows, nothing else."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from constitution.digests import digest
from constitution.models import LedgerEntry, User
from training import judging, policies, rolling_back, runner
from training.models import Arm, Evaluation, Round
from training.plan_changes import overridden, spoken
from training.recipes.plan import STAGES
from training.states import DONE, FAILED, MOVING, PAUSED
from training.views import battery, corrected, realised, scheduling, standing, words

ARM_LABELS = dict(Arm.choices)
LOOK_GROUPS = ("harmful", "benign")


def context(round_: Round, viewer: User) -> dict[str, Any]:
    """Everything on the page but what a form brought along."""
    evaluations = list(round_.evaluations.all())
    return {
        "round": _round(round_),
        "stages": [_stage(round_, name) for name in STAGES],
        "refusals": {
            "resume": policies.refusal(policies.check_can_resume, round_, viewer),
            "roll_back": policies.refusal(policies.check_can_roll_back, round_, viewer),
            "abort": policies.refusal(policies.check_can_abort, round_, viewer),
            "retry": policies.refusal(policies.check_can_retry, round_, viewer),
        },
        "curves": curves(round_),
        "held_against": _held_against(round_),
        "pause": _pause(round_) if round_.state == PAUSED else None,
        "result": _result(round_, evaluations) if round_.state == DONE else None,
        "responses": list(round_.transcripts.order_by("pk").values()),
        "data_card": [_data_card(card) for card in round_.data_card],
        "data_rows": [row for card in round_.data_card for row in _data_rows(card)],
        "log": log(round_),
        "realised": realised.of_round(round_),
    }


def log(round_: Round, after: int = 0) -> dict[str, Any]:
    """What the log says behind `after` bytes, and where to go on from."""
    text, end = runner.log_of(round_, after)
    return {"text": text, "end": end}


def curves(round_: Round) -> list[dict[str, Any]]:
    """The training loss of both stages, and the refusal margin against the reference at each look."""
    return [
        {
            "name": "loss",
            "title": "Training loss",
            "unit": "nats per token for SFT, nats per pair for DPO",
            "help": "How surprised the model is by its training data. It should fall and then flatten.",
            "series": _losses(round_),
        },
        {
            "name": "margin",
            "title": "Constitutional checkpoint",
            "unit": "nats against the reference",
            "help": "How much more the model leans to declining than the frozen reference. "
            "Where it leaves its band, the round pauses itself.",
            "series": _margins(round_),
        },
    ]


def outcome(evaluations: Sequence[Evaluation]) -> str:
    """What changed, as a sentence; rates that too many unscored answers leave open are said to be so."""
    if not evaluations:
        return ""
    parts = []
    for measure, label in words.MEASURE_LABELS.items():
        arms = _arms(evaluations, measure)
        if len(arms) == len(Arm):
            before, after = arms[Arm.REFERENCE], arms[Arm.TRAINED]
            parts.append(f"{label}: {before.k} of {before.n} before, {after.k} of {after.n} after.")
    if unsure := sorted({row.measure for row in evaluations if not row.can_certify}):
        names = " and ".join(words.MEASURE_LABELS.get(name, name).lower() for name in unsure)
        parts.append(f"Not certified ({names}): more than 5 % of the answers could not be scored.")
    return " ".join(parts)


def before_and_after(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """The rates of both models in percent, for the list of rounds. Only those that can be certified."""
    found = []
    for measure, label in words.MEASURE_LABELS.items():
        arms = _arms(evaluations, measure)
        if len(arms) == len(Arm) and all(row.can_certify for row in arms.values()):
            before, after = arms[Arm.REFERENCE], arms[Arm.TRAINED]
            found.append({"label": label, "before": _rate(before), "after": _rate(after), "n": after.n})
    return found


def _round(round_: Round) -> dict[str, Any]:
    state, label = words.STATES[round_.state]
    return {
        "pk": round_.pk,
        "version_number": round_.version.number,
        "version_digest": round_.version.digest,
        "state": state,
        "state_label": label,
        "is_live": round_.state in MOVING,
        "sentence": scheduling.sentence(round_),
        "seed": round_.seed,
        "model": _model_name(round_.plan["model"]),
        "device": round_.result["device"] if round_.result else round_.plan["device"],
        "attempt": round_.attempt,
        "created_at": round_.created_at,
        "started_at": round_.started_at,
        "finished_at": round_.finished_at,
        "worker": round_.lease_owner,
        "plan_digest": digest(round_.plan),
        "preset": round_.plan.get("preset", ""),
        "trained_as": words.trained_as(round_.plan.get("preset"), round_.plan.get("overrides")),
        "overridden": [
            f"{spoken(found.area, found.what)}: {found.after} instead of {found.before}"
            for found in overridden(round_.plan)
        ],
        "begun": _begun(round_),
        "rolled_back": words.rolled_back(round_.pause),
        "earlier": _earlier(round_),
    }


def _earlier(round_: Round) -> int | None:
    """The round to lay beside this one: the newest before it that finished, so that there is something to compare."""
    finished = Round.objects.filter(pk__lt=round_.pk, state=DONE)
    return finished.order_by("-pk").values_list("pk", flat=True).first()


def _begun(round_: Round) -> dict[str, str] | None:
    """Who began it by hand, and why; None of a round that began by itself."""
    said = LedgerEntry.objects.filter(subject=f"round:{round_.pk}", action="round opened", actor__isnull=False)
    entry = said.order_by("number").first()
    return {"by": entry.actor_name, "note": entry.detail.get("note", "")} if entry else None


def _model_name(model: str) -> str:
    """A hub id as it is, a folder by its last part."""
    return Path(model).name if Path(model).is_absolute() else model


def _stage(round_: Round, name: str) -> dict[str, Any]:
    reached = STAGES.index(round_.stage) if round_.stage else -1
    place = STAGES.index(name)
    state = "waiting"
    if place < reached or round_.state == DONE:
        state = "done"
    elif place == reached:
        state = {PAUSED: "paused", FAILED: "failed"}.get(round_.state, "active")
    is_here = place == reached and state != "done"
    seconds = _seconds(round_).get(name)
    return {
        "name": name,
        "label": words.STAGE_LABELS[name],
        "state": state,
        "step": round_.step if is_here else None,
        "total": round_.total if is_here and round_.total else None,
        "detail": f"{round_.step:,} of {round_.total:,}" if is_here and round_.total else "",
        "seconds": None if seconds is None else round(seconds),
    }


def _seconds(round_: Round) -> dict[str, float]:
    """How long each stage took. A round of an older release kept that of the stages that make data alone."""
    known = {card["stage"]: card["seconds"] for card in round_.data_card}
    return {**known, **(round_.result or {}).get("seconds", {})}


def _losses(round_: Round) -> list[dict[str, Any]]:
    points: dict[str, list[dict[str, Any]]] = {}
    for row in round_.points.filter(series="loss").order_by("stage", "step"):
        points.setdefault(row.stage, []).append(_point(row.step, row.value))
    return [{"label": name.upper(), "points": points[name]} for name in STAGES if name in points]


def _margins(round_: Round) -> list[dict[str, Any]]:
    points: dict[str, list[dict[str, Any]]] = {}
    for row in round_.looks.filter(measure="refusal_margin").order_by("step"):
        points.setdefault(row.group, []).append(_point(row.step, row.value, row.low, row.high, row.state))
    return [{"label": group, "points": points[group]} for group in LOOK_GROUPS if group in points]


def _point(
    step: int, value: float, low: float | None = None, high: float | None = None, state: str = ""
) -> dict[str, Any]:
    return {"step": step, "value": value, "low": low, "high": high, "state": state}


def _pause(round_: Round) -> dict[str, Any]:
    pause = round_.pause or {}
    return {
        "reason": pause["reason"],
        "stage_label": words.STAGE_LABELS[pause["stage"]],
        "step": pause["step"],
        "at": round_.paused_at,
        "evidence": pause["evidence"],
        "steps": rolling_back.steps(round_),
        "battery": battery.paused(pause),
    }


def _held_against(round_: Round) -> str:
    """What the looks were held against: control rounds, or a fixed band; empty where nothing was looked at yet."""
    looks = round_.looks.filter(step__gt=0)
    if looks.filter(detail__has_key="band").exists():
        return "controls"
    return "fixed" if looks.exists() else ""


def _result(round_: Round, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    judge = evaluations[0].judge
    return {
        "sentence": outcome(evaluations),
        "model_pk": round_.checkpoint.pk if hasattr(round_, "checkpoint") else None,
        "judge": judge,
        "judge_is_advisory": not judging.may_gate(judge),
        "seed": round_.seed,
        "measures": measures(evaluations),
        "standing": standing.against_three(round_, evaluations),
        "corrected": corrected.context(evaluations),
    }


def measures(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Each measure with its rates before and after, in percent, as includes/intervals.html takes it."""
    return [
        {"label": label, "direction": "lower is better", "arms": [arm(row) for row in arms.values()]}
        for measure, label in words.MEASURE_LABELS.items()
        if (arms := _arms(evaluations, measure))
    ]


def _arms(evaluations: Iterable[Evaluation], measure: str) -> dict[str, Evaluation]:
    """The rows of a measure by arm, the reference first."""
    return {row.arm: row for row in sorted(evaluations, key=lambda row: row.arm) if row.measure == measure}


def arm(row: Evaluation) -> dict[str, Any]:
    """One rate in percent, as includes/intervals.html and training/rates_table.html take it."""
    return {
        "arm": row.arm,
        "label": ARM_LABELS[Arm(row.arm)],
        "k": row.k,
        "n": row.n,
        "unscored": row.unscored,
        "rate": _rate(row),
        "low": 100 * row.low,
        "high": 100 * row.high,
    }


def _rate(row: Evaluation) -> float:
    return 100 * row.k / row.n


def _data_card(card: dict[str, Any]) -> dict[str, Any]:
    repeated = sum(row.get("repeated", 0) for row in card.get("rows", []))
    return {"label": words.STAGE_LABELS[card["stage"]], "kept": card["kept"], "repeated": repeated, **_dropped(card)}


def _data_rows(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a stage by principle, label and source; none where a round ended before they were counted."""
    stage = words.STAGE_LABELS[card["stage"]]
    return [{"repeated": 0, **row, "stage": stage, **_dropped(row)} for row in card.get("rows", [])]


def _dropped(row: dict[str, Any]) -> dict[str, Any]:
    reasons = [{"reason": reason, "count": count} for reason, count in sorted(row["dropped"].items())]
    return {"dropped": sum(reason["count"] for reason in reasons), "reasons": reasons}
