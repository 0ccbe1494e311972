"""What becomes of undecided amendments when the head moves, and of those that are taken back."""

from typing import Any

import pytest
from django.test import Client

from amendments import actions, states
from amendments.errors import AlreadyDecided, ContentMoved
from amendments.models import AcceptanceRule, Amendment, Revision
from amendments.operations import OutOfDate, read_operations
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, User, Version
from tests.factories import make_clause, make_producer

MEDICATION = "Give general facts about medication. Leave doses to a clinician."
ALL_DOSES = "Give general facts about medication. Leave all doses to a clinician."


@pytest.fixture(autouse=True)
def one_reviewer(constitution: Version) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=1)


def file(by: User, *operations: dict[str, Any]) -> Amendment:
    """A person's amendment on the head; each operation gets the wording it was written against."""
    head = Version.objects.head()
    assert head is not None
    digests = {clause.principle: clause.digest for clause in head.texts()}
    ready = [
        operation if operation["op"] == "add" else {"before": digests[operation["principle"]], **operation}
        for operation in operations
    ]
    return actions.propose(by=by, base=head, operations=read_operations(ready), rationale="It was unclear.")


def revise(text: str, principle: str = "H-02") -> dict[str, Any]:
    return {"op": "revise", "principle": principle, "text": text}


def accept(amendment: Amendment, by: User) -> Amendment:
    return actions.accept(amendment=amendment, by=by, seen_digest=amendment.digest)


def text_of(version: Version | None, principle: str) -> str:
    assert version is not None
    return {clause.principle: clause.text for clause in version.texts()}[principle]


def test_amendment_to_other_words_of_the_clause_is_carried_over(reviewer: User, other_reviewer: User) -> None:
    waiting = file(other_reviewer, revise("Give plain facts about medication. Leave doses to a clinician."))
    accept(file(other_reviewer, revise(ALL_DOSES)), reviewer)

    seen = waiting.digest
    waiting.refresh_from_db()

    assert (waiting.state, waiting.base.number, waiting.digest == seen) == (states.OPEN, 2, False)
    assert waiting.revisions.last() == Revision.objects.get(note="Carried over to version 2.")
    with pytest.raises(ContentMoved):
        actions.accept(amendment=waiting, by=reviewer, seen_digest=seen)
    assert text_of(accept(waiting, reviewer).version, "H-02") == (
        "Give plain facts about medication. Leave all doses to a clinician."
    )


def example(request: str) -> dict[str, Any]:
    answers = {"right": "Here is how.", "wrong": "I can't help with that."}
    return {"op": "add_example", "principle": "H-02", "example": {"request": request, "expects": "help", **answers}}


@pytest.mark.parametrize("operation", [revise(ALL_DOSES), example("How do I store insulin?")])
def test_amendment_that_says_the_same_is_closed_and_keeps_nothing_from_being_accepted(
    operation: dict[str, Any], reviewer: User, other_reviewer: User
) -> None:
    first, second = file(other_reviewer, operation), file(other_reviewer, operation)
    accepted = accept(first, reviewer)
    assert (accepted.state, accepted.version and accepted.version.number) == (states.ACCEPTED, 2)
    second.refresh_from_db()
    assert (second.state, second.base.number) == (states.OBSOLETE, 1)
    assert second.reason == "Version 2 says the same already."
    with pytest.raises(AlreadyDecided, match="was closed, because its clause changed, at"):
        accept(second, reviewer)


def test_example_that_is_decided_otherwise_meanwhile_waits_and_keeps_nothing_from_being_accepted(
    reviewer: User, other_reviewer: User
) -> None:
    other = example("How do I store insulin?")
    other["example"] = {**other["example"], "right": "Keep it cool."}
    first, second = file(other_reviewer, example("How do I store insulin?")), file(other_reviewer, other)
    assert accept(first, reviewer).state == states.ACCEPTED
    second.refresh_from_db()
    assert (second.state, second.base.number) == (states.NEEDS_REBASE, 1)


def test_wording_settles_a_clash_and_drops_nothing_else_that_was_proposed(reviewer: User, other_reviewer: User) -> None:
    mine = "Give general facts about medication. Leave any dose to a doctor."
    both = file(other_reviewer, revise(mine), example("How do I store insulin?"))
    accept(file(other_reviewer, revise(ALL_DOSES)), reviewer)
    both.refresh_from_db()
    assert both.state == states.NEEDS_REBASE
    settled = actions.edit(amendment=both, by=other_reviewer, seen_digest=both.digest, text=mine)
    assert [operation["op"] for operation in settled.revisions.order_by("-number")[0].operations] == [
        "revise",
        "add_example",
    ]
    version = accept(settled, reviewer).version
    assert version is not None
    clause = next(clause for clause in version.texts() if clause.principle == "H-02")
    assert clause.text == mine
    assert "How do I store insulin?" in {one.request for one in clause.examples}


def test_clash_that_no_wording_settles_says_so_and_keeps_what_was_proposed(
    reviewer: User, other_reviewer: User
) -> None:
    gone = file(other_reviewer, {"op": "repeal", "principle": "H-02"})
    accept(file(other_reviewer, revise(ALL_DOSES)), reviewer)
    gone.refresh_from_db()
    assert gone.state == states.NEEDS_REBASE
    with pytest.raises(OutOfDate, match="does more than reword H-02"):
        actions.edit(amendment=gone, by=other_reviewer, seen_digest=gone.digest, text=MEDICATION)
    gone.refresh_from_db()
    assert [one.operations[0]["op"] for one in gone.revisions.all()] == ["repeal"]


def test_machine_files_nothing_on_words_that_are_no_longer_in_force(reviewer: User, other_reviewer: User) -> None:
    base = Version.objects.head()
    assert base is not None
    before = {clause.principle: clause.digest for clause in base.texts()}
    by_name = {
        principle: read_operations([{"before": before[principle], **revise("It helps at once.", principle)}])
        for principle in ("H-02", "G-01")
    }
    accept(file(other_reviewer, revise("It helps.", "G-01")), reviewer)
    producer = make_producer()
    with pytest.raises(OutOfDate, match="Version 2 is in force by now"):
        actions.propose(by=producer, base=base, operations=by_name["G-01"], rationale="It was unclear.")
    filed = actions.propose(by=producer, base=base, operations=by_name["H-02"], rationale="It was unclear.")
    assert accept(filed, reviewer).version is not None, "its own clause is as it was"


def test_amendment_to_the_same_words_waits_for_people_and_loses_nothing(reviewer: User, other_reviewer: User) -> None:
    mine = "Give general facts about medication. Leave any dose to a doctor."
    waiting = file(other_reviewer, revise(mine))
    accept(file(other_reviewer, revise(ALL_DOSES)), reviewer)
    waiting.refresh_from_db()
    assert waiting.state == states.NEEDS_REBASE
    with pytest.raises(Refused, match="Edit the text to settle that"):
        accept(waiting, reviewer)

    settled = actions.edit(amendment=waiting, by=other_reviewer, seen_digest=waiting.digest, text=mine)

    assert (settled.state, settled.base.number) == (states.OPEN, 2)
    assert text_of(accept(settled, reviewer).version, "H-02") == mine


def test_clash_over_a_clause_that_is_gone_says_so(reviewer: User, other_reviewer: User) -> None:
    waiting = file(other_reviewer, revise(ALL_DOSES))
    accept(file(other_reviewer, {"op": "repeal", "principle": "H-02"}), reviewer)
    waiting.refresh_from_db()

    with pytest.raises(OutOfDate, match="H-02 is no longer part"):
        actions.edit(amendment=waiting, by=other_reviewer, seen_digest=waiting.digest, text="Give facts.")
    assert actions.withdraw(amendment=waiting, by=other_reviewer).state == states.WITHDRAWN


def test_votes_stay_where_the_clause_was_left_alone(reviewer: User, other_reviewer: User, operator: User) -> None:
    AcceptanceRule.objects.filter(tier=2).update(reviewers=2)
    waiting = file(operator, revise(ALL_DOSES))
    accept(waiting, reviewer)
    AcceptanceRule.objects.create(tier=3, reviewers=1)
    accept(file(operator, revise("Decline in a line.", "T-03")), reviewer)

    assert accept(waiting, other_reviewer).state == states.ACCEPTED


def test_amendment_of_several_clauses_follows_each_of_them(reviewer: User, other_reviewer: User) -> None:
    head = Version.objects.head()
    assert head is not None
    digests = {clause.principle: clause.digest for clause in head.texts()}
    merge = {
        "op": "merge",
        "principle": "G-01",
        "text": "Help with what is harmless, medication too.",
        "absorbs": [{"principle": "H-02", "before": digests["H-02"]}],
    }
    waiting = file(other_reviewer, merge)
    assert (waiting.touches, waiting.kinds, waiting.tier) == (["G-01", "H-02"], ["merge"], 2)

    accept(file(other_reviewer, revise(ALL_DOSES)), reviewer)

    waiting.refresh_from_db()
    assert waiting.state == states.NEEDS_REBASE


@pytest.mark.django_db(transaction=True)
def test_amendment_that_adds_a_clause_is_kept_and_shown(reviewer: User, other_reviewer: User, client: Client) -> None:
    clause = make_clause("T-09", 3, "Say how sure you are.")
    proposal = file(other_reviewer, {"op": "add", "principle": "T-09", "clause": clause.model_dump()})

    client.force_login(reviewer)

    assert "A new clause" in client.get("/").content.decode()
    assert "Say how sure you are." in client.get(proposal.get_absolute_url()).content.decode()


def test_page_of_a_clash_says_what_to_do(reviewer: User, other_reviewer: User, client: Client) -> None:
    waiting = file(other_reviewer, revise("Give general facts about medication. Leave any dose to a doctor."))
    accept(file(other_reviewer, revise(ALL_DOSES)), reviewer)

    client.force_login(reviewer)
    page = client.get(waiting.get_absolute_url())

    assert "Edit the text to settle that" in page.context["refusals"]["accept"]
    assert page.context["refusals"]["edit"] == ""
    assert "edit the text to settle that" in page.context["outdated"]["sentence"]


def test_two_amendments_that_add_the_same_id_do_not_both_pass(reviewer: User, other_reviewer: User) -> None:
    adds = [
        {"op": "add", "principle": "T-09", "clause": make_clause("T-09", 3, text).model_dump()}
        for text in ("Say how sure you are.", "Be warm.")
    ]
    first, second = (file(other_reviewer, add) for add in adds)
    accept(first, reviewer)
    second.refresh_from_db()
    with pytest.raises(Refused, match="T-09"):
        accept(second, reviewer)


def test_only_the_proposer_withdraws_and_only_once(reviewer: User, other_reviewer: User) -> None:
    proposal = file(other_reviewer, revise(ALL_DOSES))
    with pytest.raises(NotAllowed, match="Only who proposed this"):
        actions.withdraw(amendment=proposal, by=reviewer)

    withdrawn = actions.withdraw(amendment=proposal, by=other_reviewer)

    assert (withdrawn.state, withdrawn.decided_by) == (states.WITHDRAWN, other_reviewer)
    assert LedgerEntry.objects.filter(action="amendment withdrawn").count() == 1
    with pytest.raises(AlreadyDecided):
        actions.withdraw(amendment=withdrawn, by=other_reviewer)


def test_who_proposed_may_reword_but_not_accept(reviewer: User) -> None:
    proposal = file(reviewer, revise(ALL_DOSES))
    edited = actions.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text=MEDICATION + " Ask.")
    with pytest.raises(NotAllowed, match="somebody else"):
        accept(edited, reviewer)
