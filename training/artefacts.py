"""The files of rounds that several machines share: in a store that `ARTEFACTS_URL` names, each under its digest.

Which file of a round is where stands in the database, written by whoever holds the round's lease, so what a machine
fetches is what the last holder left, byte for byte, or it is refused. Only weights as safetensors, and text: what
training saves on the way, whose loading could run code, stays on the machine that made it. Without a store every file
stays where it was made.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import Any
from uuid import uuid4

from django.conf import settings

from constitution.errors import Refused
from training import leases
from training.artefact_records import SharedFiles
from training.models import Checkpoint, Round
from training.recipes.files import read_json, write_json
from training.recipes.plan import STAGES

WEIGHTS = ".safetensors"
SUFFIXES = frozenset({WEIGHTS, ".json", ".jsonl"})
# What differs between machines, or is of use on the one alone.
NOT_SHARED = frozenset({"plan.json", "others.json", "attempt.json"})
PROGRESS, ATTEMPT, LOG = "progress.jsonl", "attempt.json", "log.txt"
BLOCK = 1 << 20

# By path within the run directory: {"digest", "size"}.
Files = Mapping[str, Mapping[str, Any]]


class StoreUnreachable(Refused):
    """The store does not answer, or refuses us; nothing is wrong with the work."""


class FileAltered(Refused):
    """What the store holds is not what was put there, or is not there any more."""


@dataclass(frozen=True, slots=True)
class Store:
    """A file system of fsspec and a folder in it. Files are never changed: each is named by its SHA-256."""

    system: Any
    root: str

    def put(self, digest: str, source: Path | bytes) -> None:
        """Put a file there, unless it is there."""
        target = self._place(digest)
        if self.system.exists(target) and self.system.size(target) == _size(source):
            return
        self.system.makedirs(target.rpartition("/")[0], exist_ok=True)
        # Where a file can be half-written, it gets its name when it is whole; object stores only take whole ones.
        first = f"{target}.{uuid4().hex}" if "file" in self.system.protocol else target
        if isinstance(source, bytes):
            self.system.pipe_file(first, source)
        else:
            self.system.put_file(str(source), first)
        if first != target:
            self.system.mv(first, target)

    def get(self, digest: str, target: Path) -> None:
        """Write a file to `target`. Raises FileAltered, with nothing written, where its bytes are others."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial, found = target.with_name(f".{target.name}.{uuid4().hex}.partial"), hashlib.sha256()
        try:
            with self.system.open(self._place(digest), "rb") as source, partial.open("wb") as handle:
                while block := source.read(BLOCK):
                    found.update(block)
                    handle.write(block)
            if found.hexdigest() != digest:
                raise FileAltered(_altered(target, digest, "is not what was put there"))
            partial.replace(target)
        except FileNotFoundError as error:
            raise FileAltered(_altered(target, digest, "is not there any more")) from error
        finally:
            partial.unlink(missing_ok=True)

    def remove(self, digest: str) -> None:
        """Remove a file, where it is there."""
        if self.system.exists(self._place(digest)):
            self.system.rm_file(self._place(digest))

    def _place(self, digest: str) -> str:
        return f"{self.root}/{digest[:2]}/{digest}"


def is_shared() -> bool:
    """Whether machines share the files of rounds."""
    return bool(settings.ARTEFACTS_URL)


@contextmanager
def opened() -> Iterator[Store]:
    """The store. Raises StoreUnreachable for whatever goes wrong with it inside, with what to look at."""
    try:
        import fsspec

        system, root = fsspec.core.url_to_fs(settings.ARTEFACTS_URL)
        yield Store(system, root.rstrip("/"))
    except Refused:
        raise
    except ImportError as error:
        raise StoreUnreachable(
            f"ARTEFACTS_URL names a kind of store that this machine has no library for: {error}"
        ) from error
    except Exception as error:  # each kind of store has its own errors
        raise StoreUnreachable(f"The store of ARTEFACTS_URL cannot be used: {type(error).__name__}: {error}") from error


def take_over(round_: Round, folder: Path) -> None:
    """Make the run directory of a claimed round what its last holder left in the store, unless that was this machine,
    which has more. Raises StoreUnreachable, FileAltered and LeaseLost.
    """
    if not is_shared():
        return
    last = SharedFiles.objects.filter(round=round_).first()
    is_fetched = last is not None and _attempt_of(folder) != last.attempt
    if last is not None and is_fetched:
        _replace(folder, last.files)
    with leases.fenced(round_) as row:
        SharedFiles.objects.update_or_create(round=row, defaults={"attempt": round_.attempt})
        if is_fetched:
            # What the lost rest of the file told is told again, into the same rows.
            row.progress_offset = round_.progress_offset = _size(folder / PROGRESS)
            row.save(update_fields=["progress_offset"])
    write_json(folder / ATTEMPT, {"attempt": round_.attempt})


def share(round_: Round, folder: Path) -> None:
    """Put what the stages have left so far into the store, and write down what it is. Called while no stage trains.

    Raises StoreUnreachable and LeaseLost.
    """
    if not is_shared():
        return
    known: Files = SharedFiles.objects.get(round=round_).files
    found = {}
    with opened() as store:
        for name in _to_share(folder):
            source: Path | bytes = folder / name
            if not name.endswith(WEIGHTS):
                content = (folder / name).read_bytes()
                # A line that is being written is for the next time.
                source = content[: content.rfind(b"\n") + 1] if name == PROGRESS else content
            digest = _digest(source)
            found[name] = {"digest": digest, "size": _size(source)}
            if found[name] != known.get(name):
                store.put(digest, source)
    with leases.fenced(round_) as row:
        SharedFiles.objects.filter(round=row).update(files=found)


def of_model(checkpoint: Checkpoint) -> Files:
    """What the store has of a model, by name within its folder; empty where it has nothing."""
    row = SharedFiles.objects.filter(round=checkpoint.round_id).first() if is_shared() else None
    start = f"{PurePosixPath(*PurePosixPath(checkpoint.path).parts[2:])}/"  # below rounds/NUMBER
    files = row.files if row else {}
    found = {name.removeprefix(start): file for name, file in files.items() if name.startswith(start)}
    return found if any(name.endswith(WEIGHTS) for name in found) else {}


def fetch_model(checkpoint: Checkpoint, folder: Path) -> bool:
    """Fetch a model into `folder`, whole or not at all; False where the store has nothing of it.

    Raises StoreUnreachable and FileAltered.
    """
    files = of_model(checkpoint)
    if files:
        _fetch(files, folder)
    return bool(files)


def weights_of(round_: Round, names: Sequence[str]) -> Files:
    """The weights that the store has in these folders of a round."""
    row = SharedFiles.objects.filter(round=round_).first() if is_shared() else None
    files = row.files if row else {}
    return {name: file for name, file in files.items() if name.endswith(WEIGHTS) and name.rpartition("/")[0] in names}


def remove_weights(round_: Round, names: Sequence[str]) -> None:
    """Remove the weights in these folders of a round that is over from the store, but for what another has as well.

    Raises StoreUnreachable.
    """
    going = weights_of(round_, names)
    if not going:
        return
    row = SharedFiles.objects.get(round=round_)
    others = SharedFiles.objects.exclude(pk=row.pk).order_by("pk").values_list("files", flat=True)
    kept = {file["digest"] for files in others for file in files.values()}
    with opened() as store:
        for digest in {file["digest"] for file in going.values()} - kept:
            store.remove(digest)
    SharedFiles.objects.filter(pk=row.pk).update(files={n: file for n, file in row.files.items() if n not in going})


def _to_share(folder: Path) -> Iterator[str]:
    """Names of the files of a run directory that another machine needs to go on from the last complete step."""
    places = [folder, *(folder / stage for stage in STAGES)]
    places += [folder / stage / name for stage in STAGES for name in ("parts", "adapter")]
    for place in places:
        for file in sorted(place.glob("*")):
            is_ours = file.suffix in SUFFIXES and not file.name.startswith(".") and file.name not in NOT_SHARED
            if is_ours and file.is_file() and not file.is_symlink():
                yield file.relative_to(folder).as_posix()


def _replace(folder: Path, files: Files) -> None:
    """Put what is in the store in the place of the run directory, of which its log alone is kept."""
    log = (folder / LOG).read_bytes() if (folder / LOG).exists() else b""
    _fetch(files, folder)
    (folder / LOG).write_bytes(log)


def _fetch(files: Files, folder: Path) -> None:
    """Make `folder` of these files alone. A kill leaves the old one, or none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fetched = Path(mkdtemp(prefix=".fetching-", dir=folder.parent))
    try:
        with opened() as store:
            for name, file in files.items():
                _check_name(name)
                store.get(file["digest"], fetched / name)
        fetched.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        fetched.replace(folder)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def _check_name(name: str) -> None:
    """What is loaded is of the kinds that we share, and lies in the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or path.suffix not in SUFFIXES:
        raise FileAltered(f"The store lists {name}, which no round shares, so it is not fetched.")


def _attempt_of(folder: Path) -> int | None:
    """Which attempt worked in this directory last."""
    file = folder / ATTEMPT
    return int(read_json(file)["attempt"]) if file.exists() else None


def _digest(source: Path | bytes) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _size(source: Path | bytes) -> int:
    if isinstance(source, bytes):
        return len(source)
    return source.stat().st_size if source.exists() else 0


def _altered(target: Path, digest: str, what: str) -> str:
    return (
        f"{target.name} {what}, in the store of ARTEFACTS_URL under {digest[:12]}. Nothing of it is used. "
        "Bring it back from a copy of the store, or run the round again, and find out who changed it."
    )
