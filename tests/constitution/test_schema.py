"""Attempts to break the laws below the code, as somebody with a database shell would."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from constitution import ledger
from constitution.actions import found, publish
from constitution.errors import BaseMoved, LedgerBroken, Refused
from constitution.models import Clause, Constitution, LedgerEntry, Principle, User, Version, VersionClause
from constitution.proofs import Unproved
from tests.factories import make_clause, small_constitution

IMMUTABLE = [Constitution, Principle, Clause, Version, VersionClause, LedgerEntry]


@pytest.mark.parametrize("model", IMMUTABLE)
@pytest.mark.parametrize(
    "statement", ["DELETE FROM {table}", "UPDATE {table} SET {column} = {column}", "TRUNCATE {table} CASCADE"]
)
def test_schema_refuses_to_change_what_is_written_once(constitution: Version, model: type, statement: str) -> None:
    table, column = model._meta.db_table, model._meta.pk.column  # type: ignore[attr-defined]
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table=table, column=column))


def test_schema_refuses_another_clause_in_a_published_version(constitution: Version) -> None:
    clause = Clause.objects.first()
    assert clause is not None
    Principle.objects.create(id="Z-01")
    with pytest.raises(DatabaseError, match="never changes"), transaction.atomic():
        VersionClause.objects.create(
            version=constitution, clause=clause, principle_id="Z-01", position=99, since=1, origins=[1]
        )


@pytest.mark.parametrize(("number", "has_parent"), [(2, False), (3, True), (7, False), (1, True)])
def test_schema_refuses_a_history_that_is_not_a_line(constitution: Version, number: int, has_parent: bool) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        _version(constitution.constitution, number=number, parent=constitution if has_parent else None)


def test_schema_refuses_a_parent_of_another_constitution(constitution: Version, reviewer: User) -> None:
    other = found(slug="other", title="Other", by=reviewer)
    with pytest.raises(IntegrityError, match="does not follow"), transaction.atomic():
        _version(other, number=2, parent=constitution)


def test_schema_refuses_a_version_that_is_older_than_its_parent(constitution: Version) -> None:
    early = constitution.published_at - timedelta(seconds=1)
    with pytest.raises(IntegrityError, match="does not follow"), transaction.atomic():
        _version(constitution.constitution, number=2, parent=constitution, published_at=early)


def test_schema_refuses_a_second_constitution_at_home(constitution: Version) -> None:
    with pytest.raises(IntegrityError, match="constitution_one_is_home"), transaction.atomic():
        Constitution.objects.create(slug="another", title="Another", is_home=True)


def _version(document: Constitution, **fields: object) -> Version:
    founder = User.objects.earliest("pk")
    return Version.objects.create(
        **{"constitution": document, "digest": "0" * 64, "title": "T", "summary": "", "published_by": founder} | fields
    )


def test_schema_refuses_a_scope_on_a_universal_clause(constitution: Version) -> None:
    with pytest.raises(IntegrityError, match="clause_universal_holds_everywhere"), transaction.atomic():
        Clause.objects.create(
            principle_id="U-02", tier=1, title="T", text="T", scope={"region": ["EU"]}, digest="1" * 64
        )


def test_publish_seals_the_texts_in_their_order(constitution: Version) -> None:
    assert constitution.texts() == small_constitution()


def test_publish_on_another_base_than_the_head_is_refused(constitution: Version, reviewer: User) -> None:
    with pytest.raises(BaseMoved, match="version 1 is in force now"):
        publish(base=None, clauses=small_constitution(), title="Other", summary="", by=reviewer)


@pytest.mark.parametrize(
    ("clauses", "sentence"),
    [
        ([], "without clauses"),
        ([make_clause("T-01", 3, "One."), make_clause("T-01", 3, "Two.")], "T-01 came twice"),
        (small_constitution(), "Nothing would change"),
    ],
)
def test_publish_of_a_set_that_makes_no_sense_is_refused(
    constitution: Version, reviewer: User, clauses: list[object], sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        publish(base=constitution, clauses=clauses, title="Other", summary="", by=reviewer)  # type: ignore[arg-type]
    assert Version.objects.count() == 1


def test_publish_writes_a_wording_once(constitution: Version, reviewer: User) -> None:
    changed = [*small_constitution()[:3], make_clause("T-03", 3, "Decline in one sentence.")]

    publish(base=constitution, clauses=changed, title="Next", summary="", by=reviewer)

    assert Clause.objects.count() == 5


def test_publish_of_a_set_that_fails_a_proof_is_refused_with_the_place(constitution: Version, reviewer: User) -> None:
    over = make_clause("T-04", 3, "Answer first.", precedes=("U-02",))
    with pytest.raises(Unproved, match="U-02"):
        publish(base=constitution, clauses=[*small_constitution(), over], title="Next", summary="", by=reviewer)
    assert Version.objects.head() == constitution


def test_publish_carries_the_age_of_what_stays(constitution: Version, reviewer: User) -> None:
    medication = small_constitution()[1]
    reworded = medication.model_copy(update={"text": "Give general facts about medication. Ask a clinician for doses."})
    clauses = [*small_constitution()[2:], reworded, small_constitution()[0]]

    second = publish(base=constitution, clauses=clauses, title="Next", summary="", by=reviewer)

    ages = {row.principle_id: (row.since, row.origins) for row in second.version_clauses.all()}
    assert ages == {"U-02": (1, [1]), "H-02": (2, [1, 2]), "G-01": (1, [1]), "T-03": (1, [1])}


def test_publish_of_another_constitution_leaves_the_head_at_home(constitution: Version, reviewer: User) -> None:
    other = found(slug="other", title="Other", by=reviewer)
    day = datetime(2024, 5, 8, tzinfo=UTC)

    first = publish(
        base=None, clauses=small_constitution()[:2], title="O", summary="", by=reviewer, constitution=other, at=day
    )

    assert (first.number, first.published_at, first.subject) == (1, day, "version:other/1")
    assert Version.objects.head() == constitution
    assert other.versions.as_of(day - timedelta(days=1)) is None
    assert other.versions.as_of(day) == first


def test_publish_asks_a_constant_number_of_queries(
    constitution: Version, reviewer: User, django_assert_max_num_queries: object
) -> None:
    many = [make_clause(f"T-{number:03}", 3, f"Rule {number}.") for number in range(200)]
    with django_assert_max_num_queries(20):  # type: ignore[operator]
        publish(base=constitution, clauses=many, title="Long", summary="", by=reviewer)


def test_ledger_append_outside_a_transaction_is_refused(transactional_db: None) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        ledger.append(action="tried", by="nobody", subject="test:1")


def _entries() -> list[LedgerEntry]:
    for number in range(4):
        ledger.append(action="counted", by="test", subject=f"test:{number}", detail={"n": number})
    return list(LedgerEntry.objects.order_by("number"))


@pytest.mark.parametrize(
    ("tampering", "sentence"),
    [
        ("UPDATE constitution_ledgerentry SET detail = '{\"n\": 99}' WHERE number = 2", "Entry 2 was altered"),
        ("UPDATE constitution_ledgerentry SET actor_name = 'someone' WHERE number = 3", "Entry 3 was altered"),
        ("DELETE FROM constitution_ledgerentry WHERE number = 2", "Entry 2 is missing"),
        (
            "UPDATE constitution_ledgerentry SET number = CASE number WHEN 2 THEN 3 ELSE 2 END WHERE number IN (2, 3)",
            "Entry 2 does not follow entry 1",
        ),
    ],
)
def test_ledger_verify_names_the_first_entry_that_was_tampered_with(db: None, tampering: str, sentence: str) -> None:
    _entries()
    assert ledger.verify() == 4
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # what a superuser can do: no triggers
        for part in _in_steps(tampering):
            cursor.execute(part)
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
    with pytest.raises(LedgerBroken, match=sentence):
        ledger.verify()


def _in_steps(statement: str) -> list[str]:
    """A swap of two keys meets the unique index half-way: go through a third number."""
    if "CASE" not in statement:
        return [statement]
    table = "UPDATE constitution_ledgerentry SET number"
    return [f"{table} = 900 WHERE number = 2", f"{table} = 2 WHERE number = 3", f"{table} = 3 WHERE number = 900"]


def test_schema_refuses_a_ledger_entry_that_does_not_follow(db: None) -> None:
    last = _entries()[-1]
    with pytest.raises(DatabaseError, match="does not follow"), transaction.atomic():
        LedgerEntry.objects.create(
            number=last.number + 2,
            at=last.at,
            actor_name="x",
            action="x",
            subject="x",
            previous=last.digest,
            digest="f" * 64,
        )
