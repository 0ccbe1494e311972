"""Proofs on a page and from the command line: proved, or refuted where a person can look."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from constitution import profiles
from constitution.models import Clause, Constitution, Principle, User, Version, VersionClause
from constitution.profile_texts import ProfileText
from constitution.texts import ClauseText
from tests.factories import make_clause


@pytest.fixture
def reader(client: Client, researcher: User) -> Client:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    return client


@pytest.fixture
def unproved(researcher: User) -> Version:
    """A version from before there were proofs, which none can be published as now: two clauses exclude each other."""
    clauses = [
        make_clause("U-01", 1, "Hurt nobody."),
        make_clause("A-01", 2, "Be brief.", scope={"region": ["EU"]}, exclusive_with=["B-01"]),
        make_clause("B-01", 2, "Be thorough.", scope={"industry": ["healthcare"]}),
    ]
    home = Constitution.objects.create(slug="home", title="Old law", is_home=True)
    version = Version(id=10**6, constitution=home, number=1, digest="d" * 64, title="Old law", published_by=researcher)
    for position, clause in enumerate(clauses, start=1):
        Principle.objects.create(id=clause.principle)
        VersionClause.objects.create(
            version_id=version.pk,
            clause=_row(clause),
            principle_id=clause.principle,
            position=position,
            since=1,
            origins=[1],
        )
    version.save(force_insert=True)
    return version


def _row(clause: ClauseText) -> Clause:
    content = clause.model_dump(mode="json")
    return Clause.objects.create(principle_id=content.pop("principle"), digest=clause.digest, **content)


@pytest.fixture
def clashing_profile(constitution: Version, researcher: User) -> str:
    """Its clause excludes one of the base wherever both hold."""
    clause = make_clause("W-01", 2, "Send everyone back to bed.", exclusive_with=["H-02"])
    profiles.create(content=ProfileText(slug="ward", name="Ward", clauses=(clause,)), by=researcher)
    return "ward"


def run(**options: object) -> str:
    out = StringIO()
    call_command("prove", stdout=out, **options)
    return out.getvalue()


def test_proofs_page_names_each_claim_and_what_it_took(reader: Client, constitution: Version) -> None:
    page = reader.get("/versions/1/proofs/")
    assert page.context["proved_count"] == len(page.context["proofs"]) >= 6
    assert all(proof["milliseconds"] > 0 and not proof["sentence"] for proof in page.context["proofs"])
    again = reader.get("/versions/1/proofs/")
    assert again.context["proofs"] == page.context["proofs"], "kept, with the time that it took"


def test_proofs_page_of_a_refuted_claim_links_to_where_it_fails(reader: Client, unproved: Version) -> None:
    page = reader.get("/versions/1/proofs/")
    (refuted,) = [proof for proof in page.context["proofs"] if proof["result"] == "refuted"]
    assert {clause["id"] for clause in refuted["clauses"]} == {"A-01", "B-01"}
    shown = reader.get(refuted["context_url"])
    held = {row["id"] for tier in shown.context["tiers"] for row in tier["clauses"] if row["in_force"]}
    assert {"A-01", "B-01"} <= held


def test_proofs_page_of_a_profile_speaks_of_it_alone(reader: Client, clashing_profile: str) -> None:
    page = reader.get("/profiles/ward/proofs/")
    (refuted,) = [proof for proof in page.context["proofs"] if proof["result"] == "refuted"]
    shown = reader.get(refuted["context_url"])
    assert {clause["id"] for clause in refuted["clauses"]} <= {row["id"] for row in shown.context["held"]}
    assert reader.get("/versions/1/proofs/").context["proved_count"] == len(page.context["proofs"])


def test_prove_prints_a_line_for_each_claim(constitution: Version) -> None:
    heading, *lines = run().splitlines()
    assert heading == "A small constitution, version 1"
    assert len(lines) >= 6
    assert all(line.startswith("proved") and " ms" in line for line in lines)


def test_prove_fails_with_the_context_that_breaks_it(unproved: Version) -> None:
    with pytest.raises(CommandError, match=r"region EU.*industry healthcare.*A-01 and B-01 both hold"):
        run()


def test_prove_of_a_profile_fails_for_it_alone(clashing_profile: str) -> None:
    with pytest.raises(CommandError, match="ward/W-01"):
        run(profile="ward")
    assert "proved" in run(number=1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"profile": "nobody"}, "no profile named nobody"),
        ({"constitution": "nowhere"}, "no constitution named nowhere"),
        ({"number": 7}, "has no version 7"),
    ],
)
def test_prove_says_what_is_not_there(constitution: Version, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run(**options)


def test_prove_before_the_founding_says_so(db: None) -> None:
    with pytest.raises(CommandError, match="Nothing is published yet"):
        run()
