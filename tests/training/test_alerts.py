"""Who is told when a round pauses, fails or cannot be certified, and when a model comes into use: once, and by mail."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection, transaction
from django.db.utils import DatabaseError, IntegrityError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from amendments import notices
from amendments.models import DeskSettings, Digest, Notice, NoticeKind, Scenario
from constitution import ledger
from constitution.models import LedgerEntry, User, Version
from tests.races import at_once
from tests.training.finished import make_judge_card, make_model
from training import actions, alerts, leases
from training.alert_records import Alert, AlertKind, Delivery, Webhook
from training.models import Round
from training.promotion import promote, roll_back

pytestmark = pytest.mark.django_db


def kinds() -> list[str]:
    return list(Alert.objects.order_by("pk").values_list("kind", flat=True))


def told(person: User) -> list[str]:
    return [notice.sentence for notice in notices.waiting(person)]


def to(person: User) -> list[mail.EmailMessage]:
    return [letter for letter in mail.outbox if letter.to == [person.email]]


def test_pause_is_told_to_overseers_and_operators_and_to_nobody_else(
    overseer: User, operator: User, reviewer: User, claimed_round: Round
) -> None:
    pause = {"stage": "sft", "step": 10, "reason": "The margin fell by 1.20 nats.", "evidence": []}
    actions.pause(round_=claimed_round, pause=pause)

    said = "Round paused. It paused at sft step 10 and waits for an overseer."
    assert kinds() == [AlertKind.PAUSED]
    assert [told(person) for person in (overseer, operator)] == [[f"{said} The margin fell by 1.20 nats."]] * 2
    assert told(reviewer) == []
    notice = Notice.objects.get(recipient=overseer)
    assert (notice.kind, notice.amendment) == (NoticeKind.ALERT, None)
    assert notice.get_absolute_url() == reverse("training:round-detail", args=[claimed_round.pk])


def test_round_that_fails_again_after_a_retry_is_another_alert_and_one_waiting_notice(
    overseer: User, operator: User, claimed_round: Round
) -> None:
    actions.fail(job=claimed_round, error="Traceback\nOut of <memory>.")
    actions.retry(round_=claimed_round, by=operator, note="More swap.")
    again = leases.claim(Round)
    assert again is not None
    actions.fail(job=again, error="Traceback\nOut of <memory>.")

    assert kinds() == [AlertKind.FAILED] * 2
    assert len(told(overseer)) == 1
    assert told(overseer)[0].endswith("Out of <memory>.")


def test_lost_worker_and_orderly_stop_alarm_nobody(overseer: User, claimed_round: Round) -> None:
    leases.give_back(claimed_round, error="killed")
    Round.objects.update(lease_until=None)
    leases.reap()
    assert not Alert.objects.exists()
    assert told(overseer) == []


def test_round_that_cannot_be_certified_is_told_and_one_that_can_is_not(
    overseer: User, second_version: Version, scenarios: list[Scenario]
) -> None:
    make_model(second_version)
    assert kinds() == []
    make_model(second_version, unscored=40)
    assert kinds() == [AlertKind.UNCERTIFIED]
    assert "more than 5 % of the answers went unscored" in told(overseer)[0]


def test_promotion_and_rollback_are_told_with_who_and_why(
    overseer: User, operator: User, second_version: Version, scenarios: list[Scenario]
) -> None:
    make_judge_card()
    first, second = make_model(second_version), make_model(second_version)
    made = promote(checkpoint=first, by=overseer, seen=None)
    made = promote(checkpoint=second, by=overseer, seen=made.pk, note="Better.")
    roll_back(checkpoint=first, by=overseer, seen=made.pk, note="It declines too much.")

    assert kinds() == [AlertKind.PROMOTED, AlertKind.PROMOTED, AlertKind.ROLLED_BACK]
    last = alerts.latest()[0]
    assert last.sentence == f"olga rolled back to {first}. Note: It declines too much."
    assert alerts.path_of(last) == reverse("training:model-detail", args=[first.pk])
    # One waits for each model, with what happened to it last.
    assert len(told(operator)) == 2


def test_alert_is_one_mail_however_often_it_is_looked_for(overseer: User, claimed_round: Round) -> None:
    actions.fail(job=claimed_round, error="Out of memory.")
    assert [notices.send_alerts(site="https://r.example") for _ in range(3)] == [2, 0, 0]
    (letter,) = to(overseer)
    assert letter.subject.startswith(f"Ratify: Round {claimed_round.pk}: Round failed.")
    assert f"https://r.example/rounds/{claimed_round.pk}/" in letter.body
    assert LedgerEntry.objects.filter(action="alerts sent").count() == 2  # the founder is an operator, too
    # The digest does not repeat it.
    assert notices.send_digests() == 0


def test_alerts_in_a_row_share_a_mail(overseer: User, operator: User, claimed_round: Round) -> None:
    actions.fail(job=claimed_round, error="Out of memory.")
    notices.send_alerts()
    mail.outbox.clear()
    for error in ("Disk full.", "Still full.", "Fuller."):
        actions.retry(round_=claimed_round, by=operator, note="Once more.")
        again = leases.claim(Round)
        assert again is not None
        actions.fail(job=again, error=error)
        assert notices.send_alerts() == 0

    DeskSettings.objects.update(alerted_at=timezone.now() - notices.BETWEEN_ALERTS - timedelta(seconds=1))

    notices.send_alerts()
    for person in (overseer, operator):
        (letter,) = to(person)
        assert "Fuller." in letter.body


def test_who_chose_no_mail_gets_none_and_finds_it_in_the_inbox(
    client: Client, overseer: User, claimed_round: Round
) -> None:
    notices.set_digest(digest=Digest.OFF, by=overseer)
    actions.fail(job=claimed_round, error="<script>alert(1)</script>")
    notices.send_alerts()
    assert to(overseer) == []
    client.force_login(overseer)
    page = client.get(reverse("amendments:inbox"))
    assert "&lt;script&gt;alert(1)" in page.content.decode()
    assert f'href="/rounds/{claimed_round.pk}/"' in page.content.decode()
    client.post(reverse("amendments:inbox-read"))
    assert told(overseer) == []


@pytest.mark.django_db(transaction=True)
def test_mails_from_several_workers_at_once_are_one_for_each(overseer: User, claimed_round: Round) -> None:
    actions.fail(job=claimed_round, error="Out of memory.")
    at_once(*[notices.send_alerts] * 3)
    assert len(to(overseer)) == 1
    assert len(mail.outbox) == 2


def test_schema_refuses_an_alert_of_a_proposal_and_a_notice_of_nothing(overseer: User, claimed_round: Round) -> None:
    actions.fail(job=claimed_round, error="Out of memory.")
    for changes in ({"kind": NoticeKind.DECIDED}, {"path": ""}, {"about": ""}):
        with pytest.raises(IntegrityError, match="notice_of_a_proposal_or_an_alert"), transaction.atomic():
            Notice.objects.update(**changes)
    with pytest.raises(DatabaseError), transaction.atomic():
        Alert.objects.update(sentence="Nothing happened.")


def test_alerts_page_lists_what_happened_with_its_evidence(client: Client, reviewer: User, paused_round: Round) -> None:
    client.force_login(reviewer)
    page = client.get(reverse("training:alerts")).content.decode()
    assert "Round paused" in page
    assert f'href="/rounds/{paused_round.pk}/"' in page
    assert reverse("training:webhooks") not in page


def test_alerts_page_asks_as_much_for_many_as_for_few(client: Client, operator: User, queued_round: Round) -> None:
    client.force_login(operator)
    client.get(reverse("training:alerts"))
    hook = Webhook.objects.create(name="x", url="https://example.org/", salt="s", hint="h", made_by=operator)
    counts = []
    for most in (3, 60):
        for number in range(Alert.objects.count(), most):
            alert = Alert.objects.create(
                key=f"k{number}", kind=AlertKind.FAILED, round=queued_round, sentence="It failed."
            )
            Delivery.objects.create(alert=alert, webhook=hook, message=f"m{number}", due_at=timezone.now())
        with CaptureQueriesContext(connection) as asked:
            page = client.get(reverse("training:alerts"))
        counts.append(len(asked))
    assert counts[0] == counts[1]
    older = client.get(reverse("training:alerts") + page.context["older_url"])
    assert len(older.context["alerts"]) == 25


def writes_under_the_ledger_lock(do: Callable[[], object]) -> list[str]:
    """What is written to other tables while everybody else waits for the ledger."""
    with CaptureQueriesContext(connection) as found:
        do()
    said = [row["sql"] for row in found.captured_queries]
    locked = next(place for place, sql in enumerate(said) if str(ledger.APPEND_LOCK) in sql)
    writes = ("INSERT", "UPDATE", "DELETE")
    return [sql for sql in said[locked:] if sql.startswith(writes) and LedgerEntry._meta.db_table not in sql]


def test_people_are_told_before_the_ledger_is_locked(
    claimed_round: Round, second_version: Version, scenarios: list[Scenario], overseer: User
) -> None:
    pause = {"stage": "sft", "step": 10, "reason": "It fell.", "evidence": []}
    assert writes_under_the_ledger_lock(lambda: actions.pause(round_=claimed_round, pause=pause)) == []
    actions.resume(round_=claimed_round, by=overseer, note="It will recover.")
    claimed = leases.claim(Round)
    assert claimed is not None
    assert writes_under_the_ledger_lock(lambda: actions.fail(job=claimed, error="No memory.")) == []
    actions.abort(round_=claimed, by=overseer, note="Another one.")
    made = make_model(second_version)
    make_judge_card()
    assert writes_under_the_ledger_lock(lambda: promote(checkpoint=made, by=overseer, seen=None)) == []
    assert kinds() == [AlertKind.PAUSED, AlertKind.FAILED, AlertKind.PROMOTED]
