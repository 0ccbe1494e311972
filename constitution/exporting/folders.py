"""A history as a folder that proves itself: JSON, a table, a document, the ledger, and the program that checks them."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from constitution.digests import canonical
from constitution.errors import Refused
from constitution.exporting.documents import version_document
from constitution.exporting.histories import Published, history
from constitution.exporting.records import clause_records, entry_record, lines, version_record
from constitution.exporting.tables import changes_csv
from constitution.ledger import GENESIS
from constitution.models import Constitution, LedgerEntry
from constitution.signing import sign

VERIFIER = Path(__file__).with_name("verify.py")
README = """\
# {title}: its history, and the proof of it

- `constitution.md`: the newest version
- `changes.csv`: every change, one a row; a cell that a spreadsheet could take for a formula begins with a quote mark
- `versions.jsonl`, `clauses.jsonl`: every version and every wording
- `ledger.jsonl`: everything that was written down when it happened, hash-chained; it covers the whole installation
- `head.json`: where the history and the ledger stood at the time of the export, signed if there was a key
- `verify.py`: checks all of it, with Python 3.8 or newer and nothing else: `python3 verify.py`

Whoever altered an export could alter its `verify.py` as well: take a copy of that file from where you trust it.
A chain cannot show that its end was cut off. Keep the digest that `verify.py` prints, and give it to a later export's
`verify.py` as `--head DIGEST`; give the publisher's public key as `--key KEY`.
"""


def make_empty(folder: Path) -> None:
    """Make `folder`; raises Refused where it exists and is not an empty folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as error:
        raise Refused(f"{folder} cannot be written: {error}") from error
    if not is_empty:
        raise Refused(f"{folder} is not empty. Name a folder that is new or empty.")


def write_history(constitution: Constitution, folder: Path) -> dict[str, Any]:
    """Export `constitution` into `folder`, which must be new or empty; return what head.json says.

    The ledger is read after the versions, so it tells of each of them.
    """
    make_empty(folder)
    last = _write_versions(history(constitution), folder)
    if last is None:
        raise Refused(f"{constitution} has no version yet: there is nothing to export.")
    head = {
        "format": 1,
        "constitution": constitution.slug,
        "title": constitution.title,
        "source": constitution.source,
        "is_home": constitution.is_home,
        "version": {"number": last.number, "digest": last.digest},
        "ledger": _write_ledger(folder / "ledger.jsonl"),
    }
    if signature := sign(head):
        head["signature"] = dict(signature)
    (folder / "head.json").write_bytes(canonical(head) + b"\n")
    (folder / "constitution.md").write_text(version_document(last), encoding="utf-8")
    (folder / "README.md").write_text(README.format(title=constitution.title), encoding="utf-8")
    (folder / "verify.py").write_bytes(VERIFIER.read_bytes())
    return head


def _write_versions(versions: Iterable[Published], folder: Path) -> Published | None:
    """One walk through the history for all three files; return the newest version."""
    last, written = None, set[str]()
    with ExitStack() as files:
        records = files.enter_context((folder / "versions.jsonl").open("wb"))
        clauses = files.enter_context((folder / "clauses.jsonl").open("wb"))
        table = files.enter_context((folder / "changes.csv").open("w", encoding="utf-8", newline=""))

        def passing() -> Iterator[Published]:
            nonlocal last
            for version in versions:
                records.writelines(lines([version_record(version)]))
                clauses.writelines(lines(clause_records(version, written)))
                last = version
                yield version

        table.writelines(changes_csv(passing()))
    return last


def _write_ledger(path: Path) -> dict[str, Any]:
    """Write every entry there is now; return the number and the digest of the last."""
    last = None
    with path.open("wb") as file:
        for last in LedgerEntry.objects.order_by("number").iterator(chunk_size=2000):
            file.writelines(lines([entry_record(last)]))
    return {"number": last.number, "digest": last.digest} if last else {"number": 0, "digest": GENESIS}
