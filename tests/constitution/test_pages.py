import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from constitution.actions import publish
from constitution.models import LedgerEntry, User, Version
from tests.factories import make_clause, small_constitution


@pytest.fixture
def reader(client: Client, researcher: User) -> Client:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    return client


@pytest.fixture
def second_version(constitution: Version, reviewer: User) -> Version:
    changed = [*small_constitution()[:3], make_clause("T-03", 3, "Decline in one sentence, and do not preach.")]
    return publish(base=constitution, clauses=changed, title="A small constitution", summary="Shorter.", by=reviewer)


def test_history_lists_what_each_version_changed(reader: Client, second_version: Version) -> None:
    page = reader.get(reverse("constitution:history"))

    newest, founding = page.context["versions"]
    assert [line._asdict() for line in newest["changes"]] == [
        {"principle": "T-03", "title": "Decline in one sentence, and do not preach", "tier": 3, "kind_label": "revised"}
    ]
    assert (founding["changes"], founding["change_count"]) == ([], 4)


def test_history_asks_the_same_number_of_queries_for_many(
    reader: Client, constitution: Version, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    reader.get(reverse("constitution:history"))
    with django_assert_num_queries(9):
        reader.get(reverse("constitution:history"))
    head = constitution
    for number in range(25):
        changed = [*small_constitution()[:3], make_clause("T-03", 3, f"Decline in {number} words.")]
        head = publish(base=head, clauses=changed, title="A law", summary=f"{number}", by=reviewer)
    with django_assert_num_queries(9):
        page = reader.get(reverse("constitution:history"))
    assert page.context["older_url"] == "?after=7"


def test_compare_shows_the_words_that_moved(reader: Client, second_version: Version) -> None:
    page = reader.get(reverse("constitution:compare", args=[1, 2]))

    (change,) = page.context["changes"]
    kinds = {segment.kind: segment.text for segment in change["redline"]}
    assert (change["principle"], kinds["ins"].strip(), kinds["del"].strip()) == ("T-03", "in one sentence", "briefly")
    assert page.context["unchanged_count"] == 3


def test_settings_switch_single_key_shortcuts_off_and_on(reader: Client, researcher: User) -> None:
    reader.post(reverse("constitution:settings"), {})
    researcher.refresh_from_db()
    assert not researcher.single_key_shortcuts
    assert LedgerEntry.objects.get().action == "shortcuts set"

    reader.post(reverse("constitution:settings"), {"single_key_shortcuts": "on"})
    researcher.refresh_from_db()
    assert researcher.single_key_shortcuts
