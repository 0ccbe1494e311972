"""Alerts reach a real receiver: signed, tried again, given up, told apart when they come twice."""

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.conf import settings as conf
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from config import env
from constitution import ledger
from constitution.errors import NotAllowed, Refused
from constitution.models import LedgerEntry, Role, User
from tests.factories import make_user
from tests.races import at_once
from tests.system import wait_for
from training import actions, webhook_posting, webhooks
from training.alert_records import Alert, AlertKind, Delivery, Webhook
from training.models import Round
from training.states import DELIVERED, FAILED, WAITING

pytestmark = pytest.mark.django_db

SENDER = """
import sys
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
import django
django.setup()
from training import webhooks
webhooks.deliver_due()
"""


@dataclass
class Receiver:
    """An HTTP server on this machine that keeps what it gets, and answers with what it is told to."""

    url: str = ""
    status: int = 204
    said: bytes = b""
    location: str = ""
    answers: threading.Event = field(default_factory=threading.Event)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    found.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            found.answers.wait(10)
            self.send_response(found.status)
            if found.location:
                self.send_header("Location", found.location)
            self.send_header("Content-Length", str(len(found.said)))
            self.end_headers()
            self.wfile.write(found.said)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hooks/ratify?from=tests"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield found
    found.answers.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def to_private(settings: Settings) -> None:
    settings.WEBHOOKS_TO_PRIVATE = True


@pytest.fixture
def hooked(receiver: Receiver, operator: User) -> tuple[Webhook, str]:
    return webhooks.register(name="The pager", url=receiver.url, by=operator)


def make_due() -> None:
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.filter(state=WAITING).update(due_at=past)
    Delivery.objects.filter(held_until__isnull=False).update(held_until=past)


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver checks it, by the text of Standard Webhooks."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return headers["webhook-signature"] == f"v1,{expected}"


def test_alert_arrives_signed_and_once(
    hooked: tuple[Webhook, str], receiver: Receiver, claimed_round: Round, settings: Settings
) -> None:
    settings.SITE = "https://ratify.example"
    actions.fail(job=claimed_round, error="Out of memory.")
    assert webhooks.deliver_due() == 1
    assert webhooks.deliver_due() == 0

    ((headers, body),) = receiver.got
    assert is_signed(hooked[1], headers, body)
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    content = json.loads(body)
    assert content["type"] == "round.failed"
    assert content["data"]["url"] == f"https://ratify.example/rounds/{claimed_round.pk}/"
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.message) == (DELIVERED, headers["webhook-id"])
    assert LedgerEntry.objects.filter(action="alert delivered").count() == 1
    ledger.verify()


def test_secret_is_kept_neither_in_the_tables_nor_in_the_ledger(hooked: tuple[Webhook, str]) -> None:
    row, secret = hooked
    assert secret not in json.dumps(
        [list(Webhook.objects.values_list()), list(LedgerEntry.objects.values())], default=str
    )
    assert row.url not in str(LedgerEntry.objects.get(action="webhook made").detail)


def test_receiver_that_refuses_is_tried_again_later_then_given_up_and_sent_to_again_by_a_person(
    hooked: tuple[Webhook, str], receiver: Receiver, paused_round: Round, operator: User
) -> None:
    receiver.status, receiver.said = 503, b"<b>down</b> for a while" * 1000
    for number in range(webhooks.MOST_TRIES):
        assert webhooks.deliver_due() == 0
        row = Delivery.objects.get()
        assert row.error.startswith("It answered 503: <b>down</b>")
        if number < len(webhooks.PAUSES):
            assert row.state == WAITING
            assert timedelta() < row.due_at - timezone.now() <= webhooks.PAUSES[number]
            assert webhooks.deliver_due() == 0, "not before its time"
        make_due()
    assert row.state == FAILED
    assert len(receiver.got) == webhooks.MOST_TRIES
    make_due()
    assert webhooks.deliver_due() == 0

    receiver.status, receiver.said = 200, b""
    webhooks.resend(delivery=row, by=operator)
    assert webhooks.deliver_due() == 1
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {row.message}, "a receiver can tell it is the same"
    with pytest.raises(Refused, match="arrived"):
        webhooks.resend(delivery=row, by=operator)


def test_worker_that_dies_after_sending_is_followed_by_another_and_the_receiver_can_tell(
    hooked: tuple[Webhook, str], receiver: Receiver, paused_round: Round
) -> None:
    taken = webhooks._take()
    assert taken is not None
    webhooks._post(taken)  # and it is killed before it writes anything down
    assert webhooks.deliver_due() == 0, "it is in somebody's hands"
    make_due()
    assert webhooks.deliver_due() == 1
    first, second = (headers for headers, _ in receiver.got)
    assert first["webhook-id"] == second["webhook-id"]
    assert receiver.got[0][1] == receiver.got[1][1]
    # What the dead one's ghost still writes changes nothing.
    webhooks._finish(taken, error="too late", is_last=True)
    assert Delivery.objects.get().state == DELIVERED


@pytest.mark.timeout(120)
@pytest.mark.django_db(transaction=True)
def test_worker_that_is_killed_while_it_sends_loses_nothing(
    hooked: tuple[Webhook, str], receiver: Receiver, paused_round: Round, settings: Settings
) -> None:
    receiver.answers.clear()
    command = [sys.executable, "-c", SENDER, str(connection.settings_dict["NAME"])]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "WEBHOOKS_TO_PRIVATE": "1"}
    with subprocess.Popen(command, cwd=env.BASE, env=environment) as sender:
        wait_for(lambda: receiver.got, "something that was sent", seconds=60)
        sender.kill()
    receiver.answers.set()
    assert Delivery.objects.get().state == WAITING
    make_due()
    assert webhooks.deliver_due() == 1
    first, second = (headers["webhook-id"] for headers, _ in receiver.got)
    assert first == second


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_send_it_once(hooked: tuple[Webhook, str], receiver: Receiver, paused_round: Round) -> None:
    assert sorted(str(sent) for sent in at_once(*[webhooks.deliver_due] * 3)) == ["0", "0", "1"]
    assert len(receiver.got) == 1


def test_redirect_is_not_followed(hooked: tuple[Webhook, str], receiver: Receiver, paused_round: Round) -> None:
    receiver.status, receiver.location = 302, "http://169.254.169.254/latest/meta-data"
    assert webhooks.deliver_due() == 0
    assert len(receiver.got) == 1
    assert "a redirect; these are not followed" in Delivery.objects.get().error


def test_address_that_became_private_is_given_up_at_once(
    hooked: tuple[Webhook, str], receiver: Receiver, paused_round: Round, settings: Settings
) -> None:
    settings.WEBHOOKS_TO_PRIVATE = False
    webhooks.deliver_due()
    row = Delivery.objects.get()
    assert (row.state, row.tries) == (FAILED, 1)
    assert receiver.got == []


def test_another_secret_key_is_noticed_before_a_wrong_signature_goes_out(
    hooked: tuple[Webhook, str], receiver: Receiver, paused_round: Round, settings: Settings
) -> None:
    settings.SECRET_KEY = conf.SECRET_KEY + "!"
    webhooks.deliver_due()
    assert Delivery.objects.get().error == webhooks.ANOTHER_KEY
    assert receiver.got == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/", "https://localhost/", "https://[::1]/", "https://10.1.2.3/", "https://192.168.0.1/",
        "https://169.254.169.254/latest", "https://0.0.0.0/", "https://100.64.0.1/", "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://224.0.0.1/", "https://2130706433/",
        "https://0x7f.1/", "http://example.org/", "ftp://example.org/", "https://", "https://a:b@example.org/",
        "https://example.org/#x", "https://example.org:99999/", "https://exa mple.org/", "javascript:alert(1)",
        "https://example.org/\r\nHost: x", "https://example.org/" + "x" * 500,
    ],
)  # fmt: skip
def test_address_of_our_own_network_or_of_nothing_is_refused(url: str, operator: User, settings: Settings) -> None:
    settings.WEBHOOKS_TO_PRIVATE = False
    with pytest.raises(Refused):
        webhooks.register(name="x", url=url, by=operator)
    assert not Webhook.objects.exists()


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public_address_is_told_from_private_ones(address: str) -> None:
    assert webhook_posting.is_public(address)


def test_receiver_that_drips_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            talking, _ = server.accept()
            with talking:
                try:
                    talking.sendall(b"HTTP/1.1 200 OK\r\n")
                    for number in range(100):
                        talking.sendall(f"X-{number}: y\r\n".encode())
                        time.sleep(0.05)
                except OSError:
                    return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        url, began = f"http://127.0.0.1:{server.getsockname()[1]}/", time.monotonic()
        with pytest.raises(webhook_posting.NotTaken, match="no answer within"):
            webhook_posting.post(url, body=b"{}", headers={}, private=True, seconds=0.5)
        assert time.monotonic() - began < 2
        thread.join()


@pytest.mark.parametrize("role", [role for role in Role if role != Role.OPERATOR])
def test_only_operators_keep_webhooks(hooked: tuple[Webhook, str], paused_round: Round, role: Role) -> None:
    person = make_user("somebody", role)
    with pytest.raises(NotAllowed):
        webhooks.register(name="Mine", url="http://127.0.0.1:1/", by=person)
    with pytest.raises(NotAllowed):
        webhooks.remove(webhook=hooked[0], by=person)
    with pytest.raises(NotAllowed):
        webhooks.resend(delivery=Delivery.objects.get(), by=person)


def test_removed_webhook_gets_nothing_more(
    hooked: tuple[Webhook, str], receiver: Receiver, paused_round: Round, operator: User
) -> None:
    webhooks.remove(webhook=hooked[0], by=operator)
    webhooks.remove(webhook=hooked[0], by=operator)
    assert webhooks.deliver_due() == 0
    assert receiver.got == []
    assert Delivery.objects.get().error == "The webhook was removed."
    assert LedgerEntry.objects.filter(action="webhook removed").count() == 1
    with pytest.raises(Refused, match="removed"):
        webhooks.resend(delivery=Delivery.objects.get(), by=operator)


def test_pages_make_a_webhook_show_its_secret_once_and_send_again(
    client: Client, operator: User, receiver: Receiver, queued_round: Round
) -> None:
    client.force_login(operator)
    made = client.post(reverse("training:webhooks"), {"name": "<b>Pager</b>", "url": receiver.url})
    secret = made.context["made"]["secret"]
    assert secret in made.content.decode()
    assert secret not in client.get(reverse("training:webhooks")).content.decode()
    assert "&lt;b&gt;Pager" in made.content.decode()
    refused = client.post(reverse("training:webhooks"), {"name": "x", "url": "nonsense"})
    assert (refused.status_code, refused.context["url"]) == (409, "nonsense")

    alert = Alert.objects.create(key="k", kind=AlertKind.FAILED, round=queued_round, sentence="It failed.")
    delivery = Delivery.objects.create(
        alert=alert, webhook=Webhook.objects.get(), message="msg_1", due_at=timezone.now()
    )
    Delivery.objects.update(state=FAILED, error="It answered 500.")
    page = client.get(reverse("training:alerts")).content.decode()
    assert "It answered 500." in page
    assert client.post(reverse("training:delivery-resend", args=[delivery.pk])).status_code == 302
    assert webhooks.deliver_due() == 1
    assert "delivered" in client.get(reverse("training:alerts")).content.decode()
