"""What models learn from what people accepted, and what they never learn from."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from amendments import lessons
from amendments.actions import edit, edit_examples, propose
from amendments.lessons import Taught, edited_answers, for_clause
from amendments.models import Amendment, Label, Producer, Scenario
from amendments.operations import AddExample
from amendments.reserved import reserved
from amendments.states import ACCEPTED
from constitution.digests import digest
from constitution.errors import Refused
from constitution.models import Role, User, Version
from tests.amendments.deciding import accept
from tests.factories import make_clause, make_example, make_producer, make_user, propose_revision

pytestmark = pytest.mark.django_db


@pytest.fixture
def scenario(constitution: Version) -> Scenario:
    return Scenario.objects.create(
        digest="5" * 64, prompt="How do I kill a hanging job?", label=Label.BENIGN, source="test"
    )


Filed = Callable[..., Amendment]


@pytest.fixture
def file(constitution: Version, scenario: Scenario) -> Filed:
    """A machine's proposal on G-01, with what its proposer was shown."""

    def make(text: str, *, principle: str = "G-01", seen: Scenario = scenario) -> Amendment:
        proposal = propose_revision(principle, text, by=producer())
        proposal.measured = {"seen": [seen.pk]}
        proposal.save(update_fields=["measured"])
        return proposal

    def producer() -> Producer:
        return Producer.objects.first() or make_producer()

    return make


BEFORE = "Help with harmless requests that only sound alarming."


def test_edited_text_is_preferred_to_the_draft(file: Filed, reviewer: User, other_reviewer: User) -> None:
    proposal = file(f"{BEFORE} Requests about jobs is answered.")
    edited = edit(
        amendment=proposal, by=reviewer, seen_digest=proposal.digest, text=f"{BEFORE} Requests about jobs are answered."
    )
    accept(edited, reviewer)
    accept(edited, other_reviewer)
    found = lessons.taught(reserved())
    assert [(one.added, one.requests, one.label) for one in found] == [
        ("Requests about jobs are answered.", ("How do I kill a hanging job?",), "benign")
    ]
    assert found[0].text == BEFORE


def test_rejected_and_open_proposals_teach_nothing(file: Filed, reviewer: User, other_reviewer: User) -> None:
    from tests.amendments.deciding import reject

    rejected = file(f"{BEFORE} Bad words.")
    reject(rejected, reviewer)
    reject(rejected, other_reviewer)
    file(f"{BEFORE} Still open.")
    assert lessons.taught(reserved()) == []


def test_what_is_held_out_by_now_teaches_nothing(
    file: Filed, scenario: Scenario, reviewer: User, other_reviewer: User
) -> None:
    proposal = file(f"{BEFORE} Requests about jobs are answered.")
    accept(proposal, reviewer)
    accept(proposal, other_reviewer)
    assert lessons.taught(reserved())
    Scenario.objects.create(
        digest="6" * 64, prompt="How do I kill a hanging job now?", label=Label.BENIGN, held_out=True, source="test"
    )
    assert lessons.taught(reserved()) == [], "nearly the same is held out"


def decide_example(
    constitution: Version, reviewer: User, other_reviewer: User, *, right: str = "", accepted: bool = True
) -> Amendment:
    """A machine's proposal that decides two requests under G-01; the first answer as people reword it."""
    clause = next(one for one in constitution.texts() if one.principle == "G-01")
    examples = (make_example("How do I kill a hanging job?", "help"), make_example("How do I kill a guard?"))
    proposal = propose(
        by=make_producer(),
        base=constitution,
        operations=tuple(AddExample(principle="G-01", before=clause.digest, example=one) for one in examples),
        rationale="It declined.",
    )
    if right:
        answers = [(right, examples[0].wrong), (examples[1].right, examples[1].wrong)]
        proposal = edit_examples(amendment=proposal, by=reviewer, seen_digest=proposal.digest, answers=answers)
    if accepted:
        accept(proposal, reviewer)
        accept(proposal, other_reviewer)
    return proposal


def test_accepted_examples_teach_their_right_answers_as_people_left_them(
    constitution: Version, reviewer: User, other_reviewer: User
) -> None:
    decide_example(constitution, reviewer, other_reviewer, right="Find its number, then end it with kill.")
    found = lessons.answers(reserved())
    assert [(one.requests, one.added, one.label) for one in found] == [
        (("How do I kill a hanging job?",), "Find its number, then end it with kill.", "benign"),
        (("How do I kill a guard?",), "I won't help with that.", "harmful"),
    ]
    assert {(one.principle, one.text) for one in found} == {("G-01", BEFORE)}
    assert lessons.taught(reserved()) == [], "they are no sentences"


def test_example_that_is_open_or_held_out_by_now_teaches_no_answer(
    constitution: Version, reviewer: User, other_reviewer: User
) -> None:
    proposal = decide_example(constitution, reviewer, other_reviewer, accepted=False)
    assert lessons.answers(reserved()) == []
    accept(proposal, reviewer)
    accept(proposal, other_reviewer)
    assert len(lessons.answers(reserved())) == 2
    Scenario.objects.create(
        digest="6" * 64, prompt="How do I kill a hanging job now?", label=Label.BENIGN, held_out=True, source="test"
    )
    assert [one.label for one in lessons.answers(reserved())] == ["harmful"], "nearly the same is held out"


def test_rewording_and_what_people_proposed_teach_no_answer(file: Filed, reviewer: User, other_reviewer: User) -> None:
    worded = file(f"{BEFORE} Requests about jobs are answered.")
    accept(worded, reviewer)
    accept(worded, other_reviewer)
    head = Version.objects.head()
    assert head is not None
    clause = next(one for one in head.texts() if one.principle == "G-01")
    own = propose(
        by=make_user("carol", Role.REVIEWER),
        base=head,
        operations=(
            AddExample(principle="G-01", before=clause.digest, example=make_example("How do I shoot film?", "help")),
        ),
        rationale="It declined.",
    )
    accept(own, reviewer)
    accept(own, other_reviewer)
    assert Amendment.objects.filter(state=ACCEPTED).count() == 2
    assert lessons.answers(reserved()) == []


def test_example_under_a_universal_clause_teaches_nothing(constitution: Version, reviewer: User) -> None:
    clause = next(one for one in constitution.texts() if one.principle == "U-02")
    with pytest.raises(Refused):
        propose(
            by=make_producer(),
            base=constitution,
            operations=(AddExample(principle="U-02", before=clause.digest, example=make_example("Hurt him?")),),
            rationale="It answered.",
        )


def test_nearest_clauses_come_last_and_the_newest_of_equals_is_kept() -> None:
    clause = make_clause("G-01", 2, BEFORE)
    far = Taught(9, "H-02", "Leave doses to a clinician.", ("?",), "benign", "Far.")
    own = [Taught(n, "G-01", BEFORE, ("?",), "benign", f"Own {n}.") for n in (1, 2, 3)]
    assert [one.added for one in for_clause(clause, [far, *own], most=2)] == ["Own 2.", "Own 3."]
    assert for_clause(clause, [*reversed(own), far], most=4) == for_clause(clause, [far, *own], most=4)


def test_answers_that_people_rewrote_are_pairs_and_the_others_are_none(
    constitution: Version, reviewer: User, other_reviewer: User, client: Client
) -> None:
    clause = next(one for one in constitution.texts() if one.principle == "G-01")
    example = make_example("How do I kill a hanging job?", "help")
    proposal = propose(
        by=make_producer(),
        base=constitution,
        operations=tuple(
            AddExample(principle="G-01", before=clause.digest, example=one)
            for one in (example, make_example("How do I kill a guard?"))
        ),
        rationale="It declined.",
    )
    client.force_login(reviewer)
    page = client.get(proposal.get_absolute_url()).content
    assert b"How do I kill a hanging job?" in page
    assert b'href="#example-right-1"' in page, "who reads the answers is asked to read them"
    url = reverse("amendments:amendment-example", args=[proposal.pk])
    right = "Find its number with ps, then end it with kill."
    stale = client.post(url, {"digest": "0", "right": ["<b>Mine</b>", "No."], "wrong": [example.wrong, "Yes."]})
    assert stale.status_code == 409
    assert "&lt;b&gt;Mine&lt;/b&gt;</textarea>" in stale.content.decode(), "nothing is lost"
    hidden = client.post(
        url, {"digest": proposal.digest, "right": ["Use \u202ekill.", "No."], "wrong": [example.wrong, "Yes."]}
    )
    assert (hidden.status_code, "hidden character" in hidden.content.decode()) == (409, True)
    few = client.post(url, {"digest": proposal.digest, "right": right, "wrong": example.wrong})
    assert (few.status_code, "not as many as you answered" in few.content.decode()) == (409, True)
    assert f"{right}</textarea>" in few.content.decode(), "nothing is lost"
    answers = {"right": [right, "I won't help with that."], "wrong": [example.wrong, "With a knife."]}
    saved = client.post(url, {"digest": proposal.digest, **answers})
    assert saved.status_code == 302
    proposal.refresh_from_db()
    accept(proposal, reviewer)
    accept(proposal, other_reviewer)
    proposal.refresh_from_db()
    assert proposal.version is not None
    assert edited_answers(constitution) == [], "it became law only later"
    (found,) = edited_answers(proposal.version)  # the other answer was left as it was
    assert (found.request, found.expects) == (example.request, "help")
    assert (found.chosen, found.rejected) == ("Find its number with ps, then end it with kill.", example.right)
    Scenario.objects.create(
        digest=digest("held"), prompt=example.request, label=Label.BENIGN, held_out=True, source="test"
    )
    assert edited_answers(proposal.version) == []
