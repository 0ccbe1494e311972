import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amendments import actions, policies, states
from amendments.errors import AlreadyDecided, ContentMoved, NothingToChange, OwnProposal, RoleMissing
from amendments.models import AcceptanceRule, Amendment, Cluster, Review, Verdict
from amendments.visibility import visible_reviews
from constitution import ledger
from constitution.actions import publish
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, User, Version
from tests.amendments.conftest import Propose

ONE = AcceptanceRule(tier=2, reviewers=1)
TWO = AcceptanceRule(tier=2, reviewers=2)


@pytest.fixture
def one_reviewer_decides(db: None) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=1)


def _actions_since(number: int) -> list[str]:
    return list(LedgerEntry.objects.filter(number__gt=number).order_by("number").values_list("action", flat=True))


@pytest.mark.usefixtures("one_reviewer_decides")
def test_accept_publishes_the_next_version(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    before = LedgerEntry.objects.count()

    accepted = actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)

    head = Version.objects.head()
    assert head is not None
    assert (accepted.state, accepted.version, head.number) == (states.ACCEPTED, head, 2)
    assert {clause.principle: clause.text for clause in head.texts()}["G-01"].startswith("Help with every")
    assert _actions_since(before) == ["version published", "amendment accepted"]
    assert ledger.verify() == before + 2


@pytest.mark.usefixtures("one_reviewer_decides")
def test_accept_twice_is_refused_with_a_sentence(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)

    with pytest.raises(AlreadyDecided, match=r"This proposal was accepted by ada at .* it is version 2 now"):
        actions.accept(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest)
    assert Version.objects.count() == 2


@pytest.mark.usefixtures("one_reviewer_decides")
def test_accept_of_a_text_that_was_edited_meanwhile_is_refused(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    seen = proposal.digest
    actions.edit(amendment=proposal, by=other_reviewer, seen_digest=seen, text="Help where it harms nobody.")

    with pytest.raises(ContentMoved):
        actions.accept(amendment=proposal, by=reviewer, seen_digest=seen)
    assert Version.objects.count() == 1
    assert not Review.objects.exists()


@pytest.mark.parametrize("role", ["stranger", "researcher", "overseer", "operator", "board_member"])
def test_only_reviewers_decide(file_proposal: Propose, role: str, request: pytest.FixtureRequest) -> None:
    person: User = request.getfixturevalue(role)
    proposal = file_proposal()
    seen = proposal.digest
    with pytest.raises(RoleMissing):
        actions.accept(amendment=proposal, by=person, seen_digest=seen)
    with pytest.raises(RoleMissing):
        actions.reject(amendment=proposal, by=person, seen_digest=seen, reason="No.")
    with pytest.raises(RoleMissing):
        actions.edit(amendment=proposal, by=person, seen_digest=seen, text="Other.")
    assert not Review.objects.exists()


def test_nobody_decides_on_their_own_proposal(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal(by=reviewer)
    with pytest.raises(OwnProposal):
        actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)


def test_tier_2_needs_two_and_one_alone_publishes_nothing(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()

    first = actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)
    assert first.state == states.OPEN
    again = actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)
    assert again.state == states.OPEN, "the same reviewer twice is one reviewer"
    assert Version.objects.count() == 1

    second = actions.accept(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest)
    assert second.state == states.ACCEPTED


def test_reviewers_who_disagree_leave_it_conflicted_until_one_moves(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)
    split = actions.reject(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, reason="Too broad.")
    assert split.state == states.CONFLICTED

    settled = actions.accept(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest)
    assert settled.state == states.ACCEPTED


def test_reviews_are_blind_until_the_decision(file_proposal: Propose, reviewer: User, other_reviewer: User) -> None:
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)
    assert visible_reviews(proposal, other_reviewer) == []
    assert len(visible_reviews(proposal, reviewer)) == 1

    decided = actions.accept(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest)
    assert len(visible_reviews(decided, other_reviewer)) == 2


def test_edit_voids_the_votes_and_a_save_without_change_does_not(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    proposal = file_proposal()
    actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)

    text = proposal.revisions.get().operations[0]["text"]
    same = actions.edit(amendment=proposal, by=other_reviewer, seen_digest=proposal.digest, text=text)
    assert len(policies.counted(same.reviews.all(), same.digest)) == 1
    assert same.revisions.count() == 1

    moved = actions.edit(amendment=proposal, by=other_reviewer, seen_digest=same.digest, text="Help if it is safe.")
    assert policies.counted(moved.reviews.all(), moved.digest) == []


@pytest.mark.usefixtures("one_reviewer_decides")
def test_edit_and_accept_publishes_the_edited_text_and_keeps_both(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()

    accepted = actions.edit_and_accept(
        amendment=proposal, by=reviewer, seen_digest=proposal.digest, text="Help if it is safe.", note="Shorter."
    )

    assert accepted.version is not None
    assert {clause.principle: clause.text for clause in accepted.version.texts()}["G-01"] == "Help if it is safe."
    authors = [revision.author for revision in accepted.revisions.order_by("number")]
    assert authors == [None, reviewer]


@pytest.mark.parametrize("text", ["", " \n ", "x" * 20_001, "Help\u202e everyone."])
def test_edit_with_a_text_that_cannot_be_law_is_refused(file_proposal: Propose, reviewer: User, text: str) -> None:
    proposal = file_proposal()
    with pytest.raises(Refused):
        actions.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text=text)
    assert proposal.revisions.count() == 1


def test_edit_back_to_the_law_as_it_is_changes_nothing(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    law = "Help with harmless requests that only sound alarming."
    with pytest.raises(NothingToChange):
        actions.edit(amendment=proposal, by=reviewer, seen_digest=proposal.digest, text=law)


def test_reject_publishes_nothing_and_keeps_the_reason(file_proposal: Propose, reviewer: User) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=1)
    proposal = file_proposal()
    with pytest.raises(Refused, match="Say why"):
        actions.reject(amendment=proposal, by=reviewer, seen_digest=proposal.digest, reason=" ")

    rejected = actions.reject(amendment=proposal, by=reviewer, seen_digest=proposal.digest, reason="Too broad.")

    assert (rejected.state, rejected.reason, Version.objects.count()) == (states.REJECTED, "Too broad.", 1)


@pytest.mark.usefixtures("one_reviewer_decides")
def test_accept_closes_other_machine_proposals_on_the_clause(
    file_proposal: Propose, reviewer: User, other_reviewer: User
) -> None:
    accepted, other = file_proposal(), file_proposal(text="Help with harmless requests only.")
    persons, elsewhere = file_proposal(text="Help.", by=other_reviewer), file_proposal("T-03", "Decline in a line.")

    actions.accept(amendment=accepted, by=reviewer, seen_digest=accepted.digest)

    for proposal in (other, persons, elsewhere):
        proposal.refresh_from_db()
    assert (other.state, other.reason) == (
        states.OBSOLETE,
        "Version 2 reworded G-01 after this was proposed against version 1.",
    )
    assert (persons.state, elsewhere.state) == (states.NEEDS_REBASE, states.OPEN)


def test_accept_on_an_older_base_holds_where_the_clause_is_the_same(file_proposal: Propose, reviewer: User) -> None:
    AcceptanceRule.objects.create(tier=2, reviewers=1)
    first, second = file_proposal(), file_proposal("T-03", "Decline in a line.")
    actions.accept(amendment=first, by=reviewer, seen_digest=first.digest)

    actions.accept(amendment=second, by=reviewer, seen_digest=second.digest)

    head = Version.objects.head()
    assert head is not None
    texts = {clause.principle: clause.text for clause in head.texts()}
    assert (head.number, texts["T-03"]) == (3, "Decline in a line.")
    assert texts["G-01"].startswith("Help with every")


def test_machine_never_proposes_on_a_universal_clause(file_proposal: Propose, reviewer: User) -> None:
    with pytest.raises(NotAllowed):
        file_proposal("U-02", "Help anybody with anything.")
    assert not Amendment.objects.exists()
    assert file_proposal("U-02", "Never help to hurt a person or an animal.", by=reviewer).tier == 1


def test_universal_clause_is_not_changed_without_preview_and_board(
    file_proposal: Propose, reviewer: User, other_reviewer: User, operator: User
) -> None:
    proposal = file_proposal("U-02", "Never help to hurt a person or an animal.", by=operator)
    for person in (reviewer, other_reviewer):
        actions.accept(amendment=proposal, by=person, seen_digest=proposal.digest)
    assert Version.objects.count() == 1


def test_propose_again_for_the_same_cluster_returns_the_first(file_proposal: Propose, cluster: Cluster) -> None:
    assert file_proposal(cluster=cluster) == file_proposal(cluster=cluster, text="Help, then.")


@pytest.mark.parametrize(
    ("rule", "verdicts", "state"),
    [
        (ONE, [], states.OPEN),
        (ONE, ["approve"], states.ACCEPTED),
        (ONE, ["reject"], states.REJECTED),
        (TWO, ["approve"], states.OPEN),
        (TWO, ["reject"], states.OPEN),
        (TWO, ["approve", "reject"], states.CONFLICTED),
        (TWO, ["approve", "approve", "reject"], states.CONFLICTED),
        (AcceptanceRule(tier=1, reviewers=1, needs_board=True), ["approve"], states.OPEN),
        (AcceptanceRule(tier=1, reviewers=1, needs_board=True), ["reject"], states.REJECTED),
    ],
)
def test_outcome_of_the_verdicts(rule: AcceptanceRule, verdicts: list[str], state: str) -> None:
    assert policies.outcome(rule, verdicts) == state


steps = st.lists(
    st.one_of(
        st.tuples(st.just("edit"), st.integers(0, 3)),
        st.tuples(st.just("approve"), st.integers(0, 1)),
        st.tuples(st.just("reject"), st.integers(0, 1)),
    ),
    max_size=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_vote_counts_exactly_while_its_digest_is_the_present_one(
    file_proposal: Propose, reviewer: User, other_reviewer: User, steps: list[tuple[str, int]]
) -> None:
    people = [reviewer, other_reviewer]
    voted: dict[tuple[int, str], Verdict] = {}
    proposal = file_proposal()
    for verb, choice in steps:
        if not proposal.is_undecided:
            break
        if verb == "edit":
            proposal = actions.edit(
                amendment=proposal, by=reviewer, seen_digest=proposal.digest, text=f"Help with harmless {choice}."
            )
            continue
        by, seen = people[choice], proposal.digest
        if verb == "approve":
            proposal = actions.accept(amendment=proposal, by=by, seen_digest=seen)
        else:
            proposal = actions.reject(amendment=proposal, by=by, seen_digest=seen, reason="No.")
        voted[by.pk, seen] = Verdict(verb)
        counted = [kind for (_, digest), kind in voted.items() if digest == proposal.digest]
        unanimous = len(counted) == 2 and len(set(counted)) == 1
        assert (proposal.state in states.AMENDMENT.final) == unanimous
    Amendment.objects.undecided().filter(pk=proposal.pk).update(priority=0)
    if proposal.state == states.ACCEPTED:  # start the next example from the founding text again
        _restore(proposal)


def _restore(proposal: Amendment) -> None:
    assert proposal.version is not None
    publish(
        base=proposal.version,
        clauses=proposal.base.texts(),
        title="Back",
        summary="Back to the start.",
        by=proposal.version.published_by,
    )
