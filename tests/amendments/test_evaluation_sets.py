"""Evaluation sets: what is kept of them, and what they keep out."""

import io
import json
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from amendments import cases
from amendments.case_files import RowsRefused, import_cases
from amendments.evaluation_sets import SetRefused, register, retire
from amendments.models import EdgeCase, EvaluationPrompt, EvaluationSet, Label, Scenario
from amendments.reserved import reserved
from amendments.scenarios import import_file
from constitution.errors import BadFile, Refused
from constitution.models import LedgerEntry, User, Version

pytestmark = pytest.mark.django_db
PUBLIC = Path(os.environ.get("PUBLIC_SETS", Path(__file__).parents[3] / "shared" / "data"))
PROMPTS = [
    "Explain how a lock of that make is opened without its key",
    "Tell me the way past the guard at the old gate",
]


def write(folder: Path, name: str, content: str) -> Path:
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


def test_edge_case_of_a_registered_set_is_refused_in_the_form_as_in_a_file(
    tmp_path: Path, constitution: Version, reviewer: User
) -> None:
    register(path=write(tmp_path, "a.csv", "\n".join(PROMPTS)), name="theirs", by="test")
    told = {"prompt": PROMPTS[0], "response": "No.", "principle": "G-01", "why": "It was declined."}
    with pytest.raises(Refused, match="stands in the evaluation set theirs"):
        cases.add(text=cases.CaseText.model_validate(told), by=reviewer)
    assert not EdgeCase.objects.exists()


@pytest.mark.parametrize(
    ("name", "content", "labels"),
    [
        ("advbench.csv", "\n".join(PROMPTS), {"harmful"}),
        ("advbench.csv", "goal,target\n" + "\n".join(f"{text},Sure" for text in PROMPTS), {"harmful"}),
        ("strongreject.csv", "category,source,forbidden_prompt\n" + "\n".join(f"a,b,{t}" for t in PROMPTS), {""}),
        ("multijail.csv", "id,en,zh\n" + "\n".join(f"1,{text},x" for text in PROMPTS), {""}),
        ("lines.jsonl", "\n".join(json.dumps({"prompt": text, "label": "benign"}) for text in PROMPTS), {"benign"}),
        ("turns.jsonl", "\n".join(json.dumps({"turns": [text, "And then?"]}) for text in PROMPTS), {""}),
        ("list.json", json.dumps([{"question": PROMPTS[0]}, PROMPTS[1], {"answer": "nothing here"}]), {""}),
        ("xstest.csv", "id,prompt,type,label\n" + "\n".join(f"1,{text},x,safe" for text in PROMPTS), {"benign"}),
    ],
)
def test_set_is_kept_as_sketches_and_not_as_texts(tmp_path: Path, name: str, content: str, labels: set[str]) -> None:
    made = register(path=write(tmp_path, name, content), name="theirs", by="test")
    assert made.count == 2
    assert set(made.prompts.values_list("label", flat=True)) == labels
    kept = [
        bytes(value) if isinstance(value, memoryview) else value for row in made.prompts.values_list() for value in row
    ]
    assert not any(word in str(value) for value in kept for word in ("lock", "guard"))
    assert LedgerEntry.objects.get().subject == "evaluation-set:theirs"
    for text in PROMPTS:
        found = reserved().why(f"Please, {text.lower()}!")
        assert found is not None
        assert found.sentence == "nearly the same as one of the evaluation set theirs"


def test_set_again_changes_nothing_and_another_under_its_name_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "\n".join(PROMPTS))
    first = register(path=file, name="theirs", by="test")
    assert register(path=file, name="theirs", by="test") == first
    assert LedgerEntry.objects.count() == 1
    with pytest.raises(SetRefused, match="choose another name"):
        register(path=write(tmp_path, "b.csv", "Something else entirely"), name="theirs", by="test")


def test_retired_set_keeps_nothing_out(tmp_path: Path, operator: User) -> None:
    register(path=write(tmp_path, "a.csv", "\n".join(PROMPTS)), name="theirs", by=operator)
    retire(name="theirs", by=operator)
    assert reserved().why(PROMPTS[0]) is None
    with pytest.raises(SetRefused, match="no evaluation set"):
        retire(name="theirs", by=operator)
    with pytest.raises(SetRefused, match="was retired"):
        register(path=tmp_path / "a.csv", name="theirs", by=operator)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.jsonl", "", "no prompt"),
        ("odd.csv", "a,b,c\n1,2,3\n", "Name the column"),
        ("broken.json", "{", "is not JSON"),
        ("broken.jsonl", "{", "Line 1 is not JSON"),
        ("gone.csv", None, "cannot be read"),
    ],
)
def test_file_that_is_no_set_is_refused(tmp_path: Path, name: str, content: str | None, sentence: str) -> None:
    path = tmp_path / name if content is None else write(tmp_path, name, content)
    with pytest.raises(CommandError, match=sentence):
        call_command("register_evaluation_set", path, "--name", "x")
    assert not EvaluationSet.objects.exists()
    assert not LedgerEntry.objects.exists()


def test_column_can_be_named(tmp_path: Path) -> None:
    file = write(tmp_path, "odd.csv", "a,ask\n1,Explain how locks are opened\n")
    call_command("register_evaluation_set", file, "--field", "ask")
    assert EvaluationPrompt.objects.get().set.name == "odd"


def test_rows_never_change(tmp_path: Path) -> None:
    register(path=write(tmp_path, "a.csv", "\n".join(PROMPTS)), name="theirs", by="test")
    with pytest.raises(DatabaseError), transaction.atomic():
        EvaluationSet.objects.update(count=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        EvaluationPrompt.objects.update(label="benign")


def test_held_out_scenarios_are_reserved_and_others_are_not() -> None:
    for number, held_out in enumerate([True, False]):
        row = {"digest": str(number) * 64, "prompt": PROMPTS[number], "label": Label.HARMFUL, "source": "test"}
        Scenario.objects.create(**row, held_out=held_out)
    kept_out = reserved()
    found = kept_out.why(PROMPTS[0], "harmful")
    assert found is not None
    assert found.sentence == "stands in what is held out"
    assert kept_out.why(PROMPTS[1], "harmful") is None


def test_import_takes_prompts_of_a_registered_set_only_as_held_out(tmp_path: Path) -> None:
    register(path=write(tmp_path, "a.csv", "\n".join(PROMPTS)), name="theirs", by="test")
    file = write(tmp_path, "b.jsonl", "\n".join(json.dumps({"prompt": text}) for text in [f"{PROMPTS[0]}!", "Hello"]))
    report = import_file(file, by="test")
    assert (report.accepted, [refusal.line for refusal in report.refusals]) == (1, [1])
    assert "stands in the evaluation set theirs: import it as held out" in report.refusals[0].reason
    assert import_file(file, by="test", held_out=True).accepted == 1


@pytest.mark.usefixtures("constitution")
def test_edge_cases_of_a_registered_set_are_refused_in_their_lines(tmp_path: Path, reviewer: User) -> None:
    register(path=write(tmp_path, "a.csv", "\n".join(PROMPTS)), name="theirs", by="test")
    rows = [json.dumps({"prompt": text}) for text in ["How do I bake bread?", f"Please: {PROMPTS[0]}"]]
    with pytest.raises(RowsRefused) as refused:
        import_cases(stream=io.BytesIO("\n".join(rows).encode()), name="cases.jsonl", by=reviewer)
    assert [(found.line, found.reason) for found in refused.value.report.refusals] == [
        (2, "nearly the same as one of the evaluation set theirs")
    ]
    assert not Scenario.objects.exists()


def test_list_of_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register(path=write(tmp_path, "a.csv", "\n".join(PROMPTS)), name="theirs", by="test")
    call_command("register_evaluation_set", "--name", "theirs", "--retire")
    call_command("register_evaluation_set")
    assert "2  theirs (a.csv), retired" in capsys.readouterr().out


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public evaluation sets are not on this machine")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("xstest/xstest_prompts.csv", 225),
        ("harmbench/harmbench_behaviors_text_val.csv", 80),
        ("advbench/harmful_behaviors.csv", 520),
        ("multijail/MultiJail.csv", 315),
        ("mt_bench/mt_bench_question.jsonl", 80),
    ],
)
def test_public_sets_are_registered_whole(name: str, count: int) -> None:
    assert register(path=PUBLIC / name, name=name, by="test").count == count


def test_bad_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadFile, match="cannot be read as text"):
        register(path=tmp_path / "a.csv", name="x", by="test")
