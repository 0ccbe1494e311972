"""Room on the disk: the weights of models that nobody promoted go, oldest first; their records stay."""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from config.live import publish as announce
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import Role, User
from training import artefacts, registry, runner
from training.models import Checkpoint
from training.promotion import wait_for_turn
from training.promotion_records import Removal

# What a round leaves that is large. Its plan, its answers and its log are small, and stay.
LARGE = ("sft/adapter", "sft/checkpoints", "dpo/adapter", "dpo/checkpoints")
PROCESS = "retention"


@dataclass(frozen=True, slots=True)
class Room:
    """What a model takes, in bytes, and why it stays; an empty reason: it can go."""

    checkpoint: Checkpoint
    size: int
    stays: str


def rooms(*, keep: int) -> list[Room]:
    """Every model whose weights are here or shared, newest first. Of those never promoted, the newest `keep` stay."""
    if keep < 1:
        raise Refused("Keep at least one: the newest model is never removed.")
    found, kept = [], 0
    for row in registry.registered().filter(removal=None):
        stays = "promoted" if any(row.promotions.all()) else ""
        if not stays and kept < keep:
            stays, kept = f"among the newest {keep}", kept + 1
        if registry.is_within_reach(row):
            found.append(Room(row, size_of(row), stays))
    return found


def size_of(checkpoint: Checkpoint) -> int:
    """Bytes of what its round left here and can go, links not followed; where there is nothing, in the store."""
    files = [file for folder in _folders(checkpoint) for file in folder.rglob("*")]
    here = sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())
    return here or sum(file["size"] for file in artefacts.of_model(checkpoint).values())


@transaction.atomic
def remove(*, room: Room, by: User | str = PROCESS) -> Removal:
    """Write down that the weights of a model go. The files go afterwards, in `sweep`: a kill between loses nothing.

    Raises Refused where it was promoted meanwhile, and NotAllowed where `by` is no operator.
    """
    if isinstance(by, User) and not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators remove the weights of models.")
    wait_for_turn()
    row = Checkpoint.objects.get(pk=room.checkpoint.pk)
    if row.promotions.exists():
        raise Refused(f"Somebody has just promoted {row}, so it stays.")
    made = Removal.objects.create(checkpoint=row, size=room.size, by=str(by))
    announce("models")
    detail = {"round": row.round_id, "digest": row.digest, "bytes": room.size}
    ledger.append(action="model files removed", by=by, subject=f"model:{row.pk}", detail=detail)
    return made


def sweep() -> list[Path]:
    """Remove from this machine, and from the store, what is written down as removed; returns the folders.

    Safe to repeat. Raises as `artefacts.remove_model` does.
    """
    gone = []
    for row in Checkpoint.objects.filter(removal__isnull=False).order_by("pk"):
        for folder in _folders(row):
            shutil.rmtree(folder)
            gone.append(folder)
        artefacts.remove_model(row, LARGE)
    return gone


def _folders(checkpoint: Checkpoint) -> Iterable[Path]:
    """The large folders of its round that are here. A link is no folder of ours."""
    root = runner.folder_of(checkpoint.round)
    return [folder for name in LARGE if (folder := root / name).is_dir() and not folder.is_symlink()]
