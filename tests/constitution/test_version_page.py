"""The text of a version, and what of it holds in a context."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from constitution.actions import found, publish
from constitution.models import User, Version
from tests.factories import make_clause, publish_founding_version, small_constitution

Cards = dict[str, dict[str, Any]]


@pytest.fixture
def reader(client: Client, researcher: User) -> Client:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    return client


@pytest.fixture
def related(db: None) -> Version:
    """Clauses that speak of each other, and one that follows from a region."""
    universal, medication, harmless, style = small_constitution()
    european = make_clause("A-01", 2, "Say that it is an AI.", scope={"regulation": ["EU-AI-Act"]})
    linked = {"refers_to": ("U-02",), "precedes": ("T-03", "A-01"), "exclusive_with": ("A-01",), "may_narrow": True}
    return publish_founding_version(
        clauses=[universal, medication, harmless.model_copy(update=linked), european, style]
    )


def cards(client: Client, **query: Any) -> Cards:
    page = client.get(reverse("constitution:head"), query)
    assert page.status_code == 200
    return {card["id"]: card for tier in page.context["tiers"] for card in tier["clauses"]}


def test_head_before_the_founding_is_not_found(reader: Client) -> None:
    assert reader.get(reverse("constitution:head")).status_code == 404


def test_version_page_groups_by_tier_and_knows_since_when(
    reader: Client, constitution: Version, reviewer: User
) -> None:
    changed = [*small_constitution()[:3], make_clause("T-03", 3, "Decline in one sentence, and do not preach.")]
    publish(base=constitution, clauses=changed, title="A small constitution", summary="Shorter.", by=reviewer)

    page = reader.get(reverse("constitution:head"))

    assert [tier["tier"] for tier in page.context["tiers"]] == [1, 2, 3]
    assert {name: card["since"] for name, card in cards(reader).items()} == {"U-02": 1, "H-02": 1, "G-01": 1, "T-03": 2}


def test_version_page_without_a_context_says_no_verdict(reader: Client, constitution: Version) -> None:
    assert {card["in_force"] for card in cards(reader).values()} == {None}
    assert "Holds here" not in reader.get(reverse("constitution:head")).content.decode()


def test_version_page_in_a_context_says_why(reader: Client, related: Version) -> None:
    found = cards(reader, region="France", industry=["healthcare", ""])
    assert found["H-02"]["reason"] == "Its scope is met: industry healthcare."
    assert "regulation EU-AI-Act (EU implies EU-AI-Act)" in found["A-01"]["reason"]
    assert "Gives way to G-01" in str(found["T-03"]["reason"])
    follows = reader.get(reverse("constitution:head"), {"region": "FR"}).context["context_follows"]
    assert {"FR lies in EU", "EU implies GDPR", "EU implies EU-AI-Act"} <= set(follows)


def test_version_page_keeps_several_values_of_a_dimension(reader: Client, related: Version) -> None:
    page = reader.get(reverse("constitution:head"), {"region": ["US-CA", "FR"], "audience": "minors"})
    chosen = {field["name"]: [choice["id"] for choice in field["chosen"]] for field in page.context["context_fields"]}
    assert chosen == {"region": ["FR", "US-CA"], "industry": [], "regulation": [], "audience": ["minors"]}
    assert page.context["prompt_url"].endswith("?region=FR&region=US-CA&audience=minors")


def test_version_page_names_what_an_unknown_value_may_have_meant(reader: Client, related: Version) -> None:
    page = reader.get(reverse("constitution:head"), {"region": ["Frnace", "US"], "industry": "healthcare"})

    assert page.status_code == 422
    field = page.context["context_fields"][0]
    assert field["typed"] == "Frnace"
    assert "There is no region “Frnace”. Did you mean FR (France)" in field["error"]
    assert field["near"][0] == {"id": "FR", "url": "?region=US&region=FR&industry=healthcare"}
    assert page.context["context_chosen"], "what was understood is answered"


def test_version_page_survives_any_query(reader: Client, related: Version) -> None:
    for value in ("<script>alert(1)</script>", "\x00", "x" * 5000, "' OR 1=1 --"):
        page = reader.get(reverse("constitution:head"), {"region": value, "nonsense": value})
        assert page.status_code == 422
        assert "<script>alert" not in page.content.decode()
    assert reader.get(reverse("constitution:head"), {"region": ["FR"] * 60}).status_code == 422


def test_version_page_links_the_clauses_that_a_clause_speaks_of(reader: Client, related: Version) -> None:
    card = cards(reader)["G-01"]
    assert card["relations"] == [
        {"label": "points to", "clauses": [{"id": "U-02", "url": "#U-02"}]},
        {"label": "prevails over", "clauses": [{"id": "T-03", "url": "#T-03"}, {"id": "A-01", "url": "#A-01"}]},
        {"label": "never together with", "clauses": [{"id": "A-01", "url": "#A-01"}]},
    ]
    assert "a profile may narrow it" in reader.get(reverse("constitution:head")).content.decode()


def test_version_page_escapes_what_a_document_says(reader: Client, db: None) -> None:
    hostile = make_clause("G-01", 2, "<img src=x onerror=alert(1)> {% now %}", title="</h3><script>alert(1)</script>")
    publish_founding_version(clauses=[*small_constitution()[:2], hostile])
    text = reader.get(reverse("constitution:head")).content.decode()
    assert "&lt;img src=x" in text
    assert "<img src=x" not in text
    assert "<script>alert" not in text


def test_version_prompt_is_plain_text_of_what_holds(reader: Client, related: Version) -> None:
    url = reverse("constitution:version-prompt", args=[1])
    answer = reader.get(url, {"region": "FR"})
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert "[A-01]" in answer.content.decode()
    assert "[H-02]" not in answer.content.decode()
    wrong = reader.get(url, {"region": "Frnace"})
    assert (wrong.status_code, "Did you mean FR" in wrong.content.decode()) == (422, True)


def test_version_page_of_an_imported_constitution_has_its_own_addresses(
    reader: Client, constitution: Version, operator: User
) -> None:
    imported = found(slug="other", title="Another", by=operator)
    clauses = [
        make_clause("avoid_harm", 1, "Avoid harm."),
        make_clause("be_kind", 3, "Be kind."),
        make_clause("keep_secrets", 1, "Keep secrets."),
    ]
    publish(base=None, clauses=clauses, title="Another", summary="", by=operator, constitution=imported)
    page = reader.get("/constitutions/other/versions/1/")
    groups = [(group["tier"], [row["id"] for row in group["clauses"]]) for group in page.context["tiers"]]
    assert groups == [(1, ["avoid_harm", "keep_secrets"]), (3, ["be_kind"])]
    assert page.context["proofs_url"] == "/constitutions/other/versions/1/proofs/"
    assert reader.get(page.context["prompt_url"]).status_code == 200
