"""An operator adds a webhook, is alerted of a failed round, sees that it did not arrive, and has it sent again."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System, tiny_settings

pytestmark = pytest.mark.browser

# A round that fails without anything being trained, while no tick and no worker comes between.
FAIL = """
from django.db import connection, transaction
from amendments.models import Scenario
from constitution.models import User
from tests.training.conftest import make_plan, publish_second_version
from training import actions, leases
from training.coordinator import TICK_LOCK
from training.models import Round
with transaction.atomic():
    connection.cursor().execute("SELECT pg_advisory_xact_lock(%s)", [TICK_LOCK])
    version = publish_second_version(User.objects.get(username="admin"))
    actions.open_round(version=version, plan=make_plan(version))
    result = actions.fail(job=leases.claim(Round), error="Out of memory.").pk
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[System]:
    """As everywhere, and webhooks may go to this machine."""
    made = System(tmp_path_factory.mktemp("system"), {**tiny_settings(tiny_model), "WEBHOOKS_TO_PRIVATE": "1"})
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.timeout(240)
def test_operator_sees_what_happened_and_who_was_told(page: Page, system: System) -> None:
    page.goto("/settings/")
    page.get_by_role("link", name="Alerts, and the webhooks").press("Enter")
    expect(page.get_by_text("Nothing happened that anybody had to be told.")).to_be_visible()
    desk.check_accessible(page)
    page.get_by_role("link", name="webhooks").press("Enter")
    page.get_by_label("Who receives it").fill("The pager")
    page.get_by_label("Address").fill("http://127.0.0.1:9/hooks")
    page.get_by_role("button", name="Add the webhook").press("Enter")
    expect(page.get_by_label("Secret")).to_have_value(re.compile("^whsec_"))
    desk.check_accessible(page)
    desk.check_fits(page)

    pk = system.python(FAIL)
    page.goto("/alerts/")
    expect(page.get_by_role("heading", name=re.compile(rf"^Round failed ?: Round {pk}$"))).to_be_visible()
    # Nobody listens there: it is tried again by itself, and given up when the webhook is removed.
    expect(page.get_by_text("There was no answer")).to_be_visible(timeout=30_000)
    desk.check_accessible(page)
    desk.check_fits(page)
    page.get_by_role("link", name=re.compile(rf"^Round failed ?: Round {pk}$")).press("Enter")
    expect(page.get_by_role("heading", name=f"Round {pk}", exact=True)).to_be_visible()

    page.goto("/inbox/")
    expect(page.get_by_role("link", name="Round failed. It stopped")).to_be_visible()
    desk.check_accessible(page)
    page.goto("/alerts/webhooks/")
    page.get_by_role("button", name="Remove The pager").press("Enter")
    expect(page.locator(".flashes")).to_contain_text("Nothing is sent to The pager any more.")
    page.goto("/alerts/")
    expect(page.get_by_text("not delivered")).to_be_visible()
