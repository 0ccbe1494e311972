"""A worker that is killed while it rejects what a producer left open: nothing half done, and the next one goes on."""

import os
import signal
import subprocess
import sys
import time

import pytest
from django.db import connection

from amendments import producers, states
from amendments.models import AcceptanceRule, Amendment, Clearance, Producer
from constitution import ledger
from constitution.models import LedgerEntry, User
from tests.amendments.conftest import Propose
from tests.architecture.source import ROOT

pytestmark = pytest.mark.django_db(transaction=True)
# A process of its own, that joins the database of this test and rejects one after the other.
WORK = """
import sys, django
from django.conf import settings
django.setup()
settings.DATABASES["default"]["NAME"] = sys.argv[1]
from amendments import producers
producers.BATCH = 1
producers.clear(seconds=60)
"""
MANY = 150


def test_killed_worker_leaves_nothing_half_done_and_the_next_goes_on(
    file_proposal: Propose, producer: Producer, reviewer: User
) -> None:
    for tier in (2, 3):
        AcceptanceRule.objects.create(tier=tier, reviewers=1)
    for number in range(MANY):
        file_proposal(text=f"Help with harmless request {number}.")
    producers.quarantine(producer=producer, note="It repeats itself.", by=reviewer)
    clearance = producers.order_clearance(producer=producer, reason="All the same.", by=reviewer)

    _kill_at_work(clearance)

    before = _check_whole()
    assert 0 < before.rejected < MANY
    assert before.ended_at is None
    while producers.clear(seconds=30):
        pass
    after = _check_whole()
    assert (after.rejected, after.ended_at is not None) == (MANY, True)


def _check_whole() -> Clearance:
    """The clearance as it is, having checked that what it says it rejected is what was rejected and written down."""
    clearance = Clearance.objects.get()
    assert Amendment.objects.filter(state=states.REJECTED).count() == clearance.rejected
    assert LedgerEntry.objects.filter(action="amendment rejected").count() == clearance.rejected
    ledger.verify()
    return clearance


def _kill_at_work(clearance: Clearance) -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WORK, connection.settings_dict["NAME"]]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        end = time.monotonic() + 60
        while Clearance.objects.get(pk=clearance.pk).rejected < 5:
            assert process.poll() is None
            assert time.monotonic() < end, "it did not begin"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
