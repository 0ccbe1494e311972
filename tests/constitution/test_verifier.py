"""The ledger, changed behind our back: found by the command, and by the one file that strangers run on an export."""

import ast
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from constitution import ledger, signing
from constitution.actions import publish
from constitution.exporting import verify
from constitution.exporting.folders import write_history
from constitution.models import Constitution, LedgerEntry, User, Version
from tests import factories
from tests.constitution.test_signing import make_pem


@pytest.fixture(autouse=True)
def no_key(settings: Settings) -> None:
    settings.SIGNING_KEY = ""


@pytest.fixture
def history(constitution: Version, reviewer: User) -> Constitution:
    """Three versions, and a ledger of at least five entries."""
    base = constitution
    for text in ("Help freely.", "Help freely, and say how sure you are."):
        clauses = [*base.texts()[:-1], factories.make_clause("T-03", 3, text)]
        base = publish(base=base, clauses=clauses, title="A small constitution", summary=text, by=reviewer)
    while LedgerEntry.objects.count() < 5:
        append_entry()
    return base.constitution


def append_entry() -> LedgerEntry:
    return ledger.append(action="something was done", by="a test", subject="nothing", detail={"share": 0.5})


def as_superuser(*statements: str, values: Sequence[str] = ()) -> None:
    """Run SQL with all triggers asleep; `values` are those of the last statement."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements[:-1]:
            cursor.execute(statement)
        cursor.execute(statements[-1], values)
        cursor.execute("SET LOCAL session_replication_role = origin")


def alter() -> None:
    as_superuser("""UPDATE constitution_ledgerentry SET actor_name = 'nobody' WHERE number = 3""")


def alter_and_digest_anew() -> None:
    alter()
    digest_anew()


def digest_anew() -> None:
    values = [ledger.entry_digest(LedgerEntry.objects.get(number=3))]
    as_superuser("UPDATE constitution_ledgerentry SET digest = %s WHERE number = 3", values=values)


def delete() -> None:
    as_superuser("DELETE FROM constitution_ledgerentry WHERE number = 3")


def insert() -> None:
    """A row of its own between two others, with a digest that fits what it says."""
    as_superuser(
        "UPDATE constitution_ledgerentry SET number = number + 1001 WHERE number >= 3",
        "UPDATE constitution_ledgerentry SET number = number - 1000 WHERE number > 1000",
        "INSERT INTO constitution_ledgerentry (number, at, actor_name, action, subject, detail, previous, digest) "
        "VALUES (3, now(), 'nobody', 'amendment accepted', 'amendment:99', '{}', repeat('e', 64), repeat('f', 64))",
    )
    digest_anew()


def reorder() -> None:
    as_superuser(
        "UPDATE constitution_ledgerentry SET number = 1003 WHERE number = 3",
        "UPDATE constitution_ledgerentry SET number = 3 WHERE number = 4",
        "UPDATE constitution_ledgerentry SET number = 4 WHERE number = 1003",
    )


def run_verifier(folder: Path, *arguments: str) -> tuple[int, str]:
    """As a stranger does: the file alone, in an interpreter that knows nothing of ours."""
    command = [sys.executable, "-I", "-S", "verify.py", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, done.stdout


def test_verifier_finds_nothing_wrong_with_an_untouched_export(history: Constitution, tmp_path: Path) -> None:
    head = write_history(history, tmp_path)
    status, said = run_verifier(tmp_path, "--head", head["ledger"]["digest"])
    assert (status, said.splitlines()[-1]) == (0, "head.json is not signed.")
    assert f"{LedgerEntry.objects.count()} ledger entries" in said
    assert "3 versions of 6 wordings" in said


@pytest.mark.parametrize(
    ("change", "by_command", "by_verifier"),
    [
        (alter, "Entry 3 was altered", "Entry 3 was altered: its digest does not match"),
        (alter_and_digest_anew, "Entry 4 does not follow", "Entry 3 was altered and its digest computed anew"),
        (delete, "Entry 3 is missing", "Entry 3 is missing: after 2 comes 4"),
        (insert, "Entry 3 does not follow", "Entry 3 was inserted"),
        (reorder, "Entry 3 does not follow", "Entry 3 is out of order"),
    ],
)
def test_ledger_changed_behind_our_back_is_found_by_command_and_verifier(
    history: Constitution, tmp_path: Path, change: Callable[[], None], by_command: str, by_verifier: str
) -> None:
    change()
    with pytest.raises(CommandError, match=by_command):
        call_command("verify_ledger")
    write_history(history, tmp_path)
    status, said = run_verifier(tmp_path)
    assert status == 1
    assert said.startswith(f"DOES NOT HOLD: {by_verifier}")


def test_verifier_finds_a_cut_off_end_by_a_digest_known_from_elsewhere(history: Constitution, tmp_path: Path) -> None:
    seen = append_entry().digest
    as_superuser("DELETE FROM constitution_ledgerentry WHERE digest = %s", values=[seen])
    write_history(history, tmp_path)
    assert run_verifier(tmp_path)[0] == 0, "a chain cannot show that its end is gone"
    status, said = run_verifier(tmp_path, "--head", seen)
    assert status == 1
    assert "its end was cut off" in said


def test_verifier_finds_an_end_cut_off_the_export(history: Constitution, tmp_path: Path) -> None:
    append_entry()
    write_history(history, tmp_path)
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert "The ledger's end was cut off or altered" in run_verifier(tmp_path)[1]


def test_verifier_finds_a_version_published_twice(history: Constitution, tmp_path: Path, reviewer: User) -> None:
    """A well-formed entry, appended behind our back to make an altered version look published."""
    number = ledger.append(
        action=verify.PUBLISHED, by=reviewer, subject="version:2", detail={"digest": "0" * 64}
    ).number
    write_history(history, tmp_path)
    assert f"Entry {number} publishes again what entry" in run_verifier(tmp_path)[1]


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("clauses.jsonl", "Help freely.", "Help never.", "this wording of T-03 was altered"),
        ("versions.jsonl", '"number":2', '"number":7', "Version 2 is missing"),
        ("versions.jsonl", '"summary":"Help freely."', '"summary":"Nothing."', "says another summary"),
        ("head.json", '"number":3', '"number":2', "names another newest version"),
        ("ledger.jsonl", '{"action"', '["action"', "is not JSON"),
    ],
)
def test_verifier_finds_what_was_changed_in_the_files(
    history: Constitution, tmp_path: Path, name: str, old: str, new: str, expected: str
) -> None:
    write_history(history, tmp_path)
    path = tmp_path / name
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))
    status, said = run_verifier(tmp_path)
    assert status == 1
    assert expected in said


def test_verifier_finds_a_version_that_was_left_out(history: Constitution, tmp_path: Path) -> None:
    write_history(history, tmp_path)
    path = tmp_path / "versions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert "version:3 was published, and it is not in versions.jsonl" in run_verifier(tmp_path)[1]


def test_verifier_checks_the_signature_of_the_head(history: Constitution, tmp_path: Path, settings: Settings) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    settings.SIGNING_KEY = make_pem(key)
    write_history(history, tmp_path)
    public, strange = (found.public_key().public_bytes_raw().hex() for found in (key, other))
    assert run_verifier(tmp_path, "--key", public)[1].endswith("head.json is signed with the key that you gave.\n")
    assert f"signed with the key {public}; ask the publisher" in run_verifier(tmp_path)[1]
    assert "signed with another key" in run_verifier(tmp_path, "--key", strange)[1]
    path = tmp_path / "head.json"
    path.write_text(path.read_text().replace("A small constitution", "A great constitution"))
    assert run_verifier(tmp_path) == (
        1,
        "DOES NOT HOLD: head.json was altered: its signature does not match what it says.\n",
    )


def test_verifier_checks_what_was_signed_when_a_version_was_published(
    history: Constitution, tmp_path: Path, settings: Settings
) -> None:
    write_history(history, tmp_path)
    versions = list(verify.read_lines(tmp_path / "versions.jsonl"))
    published = verify.check_ledger(tmp_path / "ledger.jsonl")[1]
    settings.SIGNING_KEY = make_pem(Ed25519PrivateKey.generate())
    for number in (2, 3):  # what is signed for version 3 is said of version 2
        statement = signing.head_statement(slug=history.slug, number=number, digest=versions[1]["digest"])
        published[versions[1]["subject"]]["detail"]["signature"] = signing.sign(statement)
        if number == 2:
            verify.check_signatures({"constitution": history.slug}, versions, published, None)
    with pytest.raises(verify.Broken, match="The publication of version 2 was altered"):
        verify.check_signatures({"constitution": history.slug}, versions, published, None)


def test_verifier_is_python_3_8_and_the_standard_library_alone() -> None:
    tree = ast.parse(Path(verify.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
