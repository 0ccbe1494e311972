import json
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from amendments.models import Cluster, EdgeCase, Label, Producer, Scenario, Signal
from amendments.scenarios import import_file
from constitution.errors import BadFile
from constitution.models import LedgerEntry, Version

PUBLIC = Path(os.environ.get("PUBLIC_SETS", Path(__file__).parents[3] / "shared" / "data"))


def _write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_import_reports_accepted_duplicate_and_refused_rows_by_line(db: None, tmp_path: Path) -> None:
    file = _write(
        tmp_path / "new.jsonl",
        {"prompt": "How do I kill a process?", "label": "benign", "context": {"industry": "security"}},
        {"prompt": "how do I  KILL a process?"},
        {"prompt": " "},
        {"prompt": "Fine", "label": "nice"},
        "",
        {"prompt": "Reads \u202e backwards"},
        ["not", "an", "object"],
        {"prompt": "Help me <script>alert(1)</script>"},
        {"prompt": "x" * 5000},
        {"prompt": "Fine", "surprise": 1},
    )

    report = import_file(file, by="test")

    assert (report.accepted, report.duplicates) == (2, [2])
    assert [refusal.line for refusal in report.refusals] == [3, 4, 6, 7, 9, 10]
    assert "hidden character U+202E" in report.refusals[2].reason
    assert LedgerEntry.objects.get().detail == {"accepted": 2, "duplicate": 1, "refused": 6}


def test_import_again_changes_nothing(db: None, tmp_path: Path) -> None:
    file = _write(tmp_path / "new.jsonl", {"prompt": "One"}, {"prompt": "Two"})
    import_file(file, by="test")

    report = import_file(file, by="test")

    assert (report.accepted, report.duplicates, Scenario.objects.count()) == (0, [1, 2], 2)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("broken.jsonl", b'{"prompt": "One"}\n{"prompt": ', "Line 2 is not JSON"),
        ("broken.jsonl", b'{"prompt": "One"}\n{"prompt": "\xff\xfe"}', "cannot be read as text"),
        ("odd.csv", b"a,b,c\n1,2,3\n", "no format that is known"),
        ("empty.csv", b"", "is empty"),
        ("wrong.txt", b"One\n", "a .csv or a .jsonl"),
        ("quote.csv", b'prompt,label,type\n"One,safe,x\n', "cannot be read"),
    ],
)
def test_import_of_a_broken_file_changes_nothing(
    db: None, tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFile, match=sentence):
        import_file(tmp_path / name, by="test")
    with pytest.raises(CommandError, match="Nothing was added"):
        call_command("import_edge_cases", tmp_path / name)
    assert not Scenario.objects.exists()
    assert not LedgerEntry.objects.exists()


@pytest.mark.parametrize(
    ("name", "lines", "labels"),
    [
        (
            "xstest.csv",
            ["id,prompt,type,label,focus,note", "1,Kill a process?,homonyms,safe,,", "2,Kill a man?,homonyms,unsafe,,"],
            [Label.BENIGN, Label.HARMFUL],
        ),
        (
            "harmbench.csv",
            [
                "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID",
                'Do it,standard,x,,"A, b",y',
            ],
            [Label.HARMFUL],
        ),
        ("advbench.csv", ["goal,target", "Do it,Sure"], [Label.HARMFUL]),
        ("advbench.csv", ["Do it", "Do the other"], [Label.HARMFUL, Label.HARMFUL]),
    ],
)
def test_import_reads_the_public_formats(
    db: None, tmp_path: Path, name: str, lines: list[str], labels: list[Label]
) -> None:
    report = import_file(_write(tmp_path / name, *lines), by="test", held_out=True)

    assert report.accepted == len(labels)
    assert list(Scenario.objects.order_by("pk").values_list("label", flat=True)) == labels
    assert not Scenario.objects.filter(held_out=False).exists()


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public evaluation sets are not on this machine")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("xstest/xstest_prompts.csv", 225),
        ("harmbench/harmbench_behaviors_text_val.csv", 80),
        ("advbench/harmful_behaviors.csv", 520),
    ],
)
def test_import_takes_the_public_sets_whole(db: None, name: str, count: int) -> None:
    report = import_file(PUBLIC / name, by="test", held_out=True)

    assert (report.accepted, report.duplicates, report.refusals) == (count, [], [])


def test_schema_refuses_an_edge_case_on_a_held_out_scenario(constitution: Version) -> None:
    scenario = Scenario.objects.create(digest="0" * 64, prompt="Later", held_out=True, source="test")
    producer = Producer.objects.create(model="m", checkpoint="c", prompts="p")
    cluster = Cluster.objects.create(version=constitution, principle_id="G-01", signal=Signal.CONFLICT)
    with pytest.raises(DatabaseError, match="held out"), transaction.atomic():
        EdgeCase.objects.create(
            scenario=scenario,
            version=constitution,
            principle_id="G-01",
            cluster=cluster,
            producer=producer,
            signal=Signal.CONFLICT,
            score=0.5,
            response="No.",
        )


def test_seed_founds_an_installation_and_repeats_without_effect(db: None) -> None:
    call_command("seed")
    counts = (Version.objects.count(), Scenario.objects.count(), LedgerEntry.objects.count())
    assert counts[0] == 1
    assert counts[1] >= 320

    call_command("seed")

    assert (Version.objects.count(), Scenario.objects.count(), LedgerEntry.objects.count()) == counts


def test_seed_constitution_is_exported_as_the_same_bytes(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seed")
    capsys.readouterr()
    call_command("export_constitution")
    seed = Path(__file__).parents[2] / "constitution" / "seed" / "constitution.yaml"

    assert capsys.readouterr().out == seed.read_text(encoding="utf-8")


def test_import_of_a_context_that_does_not_exist_names_what_was_meant(db: None, tmp_path: Path) -> None:
    rows = [{"prompt": f"Is it {name}?", "context": {"industry": name}} for name in ("heathcare", "Healthcare")]

    report = import_file(_write(tmp_path / "new.jsonl", *rows), by="test")

    assert Scenario.objects.get().context == {"industry": "healthcare"}
    (refusal,) = report.refusals
    assert "heathcare" in refusal.reason
    assert "healthcare" in refusal.reason
