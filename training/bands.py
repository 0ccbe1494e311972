"""Bands that control rounds measured: files of numbered versions, and what a round is given of them when it starts.

A control round has the plan of a round and a seed of its own: it generates, revises and labels its own data, is trained
by the same stages in a folder of its own, looks as rounds do, and nothing pauses it.

The bands that lie beside the presets were measured for the founding constitution and the default model, so that the
first round of an installation is held against control rounds as well. One that is measured here comes before them.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction

from config import env
from config.embedded.identity import LAUNCH
from constitution import ledger
from training import registry
from training.artefacts import FileAltered
from training.errors import StageFailed
from training.recipes import band as bands
from training.recipes.band import Band, BandError, Reading
from training.recipes.files import read_json, write_json
from training.recipes.groups import items
from training.recipes.plan import Plan
from training.registry import FilesChanged, FilesGone

DATA = ("generate", "revise", "label")
TRAINED = ("sft", "dpo")
SHIPPED = Path(__file__).parent / "recipes" / "presets"
# What a control round leaves that is large; its looks stay.
LARGE = ("sft/adapter", "sft/checkpoints", "dpo/adapter", "dpo/checkpoints")
# So far down that a control round goes on wherever it stands.
NEVER_WARN, NEVER_LOW = -1e5, -1e6
ERROR_TAIL = 2000

Tell = Callable[[str], object]

log = structlog.get_logger(__name__)


def settings_of(plan: Plan) -> str:
    """The digest of how a plan trains: a band holds for rounds that train alike, whatever their version."""
    stages = plan.stages
    return bands.digest(
        {"band": bands.VERSION, **{name: dataclasses.asdict(getattr(stages, name)) for name in TRAINED}}
    )


def newest(plan: Plan) -> Band | None:
    """The band measured last for rounds that train as this plan does; None where there is none that can be read."""
    files = sorted(_folder(plan).glob("*.json"))
    return _read(files[-1]) if files else _shipped(plan)


def _shipped(plan: Plan) -> Band | None:
    """The band beside the presets for rounds that train as this plan does."""
    found = (_read(file) for file in sorted(SHIPPED.glob("*.band.json")))
    return next((band for band in found if band and band.settings == settings_of(plan)), None)


def _read(file: Path) -> Band | None:
    try:
        return Band.from_json(read_json(file))
    except (BandError, ValueError, KeyError) as error:
        log.warning("band not used", file=file.name, reason=str(error))
        return None


def give(folder: Path, plan: Plan) -> None:
    """Put into the folder of a round that starts what its looks are held against. A round keeps this to its end."""
    if not (folder / "band.json").exists() and (band := newest(plan)):
        write_json(folder / "band.json", band.as_json())
    if other := last_promoted():
        write_json(folder / "others.json", {"models": [other]})


def last_promoted() -> dict[str, object] | None:
    """The model in use, for looks to be compared with; None where there is none or its weights are not what they were.
    They are fetched where machines share files.

    A round starts from the released reference itself, so its base needs no row of its own. Raises StoreUnreachable.
    """
    promotion = registry.in_use()
    if promotion is None:
        return None
    row = promotion.checkpoint
    try:
        weights = registry.check_intact(row)
    except (FilesGone, FilesChanged, FileAltered) as refused:
        log.warning("not compared with the last promoted", checkpoint=row.pk, reason=str(refused))
        return None
    return {"name": "last promoted", "round": row.round_id, "adapter": str(weights), "base": row.base_digest}


def measure(plan: Plan, *, judge: Mapping[str, Any], seeds: Sequence[int], tell: Tell) -> Band:
    """Train one control round for each seed and fit the band. What is done of an earlier attempt is not done again.

    `plan` names the folder of its model; `judge` is the choice of the judge that labels. Raises StageFailed and
    BandError.
    """
    base = _folder(plan) / f"controls-{bands.digest([plan.as_json(), dict(judge)])[:12]}"
    controls = []
    for number, seed in enumerate(seeds, 1):
        tell(f"control round {number} of {len(seeds)}, seed {seed}")
        _train(plan, base / str(seed), judge, seed)
        controls.append(read(base / str(seed)))
    reference = read_json(base / str(seeds[0]) / DATA[0] / "done.json")["reference"]
    return bands.fit(controls, settings=settings_of(plan), reference=reference, seeds=seeds, items=items(plan))


def read(folder: Path) -> list[Reading]:
    """The looks of a control round."""
    return [
        Reading(
            stage=look["stage"],
            step=look["step"],
            values={_key(name): value for name, value in look["values"].items() if value is not None},
        )
        for look in read_json(folder / "looks.json")["looks"]
    ]


@transaction.atomic
def store(plan: Plan, band: Band) -> Path:
    """Keep a band as the next version for rounds that train as this plan does; it counts for those that start then."""
    folder = _folder(plan)
    number = max((int(file.stem) for file in folder.glob("*.json")), default=0) + 1
    file = folder / f"{number:04}.json"
    content = band.as_json()
    write_json(file, content)
    detail = {"settings": band.settings, "seeds": list(band.seeds), "groups": len(band.points), "number": number}
    ledger.append(action="band measured", by="measure_band", subject=f"band:{content['digest']}", detail=detail)
    return file


def _folder(plan: Plan) -> Path:
    return Path(settings.VAR) / "bands" / settings_of(plan)[:16]


def _key(name: str) -> tuple[str, str]:
    measure_, _, group = name.partition("/")
    return measure_, group


def _train(plan: Plan, folder: Path, judge: Mapping[str, Any], seed: int) -> None:
    if not (folder / TRAINED[-1] / "done.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        looks = dataclasses.replace(plan.stages.looks, warn=NEVER_WARN, low=NEVER_LOW)
        control = dataclasses.replace(plan, seed=seed, stages=dataclasses.replace(plan.stages, looks=looks))
        control.write(folder / "plan.json")
        write_json(folder / "judge.json", judge)
        for stage in (*DATA, *TRAINED):
            if not (folder / stage / "done.json").exists():
                _run(stage, folder)
    for name in LARGE:  # also after a kill that came before this
        shutil.rmtree(folder / name, ignore_errors=True)


def _run(stage: str, folder: Path) -> None:
    """One stage as a process that dies with this one. Raises StageFailed with its last words."""
    done = subprocess.run(
        [*LAUNCH, f"with-parent={os.getpid()}", "--", sys.executable, "-m", f"training.recipes.{stage}", str(folder)],
        cwd=env.BASE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace")[-ERROR_TAIL:]
        raise StageFailed(f"The stage {stage} of a control round ended with status {done.returncode}. {said}".strip())
