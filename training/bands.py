"""Bands that control rounds measured: files of numbered versions, and what a round is given of them when it starts.

A control round has the plan of a round and the data that it was trained on, and a seed of its own. It is trained by
the same stages in a folder of its own, looks as rounds do, and nothing pauses it.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

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
    if not files:
        return None
    try:
        return Band.from_json(read_json(files[-1]))
    except (BandError, ValueError, KeyError) as error:
        log.warning("band not used", file=files[-1].name, reason=str(error))
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


def measure(plan: Plan, *, source: Path, seeds: Sequence[int], tell: Tell) -> Band:
    """Train one control round for each seed and fit the band. What is done of an earlier attempt is not done again.

    `plan` names the folder of its model; `source` is the run directory of the round whose data they share, and where
    it has none yet, that is made first. Raises StageFailed and BandError.
    """
    base = _folder(plan) / f"controls-{bands.digest(plan.as_json())[:12]}"
    data = _data(plan, source, base)
    controls = []
    for number, seed in enumerate(seeds, 1):
        folder = base / str(seed)
        tell(f"control round {number} of {len(seeds)}, seed {seed}")
        _train(plan, folder, data, seed)
        controls.append(read(folder))
    reference = read_json(data / "generate" / "done.json")["reference"]
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


def _data(plan: Plan, source: Path, base: Path) -> Path:
    """The folder whose generated, revised and labelled rows the control rounds share."""
    if (source / DATA[-1] / "done.json").exists():
        return source
    own = base / "data"
    own.mkdir(parents=True, exist_ok=True)
    plan.write(own / "plan.json")
    if (source / "judge.json").exists():
        shutil.copy(source / "judge.json", own)
    for stage in DATA:
        _run(stage, own)
    return own


def _train(plan: Plan, folder: Path, data: Path, seed: int) -> None:
    if not (folder / TRAINED[-1] / "done.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        looks = dataclasses.replace(plan.stages.looks, warn=NEVER_WARN, low=NEVER_LOW)
        control = dataclasses.replace(plan, seed=seed, stages=dataclasses.replace(plan.stages, looks=looks))
        control.write(folder / "plan.json")
        for stage in DATA:
            shutil.copytree(data / stage, folder / stage, dirs_exist_ok=True)
        for stage in TRAINED:
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
