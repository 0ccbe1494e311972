"""Edge cases: what the schema holds, who adds and imports them, and what people say of them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, connection, transaction
from pydantic import ValidationError

from amendments import case_files, cases
from amendments.case_files import import_cases
from amendments.cases import CaseKnown, CaseText, add, mark
from amendments.errors import RoleMissing
from amendments.models import (
    CaseMark,
    Cluster,
    EdgeCase,
    Label,
    MarkKind,
    Producer,
    Scenario,
    Signal,
)
from constitution.actions import publish
from constitution.errors import BadFile, NotAllowed, Refused
from constitution.models import LedgerEntry, User, Version
from tests.factories import make_clause, small_constitution

HOSTILE = "<script>alert(1)</script> {{ 7|add:7 }} '; DROP TABLE amendments_edgecase; --"


def text(**changes: Any) -> CaseText:
    content = {
        "prompt": "How do I kill a process?",
        "response": "I can't help.",
        "principle": "G-01",
        "why": "Harmless.",
    }
    return CaseText.model_validate(content | changes)


def lines(*rows: object) -> io.BytesIO:
    return io.BytesIO("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode())


def row(**changes: Any) -> dict[str, Any]:
    return text().model_dump(mode="json") | changes


@pytest.mark.parametrize(
    "change",
    [
        "response = 'other'",
        "score = 0.1",
        "detail = '[1]'",
        "signal = 'conflict'",
        "producer_id = NULL, author_id = (SELECT min(id) FROM constitution_user)",
        "surfaced_at = now()",
        "why = 'because'",
        "found_by = NULL",
        "id = id + 1000",
    ],
)
def test_schema_refuses_every_change_of_an_edge_case(cluster: Cluster, reviewer: User, change: str) -> None:
    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE amendments_edgecase SET {change}")  # noqa: S608  our own words


@pytest.mark.parametrize("sql", ["DELETE FROM amendments_edgecase", "TRUNCATE amendments_edgecase CASCADE"])
def test_schema_refuses_that_edge_cases_go(cluster: Cluster, sql: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    assert EdgeCase.objects.count() == 3


def test_schema_lets_an_edge_case_move_between_clusters_of_its_kind(cluster: Cluster, constitution: Version) -> None:
    other = Cluster.objects.create(version=constitution, principle_id="U-02", signal=Signal.OVER_REFUSAL)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE amendments_edgecase SET cluster_id = %s", [other.pk])
    assert other.edge_cases.count() == 3


def test_schema_refuses_a_cluster_of_another_signal_or_version(
    cluster: Cluster, constitution: Version, reviewer: User
) -> None:
    other = Cluster.objects.create(version=constitution, principle_id="G-01", signal=Signal.CONFLICT)
    clauses = [*small_constitution(), make_clause("K-01", 3, "Be kind.")]
    second = publish(base=constitution, clauses=clauses, title="2", summary="", by=reviewer)
    elsewhere = Cluster.objects.create(version=second, principle_id="G-01", signal=Signal.OVER_REFUSAL)
    for wrong in (other, elsewhere):
        with pytest.raises(DatabaseError, match="takes no"), transaction.atomic():
            EdgeCase.objects.update(cluster=wrong)


def test_schema_refuses_a_cluster_that_was_emptied(cluster: Cluster, constitution: Version) -> None:
    emptied = Cluster.objects.create(
        version=constitution, principle_id="U-02", signal=Signal.OVER_REFUSAL, merged_into=cluster
    )
    with pytest.raises(DatabaseError, match="takes no"), transaction.atomic():
        EdgeCase.objects.update(cluster=emptied)


@pytest.mark.parametrize("both", [True, False])
def test_schema_wants_exactly_one_finder(cluster: Cluster, producer: Producer, reviewer: User, both: bool) -> None:
    scenario = Scenario.objects.create(digest="f" * 64, prompt="Another", source="test")
    finders = {"producer": producer, "author": reviewer} if both else {}
    with pytest.raises(IntegrityError, match="edge_case_has_one_finder"), transaction.atomic():
        EdgeCase.objects.create(
            scenario=scenario,
            version_id=cluster.version_id,
            principle_id="G-01",
            cluster=cluster,
            signal=cluster.signal,
            score=0.5,
            response="No.",
            **finders,
        )


def test_add_keeps_what_a_person_saw_under_their_name(constitution: Version, reviewer: User) -> None:
    case = add(text=text(context={"region": "France"}, label="benign", signal="gap"), by=reviewer)

    assert (case.author, case.producer, case.score, case.version) == (reviewer, None, 1.0, constitution)
    assert (case.scenario.label, case.scenario.context) == (Label.BENIGN, {"region": "FR"})
    assert str(case.cluster) == "Gap under G-01"
    assert LedgerEntry.objects.latest("number").action == "edge case added"


def test_add_again_names_the_one_that_is_there(constitution: Version, reviewer: User, other_reviewer: User) -> None:
    first = add(text=text(), by=reviewer)
    with pytest.raises(CaseKnown) as caught:
        add(text=text(prompt="how do I  KILL a process?", response="No."), by=other_reviewer)
    assert caught.value.case == first
    assert EdgeCase.objects.count() == 1


def test_add_refuses_what_is_held_out_or_not_in_force(constitution: Version, reviewer: User) -> None:
    held = text(prompt="Held out")
    Scenario.objects.create(digest=held.scenario.digest, prompt="Held out", held_out=True, source="test")
    with pytest.raises(Refused, match="held out"):
        add(text=held, by=reviewer)
    with pytest.raises(Refused, match="Z-99 is not in force"):
        add(text=text(principle="Z-99", prompt="New"), by=reviewer)
    assert not Scenario.objects.filter(prompt="New").exists()


def test_add_asks_who_it_is(constitution: Version, overseer: User, stranger: User) -> None:
    for person in (overseer, stranger):
        with pytest.raises(RoleMissing):
            add(text=text(), by=person)


def test_add_gives_a_label_to_a_request_that_has_none_and_changes_no_other(
    constitution: Version, reviewer: User
) -> None:
    add(text=text(), by=reviewer)
    add(text=text(signal="gap", label="harmful"), by=reviewer)
    add(text=text(signal="conflict", label="benign"), by=reviewer)
    assert Scenario.objects.get().label == Label.HARMFUL


@pytest.mark.parametrize("change", [{"prompt": "a \u202e b"}, {"response": ""}, {"why": " "}])
def test_text_refuses_hidden_and_missing_words(change: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        text(**change)


def test_import_adds_all_or_nothing(constitution: Version, reviewer: User) -> None:
    rows = [row(), row(prompt="Two", principle="Z-99"), "{broken", row(prompt="Three", surprise=1), '["no"]']
    with pytest.raises(case_files.RowsRefused) as caught:
        import_cases(stream=lines(*rows), name="new.jsonl", by=reviewer)

    assert [refusal.line for refusal in caught.value.report.refusals] == [2, 3, 4, 5]
    assert not EdgeCase.objects.exists()
    assert not Scenario.objects.exists()
    assert not Cluster.objects.exists()
    assert not LedgerEntry.objects.filter(action="edge cases imported").exists()


def test_import_adds_the_valid_rows_where_that_is_wanted(constitution: Version, reviewer: User) -> None:
    rows = [row(), row(prompt="Two", principle="Z-99"), row(), row(prompt=HOSTILE, response=HOSTILE), {"prompt": "Ask"}]
    report = import_cases(stream=lines(*rows), name="new.jsonl", by=reviewer, is_valid_only=True)

    assert (report.accepted, report.duplicates) == (3, [3])
    assert [refusal.line for refusal in report.refusals] == [2]
    assert set(EdgeCase.objects.values_list("response", flat=True)) == {"I can't help.", HOSTILE}
    assert Scenario.objects.filter(prompt="Ask", edge_cases=None).exists()
    assert not Scenario.objects.filter(prompt="Two").exists()
    entry = LedgerEntry.objects.latest("number")
    assert entry.detail == {"accepted": 3, "duplicate": 1, "refused": 1}


def test_import_again_changes_nothing(constitution: Version, reviewer: User) -> None:
    rows = [row(), row(prompt="Two"), {"prompt": "Ask"}]
    import_cases(stream=lines(*rows), name="new.jsonl", by=reviewer)
    before = LedgerEntry.objects.count()

    report = import_cases(stream=lines(*rows), name="new.jsonl", by=reviewer)

    assert (report.accepted, report.duplicates) == (0, [1, 2, 3])
    assert LedgerEntry.objects.count() == before


def test_import_reads_csv_with_its_own_columns(constitution: Version, reviewer: User) -> None:
    content = 'Prompt,Response,Principle,Why,Signal,Region\n"One\r\ntwo",No.,G-01,Harmless.,gap,France\nThree,,,,,\n'
    report = import_cases(stream=io.BytesIO(b"\xef\xbb\xbf" + content.encode()), name="x.csv", by=reviewer)

    case = EdgeCase.objects.select_related("scenario").get()
    assert report.accepted == 2
    assert (case.signal, case.scenario.prompt, case.scenario.context) == ("gap", "One\ntwo", {"region": "FR"})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", b"a,b\n1,2\n"),
        ("x.csv", b""),
        ("x.csv", b"prompt,response,principle\n\xff,a,b\n"),
        ("x.csv", b'prompt,response,principle\n"open'),
        ("x.exe", b"MZ"),
        ("", b"{}"),
    ],
)
def test_import_of_a_file_that_cannot_be_read_adds_nothing(
    constitution: Version, reviewer: User, name: str, content: bytes
) -> None:
    with pytest.raises(BadFile):
        import_cases(stream=io.BytesIO(content), name=name, by=reviewer, is_valid_only=True)
    assert not Scenario.objects.exists()


@pytest.mark.parametrize("line", ["[" * 100_000, '{"prompt": "\\ud800"}', '"\xff', "null", "1e999", '{"response": 3}'])
def test_import_of_a_hostile_line_refuses_that_line(constitution: Version, reviewer: User, line: str) -> None:
    report = import_cases(stream=lines(line, row()), name="x.jsonl", by=reviewer, is_valid_only=True)
    assert ([refusal.line for refusal in report.refusals], report.accepted) == ([1], 1)


def test_import_takes_batches_in_a_constant_number_of_queries(
    constitution: Version, reviewer: User, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    rows = [row(prompt=f"Number {number}", signal=["gap", "conflict"][number % 2]) for number in range(300)]
    with django_assert_max_num_queries(50):
        import_cases(stream=lines(*rows), name="x.jsonl", by=reviewer)
    assert EdgeCase.objects.count() == 300


def test_import_gives_up_on_a_file_of_another_kind(constitution: Version, reviewer: User) -> None:
    with pytest.raises(BadFile, match="More than 1,000 rows"):
        import_cases(stream=lines(*(["x"] * 1600)), name="x.jsonl", by=reviewer, is_valid_only=True)


def test_mark_is_one_for_each_person_and_may_change(cluster: Cluster, reviewer: User, other_reviewer: User) -> None:
    case, other, _ = cluster.edge_cases.order_by("pk")
    mark(cases=[case], kind=MarkKind.REAL, by=reviewer)
    mark(cases=[case], kind=MarkKind.DUPLICATE, by=reviewer, duplicate_of=other, note="The same.")
    mark(cases=[case], kind=MarkKind.WRONG_TYPE, by=other_reviewer, signal="gap")

    found = {each.person_id: each for each in CaseMark.objects.all()}
    assert (found[reviewer.pk].kind, found[reviewer.pk].duplicate_of_id) == ("duplicate", other.pk)
    assert found[other_reviewer.pk].signal == "gap"
    assert LedgerEntry.objects.filter(action="edge cases marked").count() == 3


def test_noise_by_two_people_or_by_an_operator_is_left_out(
    cluster: Cluster, reviewer: User, other_reviewer: User, operator: User
) -> None:
    first, second, third = cluster.edge_cases.order_by("pk")
    mark(cases=[first, second], kind=MarkKind.NOISE, by=reviewer)
    assert cluster.edge_cases.counted().count() == 3
    mark(cases=[first], kind=MarkKind.NOISE, by=other_reviewer)
    mark(cases=[third], kind=MarkKind.NOISE, by=operator)
    assert list(cluster.edge_cases.counted()) == [second]
    mark(cases=[first], kind=MarkKind.REAL, by=other_reviewer)
    assert set(cluster.edge_cases.counted()) == {first, second}


def test_mark_says_what_is_missing(cluster: Cluster, reviewer: User, overseer: User) -> None:
    case = cluster.edge_cases.order_by("pk")[0]
    for changes in (
        {"kind": MarkKind.DUPLICATE},
        {"kind": MarkKind.DUPLICATE, "duplicate_of": case},
        {"kind": MarkKind.WRONG_TYPE},
        {"kind": MarkKind.WRONG_TYPE, "signal": "nonsense"},
        {"kind": MarkKind.WRONG_TYPE, "signal": case.signal},
        {"kind": MarkKind.REAL, "cases": []},
        {"kind": MarkKind.REAL, "cases": [case] * 201},
    ):
        with pytest.raises(Refused):
            mark(**({"cases": [case], "by": reviewer} | changes))  # type: ignore[arg-type]
    with pytest.raises(NotAllowed):
        mark(cases=[case], kind=MarkKind.REAL, by=overseer)
    assert not CaseMark.objects.exists()


def test_filing_goes_to_where_a_cluster_was_merged(constitution: Version, reviewer: User) -> None:
    first = add(text=text(), by=reviewer)
    other = Cluster.objects.create(version=constitution, principle_id="U-02", signal=Signal.REPORTED)
    EdgeCase.objects.update(cluster=other)
    Cluster.objects.filter(pk=first.cluster_id).update(merged_into=other)

    assert add(text=text(prompt="Two"), by=reviewer).cluster == other
    assert cases.cluster_for(version=constitution.pk, principle="G-01", signal="reported") == other


def test_command_imports_in_the_name_of_a_person(
    constitution: Version, reviewer: User, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.jsonl"
    file.write_bytes(lines(row(), row(prompt="Two", principle="Z-99"), {"prompt": "Ask"}).read())
    with pytest.raises(CommandError, match="no account named nobody"):
        call_command("import_edge_cases", file, by="nobody")
    with pytest.raises(CommandError, match="held out"):
        call_command("import_edge_cases", file, by="ada", held_out=True)
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_edge_cases", tmp_path / "none.jsonl", by="ada")

    call_command("import_edge_cases", file, by="ada")

    assert "2 accepted" in capsys.readouterr().out
    assert EdgeCase.objects.get().author == reviewer
