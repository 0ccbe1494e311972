"""Where each sentence comes from: the same for any history, in as many queries for any length of it."""

from itertools import pairwise

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import DjangoAssertNumQueries

from amendments.actions import edit_and_accept
from amendments.models import Review
from constitution.blame import passages, sources
from constitution.models import Clause, User, Version, VersionClause
from constitution.sentences import origins, split
from tests import factories
from tests.constitution.histories import accept_rewording, import_history, many_versions, measure, reword
from tests.factories import make_producer

HOSTILE = "<script>alert(1)</script> {{ 7|add:7 }} says hello."
sentence = st.sampled_from(["Be kind.", "Be brief.", "Ask first.", "Say so.", "Help."])


@pytest.fixture
def reader(client: Client, researcher: User) -> Client:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    return client


@given(st.lists(st.lists(sentence, min_size=1, max_size=6, unique=True), min_size=1, max_size=8))
@settings(max_examples=50)
def test_passages_join_to_the_text_and_name_no_version_that_lacks_them(history: list[list[str]]) -> None:
    texts = [" ".join(sentences) for sentences in history]
    known = origins(texts[0], 1)
    for number, (before, after) in enumerate(pairwise(texts), start=2):
        known = origins(after, number, before=before, known=known)

    found = passages(VersionClause(clause=Clause(text=texts[-1]), origins=known))

    assert "".join(text for _, text in found) == texts[-1]
    for number, text in found:
        assert all(one.strip() in texts[number - 1] for one in split(text))


def test_blame_names_proposal_votes_evidence_and_round(reader: Client, constitution: Version, reviewer: User) -> None:
    amendment = accept_rewording("T-03", "Decline briefly, and do not preach. Stay kind.", voters=[reviewer])
    later = reword(Version.objects.get(number=2), {"G-01": "Help with what is harmless."}, by=reviewer)
    finished = measure(later, 3)

    page = reader.get(reverse("constitution:version-blame", args=[3]))

    rows = {row["principle"]: row["passages"] for row in page.context["clauses"]}
    old, new = rows["T-03"]
    assert (old["text"], old["source"].number, old["source"].amendment) == (
        "Decline briefly, and do not preach.",
        1,
        None,
    )
    assert (new["text"], new["source"].number, new["source"].amendment) == ("Stay kind.", 2, amendment.pk)
    source = new["source"]
    assert (source.proposer, source.is_machine, source.published_by) == ("a small model · cccccccc", True, "ada")
    assert (source.approvals, source.rejections, source.evidence) == (1, 0, 3)
    assert source.first_round is not None
    assert (source.first_round.pk, source.first_round.number) == (finished.pk, 3)
    assert rows["G-01"][0]["is_new"]


def test_blame_names_the_earliest_round_that_covers_a_sentence(constitution: Version, reviewer: User) -> None:
    head = many_versions(constitution, 5, by=reviewer)
    first, second = measure(Version.objects.get(number=3), 3), measure(Version.objects.get(number=5), 3)

    found = sources(head.constitution, range(1, 7))

    rounds = {number: source.first_round.pk if source.first_round else None for number, source in found.items()}
    assert rounds == {1: first.pk, 2: first.pk, 3: first.pk, 4: second.pk, 5: second.pk, 6: None}


def test_blame_counts_votes_on_the_accepted_words_alone(
    constitution: Version, reviewer: User, other_reviewer: User
) -> None:
    proposal = factories.propose_revision("T-03", "Decline in one word.")
    Review.objects.create(
        amendment=proposal, reviewer=other_reviewer, verdict="reject", digest=proposal.digest, reason="Too curt."
    )
    edit_and_accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text="Decline in one sentence.")

    (source,) = sources(constitution.constitution, [2]).values()

    assert [(vote.voter, vote.is_final) for vote in source.votes] == [("grace", False), ("ada", True)]
    assert (source.approvals, source.rejections) == (1, 0)


def test_blame_asks_the_same_number_of_queries_for_a_long_history(
    reader: Client, constitution: Version, reviewer: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    accept_rewording("T-03", "Decline in one sentence.", voters=[reviewer])
    with django_assert_num_queries(11):
        reader.get(reverse("constitution:version-blame", args=[2]))
    for number in range(3, 9):
        accept_rewording(
            "T-03",
            f"Decline in one sentence. Rule {number}.",
            by=make_producer(f"model {number}"),
            voters=[reviewer],
        )
        measure(Version.objects.get(number=number), 3)
    with django_assert_num_queries(11):
        page = reader.get(reverse("constitution:version-blame", args=[8]))
    assert page.context["source_count"] == 3


def test_blame_escapes_what_a_model_wrote(reader: Client, constitution: Version, reviewer: User) -> None:
    accept_rewording("T-03", HOSTILE, by=make_producer("<b>bold</b>"), voters=[reviewer])
    page = reader.get(reverse("constitution:version-blame", args=[2])).content.decode()
    assert "<script>alert(1)" not in page
    assert "<b>bold" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7|add:7 }} says hello." in page


def test_blame_of_an_import_names_its_own_versions(reader: Client, constitution: Version, reviewer: User) -> None:
    texts = ["Say what is true. Be kind.", "Say what is true. Be brief.", "Say what is true. Be brief. Ask."]
    import_history("charter", texts, by=reviewer)
    page = reader.get("/constitutions/charter/versions/3/blame/")
    (clause,) = page.context["clauses"]
    assert [(row["source"].number, row["text"]) for row in clause["passages"]] == [
        (1, "Say what is true."),
        (2, "Be brief."),
        (3, "Ask."),
    ]
    assert "not trained on yet" not in page.content.decode()
