"""The settings of a round: what the file of a preset says, and what somebody sets otherwise. Both are checked alike.

A setting is named as in the file: `dpo.learning_rate`, `sft.lora.rank`, `sizes.train`; and there is the `seed`.
"""

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from training.recipes.plan import PRESETS, Override, PlanError, Stages, build, check, check_seed

PRESET_FILES = Path(__file__).with_name("presets")
# Of a preset's file as a whole, beside the stages.
TOP = ("seed", "sizes")
MOST_REQUESTS = 1_000_000

Changes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The most prompts of each label that a round trains on, watches and measures with, and of ordinary requests."""

    train: int
    ordinary: int
    looks: int
    held_out: int

    def __post_init__(self) -> None:
        for name, least in {"train": 1, "ordinary": 0, "looks": 1, "held_out": 1}.items():
            wanted = f"A round takes {least} to {MOST_REQUESTS:,} requests here ({name})."
            check(least <= getattr(self, name) <= MOST_REQUESTS, wanted)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a person may choose about how a round is trained."""

    seed: int
    sizes: Sizes
    stages: Stages

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def by_name(self) -> dict[str, Any]:
        """Each setting by its name."""
        return dict(_flat(dataclasses.asdict(self)))


def read(name: str, *, seed: int = 0, changes: Changes | None = None) -> Settings:
    """The settings in the file of the preset `name`, but for `changes`, by the names of settings.

    What the file does not set is as in the classes. Raises PlanError for what no file of a preset may say either.
    """
    content: dict[str, Any] = {"seed": seed, **_file(name)}
    for setting, value in (changes or {}).items():
        content = _changed(content, _path(setting), value)
    return typing.cast("Settings", build(Settings, content, name))


def preset(name: str) -> Stages:
    """The settings of all stages in the file of that name."""
    return read(name).stages


def overrides(own: Settings, chosen: Settings) -> tuple[Override, ...]:
    """In which settings those that were `chosen` differ from a preset's `own`."""
    before, after = own.by_name(), chosen.by_name()
    return tuple(
        Override(setting, json.dumps(before[setting]), json.dumps(value))
        for setting, value in after.items()
        if value != before[setting]
    )


def problems(name: str, changes: Changes) -> dict[str, str]:
    """What is wrong with a preset and changes to it, in a sentence: by setting, under `preset`, and under "" what is
    wrong with settings only together. Empty where nothing is.
    """
    if unknown := _problem(name, {}):
        return {"preset": unknown}
    together = _problem(name, changes)
    alone = {setting: _problem(name, {setting: value}) for setting, value in changes.items()} if together else {}
    return {setting: problem for setting, problem in alone.items() if problem} or ({"": together} if together else {})


def _problem(name: str, changes: Changes) -> str:
    try:
        read(name, changes=changes)
    except PlanError as error:
        said = str(error)
        for setting in changes:
            said = said.removeprefix(f"{'.'.join([name, *_path(setting)])} ")
        return said[:1].upper() + said[1:]
    return ""


def _file(name: str) -> dict[str, Any]:
    check(name in PRESETS, f"There is no preset {name!r}; the presets are {', '.join(PRESETS)}.")
    content = yaml.safe_load((PRESET_FILES / f"{name}.yaml").read_text(encoding="utf-8"))
    check(isinstance(content, dict) and set(content) == {"sizes", "stages"}, f"{name}.yaml needs sizes and stages.")
    return dict(content)


def _path(setting: str) -> list[str]:
    parts = setting.split(".")
    return parts if parts[0] in TOP else ["stages", *parts]


def _changed(content: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """`content` with `value` at that place."""
    first, *rest = path
    inner = content.get(first, {})
    check(not rest or isinstance(inner, Mapping), f"There is no setting {'.'.join(path)}.")
    return {**content, first: _changed(inner, rest, value) if rest else value}


def _flat(content: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        where = f"{place}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, "" if where == "stages" else f"{where}.")
        else:
            yield where, value
