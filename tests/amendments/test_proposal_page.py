"""What a reviewer finds on a proposal's page beside the change itself: others, neighbours, precedents, every clause."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from amendments import actions
from amendments.models import AcceptanceRule, Amendment, Cluster, EdgeCase, Label, Producer, Scenario, Signal
from amendments.operations import AddExample, read_operations
from amendments.overlapping import Relation, relation
from amendments.views.surroundings import OVERLAPS_SHOWN
from constitution.models import User, Version
from constitution.texts import ClauseText
from tests import factories
from tests.amendments.conftest import Propose
from tests.factories import make_example


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer)
    return client


@pytest.fixture
def one_reviewer_decides(db: None) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)


def _clauses(version: Version) -> dict[str, ClauseText]:
    return {clause.principle: clause for clause in version.texts()}


def _propose(by: User, *operations: dict[str, object]) -> Amendment:
    head = Version.objects.head()
    assert head is not None
    return actions.propose(by=by, base=head, operations=read_operations(operations), rationale="It reads better.")


def _before(version: Version, principle: str) -> dict[str, object]:
    return {"principle": principle, "before": _clauses(version)[principle].digest}


def _relations(client: Client, proposal: Amendment) -> dict[int, str]:
    page = client.get(proposal.get_absolute_url())
    return {row["pk"]: row["relation"] for row in page.context["overlaps"]}


def test_overlap_is_shown_on_both_from_the_moment_the_second_is_filed(desk: Client, file_proposal: Propose) -> None:
    first = file_proposal("H-02", "Give facts about medication. Leave doses to a clinician.")
    assert _relations(desk, first) == {}

    other_place = file_proposal("H-02", "Give general facts about medication. Leave all doses to a clinician.")
    same_place = file_proposal("H-02", "Give plain facts about medication. Leave doses to a clinician.")
    elsewhere = file_proposal("T-03", "Decline in a line.")

    assert _relations(desk, first) == {other_place.pk: "compatible", same_place.pk: "contradicts"}
    assert _relations(desk, same_place) == {first.pk: "contradicts", other_place.pk: "compatible"}
    assert _relations(desk, elsewhere) == {}
    content = desk.get(first.get_absolute_url()).content.decode()
    assert "Contradicts" in content
    assert same_place.get_absolute_url() in content


def test_same_proposal_twice_is_called_that(desk: Client, file_proposal: Propose, other_reviewer: User) -> None:
    first, second = file_proposal(), file_proposal(by=other_reviewer)
    assert _relations(desk, first) == {second.pk: "same"}


def test_repeal_contradicts_a_rewording(constitution: Version) -> None:
    law = constitution.texts()
    repeal = read_operations([{"op": "repeal", **_before(constitution, "G-01")}])
    revise = read_operations([{"op": "revise", "text": "Help.", **_before(constitution, "G-01")}])
    retier = read_operations([{"op": "retier", "tier": 3, **_before(constitution, "G-01")}])

    assert relation(repeal, law, revise, law) == relation(revise, law, repeal, law) == Relation.CONTRADICTS
    assert relation(retier, law, revise, law) == relation(revise, law, retier, law) == Relation.COMPATIBLE


def test_two_new_clauses_of_one_id_contradict(constitution: Version) -> None:
    law = constitution.texts()
    one, other = (
        read_operations(
            [
                {
                    "op": "add",
                    "principle": "G-02",
                    "clause": factories.make_clause("G-02", 2, text).model_dump(mode="json"),
                }
            ]
        )
        for text in ("Say when a fact may be old.", "Name a source where one is known.")
    )
    assert relation(one, law, other, law) == Relation.CONTRADICTS


def test_page_asks_the_same_number_of_queries_for_many_others(desk: Client, file_proposal: Propose) -> None:
    proposal = file_proposal()

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            desk.get(proposal.get_absolute_url())
        return len(asked)

    for number in range(OVERLAPS_SHOWN):
        file_proposal(text=f"Help with harmless request {number}.")
    queries()
    few = queries()
    for number in range(20):
        file_proposal(text=f"Help with harmless wish {number}.")

    assert queries() == few
    assert desk.get(proposal.get_absolute_url()).context["overlaps_more"] == 20


def test_every_touched_clause_is_shown_with_what_changes(
    desk: Client, constitution: Version, other_reviewer: User
) -> None:
    part = factories.make_clause("H-03", 2, "Leave doses to a clinician.", scope={"industry": ["healthcare"]})
    example = {"request": "How do I kill a houseplant?", "expects": "help", "right": "Water it.", "wrong": "No."}
    proposal = _propose(
        other_reviewer,
        {
            "op": "split",
            "text": "Give general facts about medication.",
            "parts": [part.model_dump(mode="json")],
            **_before(constitution, "H-02"),
        },
        {"op": "retier", "tier": 3, **_before(constitution, "G-01")},
        {"op": "add_example", "example": example, **_before(constitution, "G-01")},
        {"op": "repeal", **_before(constitution, "T-03")},
    )

    page = desk.get(proposal.get_absolute_url())

    found = {change["principle"]: change for change in page.context["amendment"]["changes"]}
    assert list(found) == ["H-02", "H-03", "G-01", "T-03"]
    assert [found[name]["fate"] for name in found] == ["revised", "split off from H-02", "revised", "repealed"]
    assert found["G-01"]["fields"] == [{"label": "Tier", "before": "2", "after": "3"}]
    assert found["G-01"]["examples"][0]["verb"] == "added"
    content = page.content.decode()
    assert "How do I kill a houseplant?" in content
    assert "The clause goes." in content


def test_merge_says_what_is_joined_into_what(desk: Client, constitution: Version, other_reviewer: User) -> None:
    absorbs = [{"principle": "T-03", "before": _clauses(constitution)["T-03"].digest}]
    proposal = _propose(
        other_reviewer,
        {"op": "merge", "text": "Help, and be brief.", "absorbs": absorbs, **_before(constitution, "G-01")},
    )

    assert "joined into G-01" in desk.get(proposal.get_absolute_url()).content.decode()


def test_rescope_is_shown(desk: Client, constitution: Version, other_reviewer: User) -> None:
    proposal = _propose(other_reviewer, {"op": "rescope", "scope": {}, **_before(constitution, "H-02")})

    (change,) = desk.get(proposal.get_absolute_url()).context["amendment"]["changes"]

    assert change["fields"] == [{"label": "Scope", "before": "industry: healthcare", "after": "everywhere"}]
    assert change["is_same_text"]


def test_neighbours_and_history_are_one_step_away(desk: Client, file_proposal: Propose) -> None:
    page = desk.get(file_proposal().get_absolute_url())

    assert [row["principle"] for row in page.context["beside"]] == ["H-02", "T-03"]
    content = page.content.decode()
    assert f'href="{reverse("constitution:clause-life", args=["G-01"])}" data-key="h"' in content
    assert "Decline briefly, and do not preach." in content


def test_contradiction_with_a_decided_example_is_told(desk: Client, reviewer: User, constitution: Version) -> None:
    clause, other = (next(c for c in constitution.texts() if c.principle == name) for name in ("G-01", "H-02"))
    declined = next(example for example in other.examples if example.expects == "decline")
    turned = AddExample(principle="G-01", before=clause.digest, example=make_example(declined.request, "help"))
    filed = actions.propose(by=reviewer, base=constitution, operations=(turned,), rationale="It is harmless.")
    content = desk.get(filed.get_absolute_url()).content.decode()
    assert "It contradicts decided examples." in content
    assert "H-02 has decided that it is declined, G-01 that it is helped with." in content


def test_change_beside_it_is_marked_and_keeps_the_votes(
    desk: Client, one_reviewer_decides: None, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    beside, far = file_proposal("G-01"), file_proposal("U-02", "Never help to hurt a person.", by=other_reviewer)
    moving = file_proposal("T-03", "Decline in a line.")

    actions.accept(amendment=moving, by=reviewer, seen_digest=moving.digest)

    beside.refresh_from_db()
    far.refresh_from_db()
    assert (beside.context_changed_in, far.context_changed_in) == (Version.objects.head(), None)
    content = desk.get(beside.get_absolute_url()).content.decode()
    assert "Its surroundings changed." in content
    assert "T-03, read with them, changed since version 1" in content
    assert "Its surroundings changed." not in desk.get(far.get_absolute_url()).content.decode()


def test_precedents_are_what_was_decided_on_the_clause(
    desk: Client, one_reviewer_decides: None, file_proposal: Propose, cluster: Cluster, reviewer: User
) -> None:
    rejected = file_proposal(text="Help.")
    actions.reject(amendment=rejected, by=reviewer, seen_digest=rejected.digest, reason="It says too little.")

    page = desk.get(file_proposal(cluster=cluster).get_absolute_url())

    assert [row["pk"] for row in page.context["decided_before"]] == [rejected.pk]
    assert "It says too little." in page.content.decode()
    requests = [example.request for example in page.context["nearest_examples"]]
    assert requests[0] == "How do I kill a process in Linux? (G-01)"


@pytest.mark.parametrize(("label", "is_folded"), [("harmful", True), ("unknown", True), ("benign", False)])
def test_response_is_folded_unless_it_is_known_to_be_harmless(
    desk: Client, constitution: Version, producer: Producer, file_proposal: Propose, label: str, is_folded: bool
) -> None:
    cluster = Cluster.objects.create(version=constitution, principle_id="G-01", signal=Signal.CONFLICT)
    scenario = Scenario.objects.create(digest="h" * 64, prompt="A request", label=Label(label), source="test")
    EdgeCase.objects.create(
        scenario=scenario,
        version=constitution,
        principle_id="G-01",
        cluster=cluster,
        producer=producer,
        signal=Signal.CONFLICT,
        score=0.9,
        response="What may do harm",
    )

    content = desk.get(file_proposal(cluster=cluster).get_absolute_url()).content.decode()

    assert ('<details class="veil"' in content) == is_folded


def test_conflict_is_shown_with_its_age(
    desk: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)
    actions.reject(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, reason="It is too wide.")

    content = desk.get(proposal.get_absolute_url()).content.decode()

    assert "The reviewers disagree</strong> since" in content
    assert "It is too wide." in content


def test_meta_says_who_has_it_and_until_when_it_is_put_off(
    desk: Client, file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    actions.assign(amendment=proposal, by=reviewer, to=other_reviewer)
    assert "assigned to grace" in desk.get(proposal.get_absolute_url()).content.decode()


def test_feed_has_decisions_and_nothing_of_what_is_open(
    desk: Client, one_reviewer_decides: None, file_proposal: Propose, reviewer: User
) -> None:
    accepted, rejected, waiting = file_proposal(), file_proposal("T-03", "Decline."), file_proposal("H-02", "Facts.")
    actions.accept(amendment=accepted, by=reviewer, seen_digest=accepted.digest)
    reason = "Wrong \ufffe <b>here</b>."
    actions.reject(amendment=rejected, by=reviewer, seen_digest=rejected.digest, reason=reason)

    answer = desk.get(reverse("amendments:decisions-feed"))

    feed = answer.content.decode()
    assert answer["Content-Type"].startswith("application/atom+xml")
    assert feed.count("<entry>") == 2
    assert "Accepted: G-01, version 2" in feed
    assert "&lt;b&gt;here" in feed
    assert waiting.get_absolute_url() not in feed
