"""Room on the disk: of what rounds that are over left, all that is large and nobody needs goes; every record stays."""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from config.live import publish as announce
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import Role, User
from training import artefacts, registry, runner
from training import room as machine
from training.models import Checkpoint, Round
from training.promotion import wait_for_turn
from training.promotion_records import Clearance, Removal
from training.scheduling_records import DiskUse
from training.states import ABORTED, DONE

# What a round leaves that is large. Its plan, its answers and its log are small, and stay.
STAGES = sorted(runner.TRAINED)
WEIGHTS = tuple(f"{stage}/{name}" for stage in STAGES for name in ("adapter", ".adapter.partial"))
SAVED = tuple(f"{stage}/{runner.SAVED}" for stage in STAGES)
PROCESS = "retention"
# A worker whose round was aborted ends its stage within this time; until then its files are left alone.
LEAVING = timedelta(minutes=1)
# So many stay where the settings name no number.
USUAL_KEEP = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Room:
    """What a model takes, in bytes, and why it stays; an empty reason: it can go."""

    checkpoint: Checkpoint
    size: int
    stays: str


@dataclass(frozen=True, slots=True)
class Left:
    """What a round that is over left and nobody needs, in bytes: of an aborted one the weights, too, of a finished one
    what training saved on the way.
    """

    round: Round
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to prune, and what stays."""

    rooms: Sequence[Room]
    left: Sequence[Left]

    @property
    def size(self) -> int:
        """Bytes that pruning frees."""
        return sum(room.size for room in self.rooms if not room.stays) + sum(one.size for one in self.left)


def find(*, keep: int) -> Found:
    """What `prune` would remove, on this machine and in the store. Raises Refused where no model would stay."""
    return Found(rooms(keep=keep), leftovers())


def prune(found: Found, *, by: User | str = PROCESS) -> None:
    """Write down what goes, and remove it. Killed half-way, it is done by the next call.

    Raises as `remove` does, and StoreUnreachable and OSError.
    """
    for room in found.rooms:
        if not room.stays:
            remove(room=room, by=by)
    for one in found.left:
        if one.round.state == ABORTED:
            clear(left=one, by=by)
    sweep()


def keep_house() -> None:
    """Prune as KEEP_MODELS says, and write down what rounds take here. What hinders is told to the log: nothing waits
    for this, and it is tried again.
    """
    try:
        if settings.KEEP_MODELS:
            prune(find(keep=settings.KEEP_MODELS))
        measure()
    except (OSError, Refused) as error:
        log.warning("not pruned", host=machine.host(), reason=str(error))


def measure() -> DiskUse:
    """Write down what the files of rounds take on this machine, in bytes."""
    keep = settings.KEEP_MODELS or USUAL_KEEP
    found = find(keep=keep)
    models = [(room.stays, size_here(room.checkpoint.round, WEIGHTS)) for room in found.rooms]
    aborted = [one.round for one in found.left if one.round.state == ABORTED]
    saved = sum(one.size for one in found.left if one.round.state == DONE)
    sizes = {
        "kept": sum(size for stays, size in models if stays),
        "could_go": sum(size for stays, size in models if not stays) + saved,
        "aborted": sum(size_here(round_, (*WEIGHTS, *SAVED)) for round_ in aborted),
    }
    folder = Path(settings.VAR) / "rounds"
    other = max(0, size_below(folder) - sum(sizes.values()))
    values = {**sizes, "other": other, "free": machine.free_disk(), "keep": keep}
    made, _ = DiskUse.objects.update_or_create(host=machine.host(), defaults=values)
    announce("models")
    return made


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
            found.append(Room(row, size_of(row.round, WEIGHTS), stays))
    return found


def leftovers() -> list[Left]:
    """What aborted and finished rounds left that is still here or in the store, newest first. What failed can be tried
    again, so nothing of it is in this list.
    """
    aborted = Round.objects.filter(state=ABORTED, clearance=None, finished_at__lt=timezone.now() - LEAVING)
    found = [Left(row, size_of(row, (*WEIGHTS, *SAVED))) for row in _newest_first(aborted)]
    found += [Left(row, size_here(row, SAVED)) for row in _newest_first(Round.objects.filter(state=DONE))]
    return [one for one in found if one.size]


def size_of(round_: Round, names: Sequence[str]) -> int:
    """Bytes of these folders of a round here; where there is nothing, in the store."""
    return size_here(round_, names) or sum(file["size"] for file in artefacts.weights_of(round_, names).values())


def size_here(round_: Round, names: Sequence[str]) -> int:
    """Bytes of these folders of a round on this machine, links not followed."""
    return sum(size_below(folder) for folder in _folders(round_, names))


def size_below(folder: Path) -> int:
    """Bytes of all files in a folder, links not followed. What goes meanwhile does not count."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(place, name).lstat().st_size
    return size


@transaction.atomic
def remove(*, room: Room, by: User | str = PROCESS) -> Removal:
    """Write down that the weights of a model go. The files go afterwards, in `sweep`: a kill between loses nothing.

    Raises Refused where it was promoted meanwhile, and NotAllowed where `by` is no operator.
    """
    _check_operator(by)
    wait_for_turn()
    row = Checkpoint.objects.get(pk=room.checkpoint.pk)
    if row.promotions.exists():
        raise Refused(f"Somebody has just promoted {row}, so it stays.")
    made, is_new = Removal.objects.get_or_create(checkpoint=row, defaults={"size": room.size, "by": str(by)})
    if is_new:
        announce("models")
        detail = {"round": row.round_id, "digest": row.digest, "bytes": room.size}
        ledger.append(action="model files removed", by=by, subject=f"model:{row.pk}", detail=detail)
    return made


@transaction.atomic
def clear(*, left: Left, by: User | str = PROCESS) -> Clearance:
    """Write down that what is large of an aborted round goes; the files go afterwards, in `sweep`.

    Raises NotAllowed where `by` is no operator.
    """
    _check_operator(by)
    row = Round.objects.select_for_update().get(pk=left.round.pk)
    made, is_new = Clearance.objects.get_or_create(round=row, defaults={"size": left.size, "by": str(by)})
    if is_new:
        ledger.append(action="round files removed", by=by, subject=f"round:{row.pk}", detail={"bytes": left.size})
    return made


def sweep() -> list[Path]:
    """Remove from this machine, and from the store, what is written down as removed, and here what finished rounds
    saved on the way; returns the folders.

    Safe to repeat. Raises as `artefacts.remove_weights` does.
    """
    gone: list[Path] = []
    written = Round.objects.filter(Q(checkpoint__removal__isnull=False) | Q(clearance__isnull=False))
    for row in _newest_first(written):
        gone += _drop(row, (*WEIGHTS, *SAVED))
        artefacts.remove_weights(row, WEIGHTS)
    for row in _newest_first(Round.objects.filter(state=DONE)):
        gone += _drop(row, SAVED)
    return gone


def _check_operator(by: User | str) -> None:
    if isinstance(by, User) and not by.has_role(Role.OPERATOR):
        raise NotAllowed("Only operators remove the files of rounds.")


def _newest_first(rows: QuerySet[Round]) -> QuerySet[Round]:
    return rows.defer("plan", "data_card", "result").order_by("-pk")


def _drop(round_: Round, names: Sequence[str]) -> list[Path]:
    folders = list(_folders(round_, names))
    for folder in folders:
        with suppress(FileNotFoundError):  # somebody else prunes, too
            shutil.rmtree(folder)
    return folders


def _folders(round_: Round, names: Sequence[str]) -> Iterable[Path]:
    """Those of these folders of a round that are here. A link is no folder of ours."""
    root = runner.folder_of(round_)
    return [folder for name in names if (folder := root / name).is_dir() and not folder.is_symlink()]
