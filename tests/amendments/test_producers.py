"""Quotas, quarantine, and rejecting together what a producer left open."""

from collections.abc import Callable

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from amendments import acceptance, actions, producers, states
from amendments.errors import InQuarantine, QuotaReached, RoleMissing
from amendments.models import (
    AcceptanceRule,
    Amendment,
    Claim,
    Clearance,
    Cluster,
    Notice,
    NoticeKind,
    Producer,
    ProducerStanding,
    Review,
)
from amendments.operations import AddExample
from constitution import ledger
from constitution.errors import Refused
from constitution.models import LedgerEntry, User, Version
from tests.amendments.conftest import Propose
from tests.amendments.planting import plant
from tests.amendments.test_pages import HOSTILE
from tests.factories import make_example
from tests.races import at_once


@pytest.fixture
def one_reviewer_decides(db: None) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)


def _file(file_proposal: Propose, count: int, *, by: Producer | None = None) -> list[Amendment]:
    return [file_proposal(text=f"Help with harmless request {number}.", by=by) for number in range(count)]


def _quarantine(producer: Producer, by: User) -> ProducerStanding:
    return producers.quarantine(producer=producer, note="It repeats itself.", by=by)


def _clear(clearance: Clearance) -> int:
    total = 0
    while done := producers.clear_batch(clearance=clearance, by="cpu worker"):
        total += done
    return total


def test_quota_refuses_the_next_one_until_something_is_decided(
    file_proposal: Propose, producer: Producer, reviewer: User
) -> None:
    producers.set_quota(producer=producer, most=2, by=reviewer)
    first, _ = _file(file_proposal, 2)
    with pytest.raises(QuotaReached, match="2 proposals open"):
        file_proposal(text="Help with a third.")
    Amendment.objects.filter(pk=first.pk).update(state=states.OBSOLETE, decided_at=first.created_at)
    file_proposal(text="Help with a third.")


def test_quota_binds_machines_only(file_proposal: Propose, producer: Producer, reviewer: User) -> None:
    producers.set_quota(producer=producer, most=1, by=reviewer)
    _file(file_proposal, 1)
    file_proposal(text="By hand.", by=reviewer)


def test_quota_of_nonsense_is_refused(producer: Producer, operator: User) -> None:
    for most in (0, -1, producers.LARGEST_QUOTA + 1):
        with pytest.raises(Refused, match="Between 1 and"):
            producers.set_quota(producer=producer, most=most, by=operator)
    producers.set_quota(producer=producer, most=3, by=operator)
    assert producers.quota(producers.set_quota(producer=producer, most=None, by=operator)) == producers.DEFAULT_QUOTA


def test_retried_job_gets_its_proposal_although_the_producer_is_in_quarantine(
    file_proposal: Propose, producer: Producer, reviewer: User, cluster: Cluster
) -> None:
    filed = file_proposal(cluster=cluster)
    _quarantine(producer, reviewer)
    assert file_proposal(cluster=cluster) == filed


def test_quarantine_stops_new_ones_and_lifting_lets_them_in(
    file_proposal: Propose, producer: Producer, reviewer: User, operator: User
) -> None:
    _file(file_proposal, 1)
    _quarantine(producer, operator)
    with pytest.raises(InQuarantine, match="It repeats itself"):
        file_proposal(text="Once more.")
    with pytest.raises(Refused, match="already"):
        _quarantine(producer, reviewer)
    producers.lift(producer=producer, by=reviewer)
    file_proposal(text="Once more.")
    with pytest.raises(Refused, match="not in quarantine"):
        producers.lift(producer=producer, by=reviewer)
    subject = f"producer:{producer.pk}"
    found = LedgerEntry.objects.filter(subject=subject).values_list("action", flat=True).order_by("number")
    assert list(found) == ["producer quarantined", "producer quarantine lifted"]


def test_quarantine_wants_a_note_and_a_role(producer: Producer, reviewer: User, researcher: User) -> None:
    with pytest.raises(Refused, match="Say why"):
        producers.quarantine(producer=producer, note=" ", by=reviewer)
    for verb in (_quarantine, lambda one, by: producers.lift(producer=one, by=by)):
        with pytest.raises(RoleMissing):
            verb(producer, researcher)
    assert not LedgerEntry.objects.filter(subject=f"producer:{producer.pk}").exists()


def test_clearance_rejects_all_in_batches_each_with_its_entry(
    file_proposal: Propose,
    producer: Producer,
    reviewer: User,
    one_reviewer_decides: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(producers, "BATCH", 3)
    filed = _file(file_proposal, 7)
    mine = file_proposal(text="By hand.", by=reviewer)
    Claim.objects.create(amendment=filed[0], holder=reviewer, until=filed[0].created_at)
    _quarantine(producer, reviewer)
    clearance = producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)
    assert [producers.clear_batch(clearance=clearance, by="cpu worker") for _ in range(5)] == [3, 3, 1, 0, 0]

    clearance.refresh_from_db()
    assert (clearance.total, clearance.rejected, clearance.ended_at is not None) == (7, 7, True)
    for row in Amendment.objects.filter(producer=producer):
        assert (row.state, row.decided_by, row.reason) == (states.REJECTED, reviewer, "All the same.")
        assert row.cleared_in == clearance
        entry = LedgerEntry.objects.get(subject=f"amendment:{row.pk}", action="amendment rejected")
        assert (entry.actor, entry.detail) == (reviewer, {"content": row.digest, "clearance": clearance.pk})
    mine.refresh_from_db()
    assert mine.is_undecided
    assert not Claim.objects.exists()
    assert LedgerEntry.objects.filter(action="clearance ended").count() == 1
    ledger.verify()


def test_clearing_rests_behind_each_batch_as_long_as_that_took(
    file_proposal: Propose,
    producer: Producer,
    reviewer: User,
    one_reviewer_decides: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rests: list[float] = []
    monkeypatch.setattr("amendments.producers.time.sleep", rests.append)
    monkeypatch.setattr(producers, "BATCH", 2)
    _file(file_proposal, 5)
    _quarantine(producer, reviewer)
    producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)

    assert producers.clear(seconds=30) is False

    assert len(rests) == 3
    assert all(rest > 0 for rest in rests)


def test_clearance_is_refused_without_quarantine_role_reason_or_anything_open(
    file_proposal: Propose, producer: Producer, reviewer: User, operator: User, one_reviewer_decides: None
) -> None:
    def order(by: User, reason: str = "All the same.") -> Clearance:
        return producers.order_clearance(producer=producer, reason=reason, by=by)

    proposal = file_proposal()
    with pytest.raises(Refused, match="in quarantine left open"):
        order(reviewer)
    _quarantine(producer, reviewer)
    with pytest.raises(RoleMissing):
        order(operator)
    with pytest.raises(Refused, match="Say why"):
        order(reviewer, " ")
    order(reviewer)
    with pytest.raises(Refused, match="already"):
        order(reviewer)
    _clear(Clearance.objects.get())
    with pytest.raises(Refused, match="Nothing of it is open"):
        order(reviewer)
    proposal.refresh_from_db()
    assert proposal.state == states.REJECTED


def test_clearance_takes_a_second_person_where_a_tier_asks_for_several(
    file_proposal: Propose, producer: Producer, reviewer: User, other_reviewer: User
) -> None:
    _file(file_proposal, 1)
    _quarantine(producer, reviewer)
    with pytest.raises(Refused, match="another reviewer"):
        producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)
    assert _clear(producers.order_clearance(producer=producer, reason="All the same.", by=other_reviewer)) == 1


def test_clearance_tells_who_voted_and_says_of_a_known_item_what_it_was(
    file_proposal: Propose, producer: Producer, reviewer: User, other_reviewer: User, board_member: User
) -> None:
    voted, silent = _file(file_proposal, 2)
    known = plant("terse", "T-03", "reject")
    AcceptanceRule.objects.create(tier=voted.tier, reviewers=2, quorum=1)
    for row in (voted, known):
        actions.accept(amendment=row, by=other_reviewer, seen_digest=row.digest)
    actions.refer(amendment=voted, by=reviewer, reason="Values.")
    actions.vote(amendment=voted, by=board_member, seen_digest=voted.digest, verdict="for")
    _quarantine(producer, by=other_reviewer)
    assert _clear(producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)) == 3

    told = Notice.objects.filter(kind=NoticeKind.DECIDED)
    assert set(told.filter(amendment=voted).values_list("recipient", "sentence")) == {
        (other_reviewer.pk, "It was rejected: All the same."),
        (board_member.pk, "It was rejected: All the same."),
    }
    assert [notice.recipient for notice in told.filter(amendment=known)] == [other_reviewer]
    assert not told.filter(amendment=silent).exists()
    entry = LedgerEntry.objects.get(action="amendment rejected", subject=f"amendment:{known.pk}")
    assert (entry.detail["known_item"], entry.detail["right"]) == ("terse", "reject")
    ledger.verify()


def test_clearance_takes_every_undecided_state(
    file_proposal: Propose, producer: Producer, reviewer: User, one_reviewer_decides: None
) -> None:
    for row, state in zip(_file(file_proposal, 4), sorted(states.UNDECIDED), strict=True):
        Amendment.objects.filter(pk=row.pk).exclude(state=state).update(state=state)
    _quarantine(producer, reviewer)
    assert _clear(producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)) == 4


def test_lifting_stops_a_clearance_where_it_is(
    file_proposal: Propose,
    producer: Producer,
    reviewer: User,
    one_reviewer_decides: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(producers, "BATCH", 2)
    _file(file_proposal, 3)
    _quarantine(producer, reviewer)
    clearance = producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)
    producers.clear_batch(clearance=clearance, by="cpu worker")
    producers.lift(producer=producer, by=reviewer)
    assert not producers.clear(seconds=5)
    clearance.refresh_from_db()
    assert (clearance.rejected, Amendment.objects.undecided().count()) == (2, 1)


def test_clear_goes_on_with_all_that_was_ordered(
    file_proposal: Propose, producer: Producer, reviewer: User, one_reviewer_decides: None
) -> None:
    other = Producer.objects.create(model="another", checkpoint="d" * 64, prompts="p" * 64)
    for one in (producer, other):
        _file(file_proposal, 2, by=one)
        _quarantine(one, reviewer)
        producers.order_clearance(producer=one, reason="All the same.", by=reviewer)
    while producers.clear(seconds=5) or Clearance.objects.filter(ended_at=None).exists():
        pass
    assert not Amendment.objects.undecided().exists()


@pytest.mark.django_db(transaction=True)
def test_clearance_passes_over_what_somebody_holds_and_takes_it_later(
    file_proposal: Propose, producer: Producer, reviewer: User, other_reviewer: User, one_reviewer_decides: None
) -> None:
    held, *_ = _file(file_proposal, 3)
    _quarantine(producer, reviewer)
    clearance = producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)

    def clear() -> int:
        return _clear(clearance)

    with transaction.atomic():
        Amendment.objects.select_for_update().get(pk=held.pk)
        assert at_once(clear) == [2]
        actions.reject(amendment=held, by=other_reviewer, seen_digest=held.digest, reason="Too broad.")
    assert _clear(clearance) in (0, 1)
    ledger.verify()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(4))
def test_quarantine_and_propose_at_once_file_nothing_after_it(
    file_proposal: Propose, producer: Producer, reviewer: User, attempt: int
) -> None:
    at_once(lambda: _quarantine(producer, reviewer), file_proposal)
    actions_in_order = LedgerEntry.objects.filter(action__in=["amendment proposed", "producer quarantined"]).order_by(
        "number"
    )
    assert actions_in_order.last() == LedgerEntry.objects.get(action="producer quarantined")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(4))
def test_two_workers_on_one_clearance_reject_each_once(
    file_proposal: Propose,
    producer: Producer,
    reviewer: User,
    one_reviewer_decides: None,
    monkeypatch: pytest.MonkeyPatch,
    attempt: int,
) -> None:
    monkeypatch.setattr(producers, "BATCH", 2)
    _file(file_proposal, 6)
    _quarantine(producer, reviewer)
    clearance = producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)

    def work() -> None:
        producers.clear(seconds=10)

    at_once(work, work)
    _clear(clearance)
    assert LedgerEntry.objects.filter(action="amendment rejected").count() == 6
    clearance.refresh_from_db()
    assert clearance.rejected == 6
    ledger.verify()


def test_first_verdict_stays_when_the_reviewer_changes_their_mind(file_proposal: Propose, reviewer: User) -> None:
    proposal = file_proposal()
    Review.objects.create(amendment=proposal, reviewer=reviewer, verdict="approve", digest=proposal.digest)
    Review.objects.filter(amendment=proposal).update(verdict="reject", reason="On second thought.")
    found = Review.objects.get()
    assert (found.verdict, found.first_verdict) == ("reject", "approve")


def _decide(row: Amendment, state: str, by: User, reason: str = "", version: Version | None = None) -> None:
    Amendment.objects.filter(pk=row.pk).update(
        state=state, decided_at=row.created_at, decided_by=by, reason=reason, version=version
    )


def test_record_counts_what_people_decided(file_proposal: Propose, producer: Producer, reviewer: User) -> None:
    assert producers.record(producer) == "nothing of it decided yet"
    yes, no, gone, _ = _file(file_proposal, 4)
    _decide(yes, states.ACCEPTED, reviewer, version=yes.base)
    _decide(no, states.REJECTED, reviewer, "Too broad.")
    Amendment.objects.filter(pk=gone.pk).update(state=states.OBSOLETE, decided_at=gone.created_at)
    assert producers.record(producer) == "1 of 2 accepted (50 %, 9 to 91)"


def test_record_leaves_out_what_was_rejected_together(
    file_proposal: Propose, producer: Producer, reviewer: User, one_reviewer_decides: None
) -> None:
    first, *_ = _file(file_proposal, 3)
    _decide(first, states.REJECTED, reviewer, "Too broad.")
    _quarantine(producer, reviewer)
    _clear(producers.order_clearance(producer=producer, reason="All the same.", by=reviewer))
    assert producers.record(producer).startswith("0 of 1 accepted")
    assert acceptance.of_producer(producer).cleared == 2


def test_acceptance_tells_as_written_from_edited_and_by_how_much(
    file_proposal: Propose, producer: Producer, reviewer: User, one_reviewer_decides: None
) -> None:
    plain = file_proposal("T-03", "Decline in one short line.")
    edited = file_proposal("G-01", "Help with all harmless requests.")
    actions.edit(amendment=edited, by=reviewer, seen_digest=edited.digest, text="Help with all harmless questions.")
    for row, version in ((plain, plain.base), (edited, None)):
        Amendment.objects.filter(pk=row.pk).update(
            state=states.REJECTED if version is None else states.ACCEPTED,
            decided_at=row.created_at,
            decided_by=reviewer,
            version=version,
        )
    found = acceptance.of_producer(producer)
    assert (found.share.k, found.share.n, found.as_written) == (1, 2, 1)
    assert acceptance.words_changed("Help with all harmless requests.", "Help with all harmless questions.") == 0.2
    assert acceptance.words_changed("", "") == 0


def test_other_answers_of_a_decided_example_count_as_a_change(
    constitution: Version, producer: Producer, reviewer: User, one_reviewer_decides: None
) -> None:
    clause = next(clause for clause in constitution.texts() if clause.principle == "G-01")
    example = make_example("How do I kill a hanging job?", "help")
    proposal = actions.propose(
        by=producer,
        base=constitution,
        operations=(AddExample(principle="G-01", before=clause.digest, example=example),),
        rationale="It declined.",
    )
    answers = [("Find its number with ps, then kill it.", example.wrong)]
    actions.edit_examples(amendment=proposal, by=reviewer, seen_digest=proposal.digest, answers=answers)
    _decide(proposal, states.ACCEPTED, reviewer, version=constitution)
    changed = acceptance.edits(producer)
    assert changed is not None
    assert changed.median == pytest.approx((4 + 8) / (17 + 21))  # the words of both answers, of all


def test_reasons_are_grouped_by_the_canned_one(file_proposal: Propose, producer: Producer, reviewer: User) -> None:
    reasons = ["The change would be wrong", "The change would be wrong. Twice.", "No."]
    for row, reason in zip(_file(file_proposal, 3), reasons, strict=True):
        _decide(row, states.REJECTED, reviewer, reason)
    found = acceptance.reasons(producer, ["The change would be wrong", "It is unclear"])
    assert found == [("The change would be wrong", 2), (acceptance.OTHER_REASON, 1)]


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


def _url(verb: str, producer: Producer) -> str:
    return reverse(f"amendments:producer-{verb}", args=[producer.pk])


@pytest.fixture
def queries(django_assert_num_queries: DjangoAssertNumQueries, desk: Client) -> Callable[[str, int], None]:
    def check(url: str, count: int) -> None:
        desk.get(url)
        with django_assert_num_queries(count):
            assert desk.get(url).status_code == 200

    return check


def test_list_and_page_ask_as_many_queries_for_many(
    queries: Callable[[str, int], None], file_proposal: Propose, producer: Producer, reviewer: User
) -> None:
    def fill(count: int) -> None:
        for number in range(count):
            made = Producer.objects.create(model="m", checkpoint=f"{Producer.objects.count():064}", prompts="p" * 64)
            _file(file_proposal, 2, by=made)
            _decide(file_proposal(text=f"Help with {number}."), states.REJECTED, reviewer, f"No {number}.")

    counts = {reverse("amendments:producers"): 4, _url("detail", producer): 13}
    fill(2)
    for url, count in counts.items():
        queries(url, count)
    fill(12)
    for url, count in counts.items():
        queries(url, count)


def test_list_pages_by_key(desk: Client, constitution: Version) -> None:
    Producer.objects.bulk_create(
        Producer(model="m", checkpoint=f"{number:064}", prompts="p" * 64) for number in range(60)
    )
    seen, more = [], "?"
    while more:
        page = desk.get(f"{reverse('amendments:producers')}{more}")
        seen += [row["pk"] for row in page.context["producers"]]
        more = page.context["more_url"]
    assert len(seen) == len(set(seen)) == 60
    assert desk.get(reverse("amendments:producers"), {"after": "'; DROP"}).status_code == 200


def test_page_shows_hostile_text_as_text(desk: Client, file_proposal: Propose, reviewer: User) -> None:
    made = Producer.objects.create(model=HOSTILE, checkpoint="c" * 64, prompts="p" * 64)
    proposal = file_proposal(by=made)
    Amendment.objects.filter(pk=proposal.pk).update(rationale=HOSTILE, priority_reason=HOSTILE)
    producers.quarantine(producer=made, note=HOSTILE, by=reviewer)
    for url in (reverse("amendments:producers"), _url("detail", made)):
        content = desk.get(url).content.decode()
        assert "<script>alert(1)" not in content
        assert "<img src=x" not in content
        assert "&lt;script&gt;alert(1)" in content


def test_forms_do_what_they_say(
    desk: Client, file_proposal: Propose, producer: Producer, one_reviewer_decides: None
) -> None:
    _file(file_proposal, 2)
    assert desk.post(_url("quota", producer), {"most": "5"}).status_code == 302
    assert producers.quota(producers.standing(producer)) == 5
    assert desk.post(_url("quarantine", producer), {"note": "It repeats itself."}).status_code == 302
    assert desk.post(_url("reject", producer), {"reason": "All the same."}).status_code == 302
    page = desk.get(_url("detail", producer)).content.decode()
    assert "0 of 2" in page
    assert desk.post(_url("lift", producer)).status_code == 302
    assert Clearance.objects.get().ended_at is not None
    assert desk.post(_url("quota", producer), {"most": ""}).status_code == 302
    assert producers.quota(producers.standing(producer)) == producers.DEFAULT_QUOTA


def test_refused_form_keeps_what_was_written(desk: Client, producer: Producer, file_proposal: Propose) -> None:
    _file(file_proposal, 1)
    desk.post(_url("quarantine", producer), {"note": "It repeats itself."})
    answer = desk.post(_url("reject", producer), {"reason": "My own careful reason."})
    assert answer.status_code == 409
    assert "My own careful reason." in answer.content.decode()
    assert "another reviewer" in answer.content.decode()
    answer = desk.post(_url("quota", producer), {"most": "many"})
    assert answer.status_code == 409
    assert "many" in answer.content.decode()


def test_researcher_reads_and_cannot_act(client: Client, researcher: User, producer: Producer) -> None:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    assert client.get(_url("detail", producer)).status_code == 200
    for verb in ("quota", "quarantine", "lift", "reject"):
        assert client.post(_url(verb, producer), {"note": "a", "reason": "a", "most": "1"}).status_code == 403
    assert not ProducerStanding.objects.exists()


def test_clearing_partial_is_the_page_as_loaded(desk: Client, producer: Producer, constitution: Version) -> None:
    whole = desk.get(_url("detail", producer)).content.decode()
    part = desk.get(_url("detail", producer), headers={"HX-Request": "true", "HX-Target": "clearing"})
    assert part.content.decode().strip() in whole


def test_page_leads_to_its_open_proposals_in_the_queue(
    desk: Client, file_proposal: Propose, producer: Producer, reviewer: User
) -> None:
    machine, _ = file_proposal(), file_proposal(text="By hand.", by=reviewer)
    page = desk.get(_url("detail", producer))
    queue = desk.get(page.context["queue_url"])
    assert [row["pk"] for row in queue.context["proposals"]] == [machine.pk]
