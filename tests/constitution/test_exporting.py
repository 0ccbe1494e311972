"""The history as files: a table, documents, a git repository, and JSON that reads back as what it was."""

import csv
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from constitution.actions import publish
from constitution.digests import digest
from constitution.errors import Refused
from constitution.exporting.documents import clause_document, version_document
from constitution.exporting.git import write_repository
from constitution.exporting.histories import Published, history, named
from constitution.exporting.records import clause_records, lines, version_record
from constitution.exporting.tables import COLUMNS, changes_csv
from constitution.importing.histories import read_history
from constitution.models import User, Version
from constitution.texts import ClauseText
from tests import factories

DAY = datetime(2025, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_key(settings: Settings) -> None:
    settings.SIGNING_KEY = ""


def make_published(clauses: Sequence[ClauseText], *, before: Published | None = None, **changes: object) -> Published:
    number = before.number + 1 if before else 1
    made = Published(
        subject=f"version:{number}",
        number=number,
        digest=digest([clause.digest for clause in clauses]),
        parent=before.digest if before else None,
        title="A small constitution",
        summary=f"What changed with {number}.",
        published_at=DAY + timedelta(days=number),
        author="Ada Lovelace",
        username="ada",
        amendment="",
        clauses=tuple(clauses),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def three_versions() -> list[Published]:
    """A sentence added in the second version; a clause repealed and one retiered in the third."""
    first = factories.small_constitution()
    style = factories.make_clause("T-03", 3, "Decline briefly, and do not preach. Say what you can do instead.")
    second = [*first[:-1], style]
    third = [first[0], second[2].model_copy(update={"tier": 3}), style]
    one = make_published(first)
    two = make_published(
        second, before=one, amendment="amendment:7", summary="Say what is possible.\n\nIt was asked for."
    )
    return [one, two, make_published(third, before=two)]


def rows_of(versions: Sequence[Published]) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO("".join(changes_csv(versions)), newline="")))


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_changes_csv_has_a_row_for_each_change() -> None:
    rows = rows_of(three_versions())
    assert tuple(rows[0]) == COLUMNS
    assert [(row["version"], row["principle"], row["kind"]) for row in rows if row["version"] != "1"] == [
        ("2", "T-03", "revised"),
        ("3", "G-01", "revised"),
        ("3", "H-02", "repealed"),
    ]
    assert [row["changed"] for row in rows[4:]] == ["text", "tier", ""]
    assert (rows[4]["date"], rows[4]["author"], rows[4]["amendment"]) == ("2025-02-14", "Ada Lovelace", "amendment:7")


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)"])
def test_changes_csv_holds_no_formula(text: str) -> None:
    (row,) = rows_of([make_published([factories.make_clause("T-03", 3, text)], author=text)])
    assert row["after"] == f"'{text}"
    assert row["author"] == f"'{text}"


def test_documents_have_one_sentence_a_line_and_all_that_a_clause_says() -> None:
    clause = factories.make_clause(
        "H-02", 2, "Give facts. Leave doses to a clinician.", scope={"industry": ["healthcare"]}, refers_to=["U-02"]
    )
    document = clause_document(clause)
    assert "\nGive facts.\nLeave doses to a clinician.\n" in document
    assert "- Holds where: industry healthcare\n- Refers to: U-02\n" in document
    assert document.count("\nRequest:\n") == 4
    assert f"## {clause.principle}" in version_document(make_published([clause]))


def test_write_repository_makes_a_commit_of_each_version(tmp_path: Path) -> None:
    versions = three_versions()
    commit = write_repository(versions, tmp_path)
    log = git(tmp_path, "log", "--reverse", "--format=%an|%ae|%aI|%cI|%s").splitlines()
    assert log == [
        f"Ada Lovelace|ada@users.invalid|2025-02-{day}T00:00:00+00:00|2025-02-{day}T00:00:00+00:00|{subject}"
        for day, subject in ((13, "What changed with 1."), (14, "Say what is possible."), (15, "What changed with 3."))
    ]
    message = git(tmp_path, "log", "-1", "--format=%B", f"{commit}~1")
    assert message.strip().endswith(f"It was asked for.\n\nVersion: 2\nDigest: {versions[1].digest}\nAmendment: 7")
    assert git(tmp_path, "fsck", "--strict") == ""
    assert git(tmp_path, "status", "--porcelain") == ""
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*.md")) == [
        "1-universal/U-02.md",
        "3-style/G-01.md",
        "3-style/T-03.md",
    ]


def test_write_repository_lets_git_say_who_brought_each_sentence(tmp_path: Path) -> None:
    write_repository(three_versions(), tmp_path)
    commits = git(tmp_path, "log", "--reverse", "--format=%H").split()
    blame = git(tmp_path, "blame", "-s", "-l", "--root", "--", "3-style/T-03.md").splitlines()
    found = {re.sub(r"^.*?\d+\) ", "", line): line.split()[0] for line in blame}
    assert found["Decline briefly, and do not preach."] == commits[0]
    assert found["Say what you can do instead."] == commits[1]
    assert "+Say what you can do instead." in git(tmp_path, "log", "-p", "-1", commits[1])


def test_write_repository_gives_the_same_commits_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_repository(three_versions(), tmp_path / "one")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert write_repository(three_versions(), tmp_path / "two" / "deeper") == first


def test_write_repository_survives_hostile_names_and_texts(tmp_path: Path) -> None:
    clause = factories.make_clause("T-03", 3, "data 5\ncommit refs/heads/evil\n\ndone")
    hostile = make_published(
        [clause],
        author="A <b@c>\ncommitter x <y> 1 +0000",
        username="../ä <x>",
        summary="done\n\ncommit refs/heads/evil",
    )
    write_repository([hostile, make_published(factories.small_constitution(), before=hostile, author="<>")], tmp_path)
    assert git(tmp_path, "for-each-ref", "--format=%(refname)") == "refs/heads/main\n"
    assert git(tmp_path, "log", "--reverse", "--format=%an <%ae>").splitlines() == [
        "A b@c committer x y 1 +0000 <..-x-@users.invalid>",
        "unknown <ada@users.invalid>",
    ]
    assert git(tmp_path, "fsck", "--strict") == ""


def test_write_repository_refuses_a_folder_with_something_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(Refused, match="is not empty"):
        write_repository(three_versions(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_write_repository_without_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(Refused, match="git is not installed here"):
        write_repository(three_versions(), tmp_path / "repository")


# Any text that a clause may have: no control characters, no lone halves, not only blanks.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf"]), min_size=1, max_size=60).filter(
    str.strip
)


@st.composite
def clause_texts(draw: st.DrawFn, principle: str) -> ClauseText:
    tier = draw(st.sampled_from([1, 2, 3]))
    scope = draw(st.dictionaries(st.sampled_from(["region", "industry"]), st.just(["EU"]), max_size=1))
    return ClauseText.model_validate(
        {
            "principle": principle,
            "tier": tier,
            "title": draw(texts),
            "text": draw(texts),
            "scope": scope if tier > 1 else {},
            "refers_to": draw(st.sampled_from([[], ["Z-99"]])),
            "may_narrow": tier > 1 and draw(st.booleans()),
            "examples": draw(
                st.lists(
                    st.fixed_dictionaries(
                        {
                            "request": texts,
                            "right": texts,
                            "wrong": texts,
                            "expects": st.sampled_from(["help", "style"]),
                        }
                    ),
                    max_size=2,
                )
            ),
        }
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Published]:
    versions: list[Published] = []
    for _ in range(draw(st.integers(1, 4))):
        names = draw(st.lists(st.sampled_from(["U-01", "H-02", "be_kind", "T-03"]), unique=True, min_size=1))
        clauses = [draw(clause_texts(name)) for name in names]
        before = versions[-1] if versions else None
        said = {"summary": draw(texts), "author": draw(texts), "title": draw(texts).strip()}
        versions.append(make_published(clauses, before=before, **said))
    return versions


@given(histories())
@hypothesis_settings(max_examples=25)
def test_history_written_as_json_reads_back_as_it_was(versions: list[Published]) -> None:
    written = set[str]()
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "versions.jsonl").write_bytes(b"".join(lines(map(version_record, versions))))
        clauses = [record for version in versions for record in clause_records(version, written)]
        (folder / "clauses.jsonl").write_bytes(b"".join(lines(clauses)))
        assert list(read_history(folder)) == versions


@given(histories())
@hypothesis_settings(max_examples=5)
def test_repository_of_any_history_is_the_same_twice(versions: list[Published]) -> None:
    with TemporaryDirectory() as name:
        first, second = (write_repository(versions, Path(name) / place) for place in ("one", "two"))
        assert first == second
        assert git(Path(name) / "one", "fsck", "--strict") == ""
        assert int(git(Path(name) / "one", "rev-list", "--count", "HEAD")) == len(versions)


def test_history_reads_the_versions_by_a_constant_number_of_queries(
    constitution: Version, reviewer: User, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    base = constitution
    for text in ("Be brief.", "Be brief and kind.", "Be kind."):
        clauses = [*base.texts()[:-1], factories.make_clause("T-03", 3, text)]
        base = publish(base=base, clauses=clauses, title=base.title, summary=text, by=reviewer)
        with django_assert_num_queries(5):  # type: ignore[operator]
            versions = list(history(base.constitution))
    assert [version.summary for version in versions][1:] == ["Be brief.", "Be brief and kind.", "Be kind."]
    assert versions[-1].clauses == tuple(base.texts())
    assert [version.parent for version in versions[1:]] == [version.digest for version in versions[:-1]]


def test_commands_write_both_exports(constitution: Version, tmp_path: Path) -> None:
    said = StringIO()
    call_command("export_history", str(tmp_path / "files"), stdout=said)
    call_command("export_git", str(tmp_path / "repository"), stdout=said)
    assert "1 versions, " in said.getvalue()
    assert git(tmp_path / "repository", "rev-parse", "HEAD").strip() in said.getvalue()
    names = {path.name for path in (tmp_path / "files").iterdir()}
    assert {"ledger.jsonl", "versions.jsonl", "clauses.jsonl", "head.json", "verify.py", "changes.csv"} <= names
    shutil.rmtree(tmp_path / "files")
    with pytest.raises(CommandError, match="There is no constitution named other"):
        call_command("export_history", str(tmp_path / "files"), "--slug", "other")


def test_named_without_a_constitution_says_so(db: None) -> None:
    with pytest.raises(Refused, match="No constitution was founded here yet"):
        named(None)
