"""What two frozen plans differ in, in words. Pure: the JSON of two plans in, differences out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Plan = Mapping[str, Any]

NOTHING = "not set"
TOP = {"version": "Version of the constitution", "model": "Base model", "seed": "Seed", "device": "Device"}
GROUPS = {"train": "Training requests", "looks": "Requests of the looks", "held_out": "Held-out requests"}
SIZES = {
    "train": "requests of each label to train on",
    "ordinary": "ordinary requests to train on",
    "looks": "requests of each label to look at",
    "held_out": "requests of each label to measure with",
}
# Parts whose settings say by themselves what they are of.
UNSAID = ("Plan", "Requests")
TRAINING = "training"
STAGES = {
    "generate": "Answers without the constitution",
    "revise": "Answers under the constitution",
    "label": "Preferences",
    "sft": "SFT",
    "dpo": "DPO",
    "evaluate": "Evaluation",
    "looks": "Constitutional checkpoint",
    TRAINING: "SFT and DPO",
}
SETTINGS = {
    "attempts": "attempts at a revision",
    "batteries": "when answers are generated and judged as well",
    "batch_size": "rows in a batch",
    "beta": "beta, how firmly it stays with its reference",
    "epochs": "passes over the rows",
    "even": "as many pairs of harmful as of benign requests",
    "examples": "learns from decided examples",
    "full": "trains the linear maps themselves",
    "learning_rate": "learning rate",
    "lora alpha": "alpha of the adapter",
    "lora depth": "share of the layers that it adapts",
    "lora rank": "rank of the adapter",
    "low": "edge below which the round pauses, in nats",
    "max_length": "longest row, in tokens",
    "max_new_tokens": "longest answer, in tokens",
    "max_unscored": "most that may go unscored",
    "min_gap": "smallest gap between two answers of a pair",
    "opening_tokens": "tokens of an answer that it learns",
    "processes": "processes that train",
    "save_every": "steps between two saves",
    "sft_weight": "weight of the likelihood term",
    "steps": "steps at which it looks",
    "temperature": "temperature of later attempts",
    "warmup_steps": "steps of warm-up",
    "warn": "edge below which it warns, in nats",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs: in which part of the plan, and what it is in the older and in the newer one."""

    area: str
    what: str
    before: str
    after: str


def overridden(plan: Plan) -> list[Difference]:
    """What was set otherwise for this round alone: first what its preset says, then what holds."""
    return [
        Difference(*named(one["setting"]), *(_said(json.loads(one[side])) for side in ("preset", "chosen")))
        for one in plan.get("overrides", [])
    ]


def named(setting: str) -> tuple[str, str]:
    """The part of the plan that a setting belongs to, and its name in words."""
    area, _, name = setting.partition(".")
    if not name:
        return ("Plan", TOP[area]) if area in TOP else (STAGES[TRAINING], SETTINGS.get(area, area))
    if area == "sizes":
        return "Requests", SIZES.get(name, name)
    name = name.replace(".", " ")
    return STAGES.get(area, area), SETTINGS.get(name, name.replace("_", " "))


def spoken(area: str, what: str) -> str:
    """A setting by itself, out of a list of its part: “DPO learning rate”."""
    return what[:1].upper() + what[1:] if area in UNSAID else f"{area} {what}"


def differences(old: Plan, new: Plan) -> list[Difference]:
    """Everything in which the plans differ, and nothing else; texts of requests are counted, not shown."""
    return [*_top(old, new), *_clauses(old, new), *_groups(old, new), *_settings(old, new)]


def _top(old: Plan, new: Plan) -> Iterator[Difference]:
    for name, label in TOP.items():
        before, after = old.get(name), new.get(name)
        if before != after:
            yield Difference("Plan", label, _said(before, name), _said(after, name))


def _clauses(old: Plan, new: Plan) -> Iterator[Difference]:
    before, after = ({clause["principle"]: clause for clause in plan.get("clauses", [])} for plan in (old, new))
    for principle in sorted(before.keys() | after.keys()):
        was, now = before.get(principle), after.get(principle)
        if was != now:
            title = (now or was or {}).get("title", "")
            yield Difference("Clauses", f"{principle} {title}".strip(), *_clause(was, now))


def _clause(was: Plan | None, now: Plan | None) -> tuple[str, str]:
    if was is None or now is None:
        return ("there" if was else "not there"), ("there" if now else "not there")
    said: tuple[list[str], list[str]] = ([], [])
    if was["tier"] != now["tier"]:
        said[0].append(f"tier {was['tier']}")
        said[1].append(f"tier {now['tier']}")
    if was.get("examples") != now.get("examples"):
        counts = [len(clause.get("examples", [])) for clause in (was, now)]
        said[0].append(f"{counts[0]} decided examples")
        said[1].append(f"{counts[1]} decided examples" if counts[0] != counts[1] else "as many, but others")
    if (was["text"], was["title"]) != (now["text"], now["title"]):
        said[0].append("its old wording")
        said[1].append("another wording")
    return ", ".join(said[0]), ", ".join(said[1])


def _groups(old: Plan, new: Plan) -> Iterator[Difference]:
    for name, label in GROUPS.items():
        before, after = ({(row["prompt"], row["label"]) for row in plan.get(name, [])} for plan in (old, new))
        if before != after:
            shared = f"{len(before & after):,} of them in both"
            yield Difference("Requests", label, _counted(before), f"{_counted(after)}, {shared}")


def _counted(rows: set[tuple[str, str]]) -> str:
    harmful = sum(label == "harmful" for _, label in rows)
    return f"{harmful:,} harmful, {len(rows) - harmful:,} harmless"


def _settings(old: Plan, new: Plan) -> Iterator[Difference]:
    before, after = (dict(_flat(plan.get("stages", {}))) for plan in (old, new))
    for path in sorted(before.keys() | after.keys(), key=_in_order):
        if before.get(path) != after.get(path):
            stage, name = path
            what = SETTINGS.get(name, name.replace("_", " "))
            yield Difference(STAGES.get(stage, stage), what, _said(before.get(path)), _said(after.get(path)))


def _flat(stages: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    for stage, settings in stages.items():
        if not isinstance(settings, Mapping):  # of all stages together
            yield (TRAINING, stage), settings
            continue
        for name, value in settings.items():
            if isinstance(value, Mapping):
                yield from (((stage, f"{name} {inner}"), found) for inner, found in value.items())
            else:
                yield (stage, name), value


def _in_order(path: tuple[str, str]) -> tuple[int, str]:
    stage, name = path
    return (list(STAGES).index(stage) if stage in STAGES else len(STAGES), name)


def _said(value: Any, name: str = "") -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    text = str(value)
    return Path(text).name if name == "model" and Path(text).is_absolute() else text
