"""A model as a folder that others can load: verified weights, the tokenizer, a card, and the digest of each file.

Only the machine that keeps the files of rounds does this: it loads the engine, which no web process has.
"""

import re
import shutil
from pathlib import Path
from tempfile import mkdtemp

from constitution.errors import Refused
from training import registry
from training.export_card import KNOWN_LICENCES, Facts, card
from training.models import Checkpoint
from training.recipes.files import digest_file, write_text

LICENCE = re.compile(r"^license:\s*[\"']?([\w.-]+)[\"']?\s*$", re.MULTILINE)
SUMS = "SHA256SUMS"


def export(checkpoint: Checkpoint, folder: Path, *, base: str, merged: bool) -> list[Path]:
    """Write the model into `folder`, which is complete or not there; returns its files.

    `base` is the base model's folder or hub id. Raises Refused for a folder that holds something, for another base than
    the round had, and as `registry.check_intact` does.
    """
    row = registry.registered().get(pk=checkpoint.pk)
    adapter = registry.check_intact(row)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} holds something already. Name a folder that is new or empty.")
    facts = Facts(merged=merged, base_digest=_check_base(row, base), licence=licence_of(row, base))
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(mkdtemp(prefix=".exporting-", dir=folder.parent))
    try:
        _write(row, adapter, partial, base=base, facts=facts)
        for file in partial.iterdir():
            file.chmod(0o644)  # safetensors writes weights for its own user alone, and an export is for others
        partial.chmod(0o755)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sorted(folder.iterdir())


def licence_of(checkpoint: Checkpoint, base: str) -> str:
    """The base's licence as far as known: what its own card says, or what we know by its name; else empty."""
    readme = Path(base) / "README.md"
    if readme.is_file() and (found := LICENCE.search(readme.read_text(encoding="utf-8", errors="replace"))):
        return found[1]
    return KNOWN_LICENCES.get(registry.base_of(checkpoint), "")


def _check_base(checkpoint: Checkpoint, base: str) -> str:
    """The digest of `base`. An adapter added to other weights than it was trained on gives another model."""
    from training.engine.exporting import base_digest
    from training.engine.model import ModelError

    try:
        found = base_digest(base)
    except ModelError as error:
        raise Refused(str(error)) from error
    if checkpoint.base_digest and found != checkpoint.base_digest:
        raise Refused(
            f"Round {checkpoint.round_id} trained on {registry.base_of(checkpoint)} with the digest "
            f"{checkpoint.base_digest[:12]}; the base here has {found[:12]}. Set MODEL to the one it trained on."
        )
    return found


def _write(checkpoint: Checkpoint, adapter: Path, folder: Path, *, base: str, facts: Facts) -> None:
    from training.engine.exporting import write_adapter, write_merged

    if facts.merged:
        write_merged(adapter, folder, base=base)
    else:
        write_adapter(adapter, folder, base=base, base_name=registry.base_of(checkpoint))
    write_text(folder / "README.md", card(checkpoint, facts))
    sums = [f"{digest_file(file)}  {file.name}" for file in sorted(folder.iterdir()) if file.is_file()]
    write_text(folder / SUMS, "\n".join(sums) + "\n")
