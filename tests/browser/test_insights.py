"""A producer put in quarantine, what it left open rejected, followed on its page; the insights and their tables."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System, file_proposal

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def producer(system: System) -> int:
    """One with two open proposals."""
    file_proposal(system, "T-05", "It thanks nobody for asking.")
    file_proposal(system, "T-02", "It never stops early.")
    return int(system.value("SELECT id FROM amendments_producer WHERE model = 'a test'"))


@pytest.mark.timeout(240)
def test_producer_is_put_in_quarantine_and_its_open_proposals_are_rejected(
    page: Page, system: System, producer: int
) -> None:
    page.goto("/producers/")
    desk.check_accessible(page)
    desk.check_fits(page)
    page.get_by_role("link", name="a test").press("Enter")
    expect(page.get_by_role("heading", name="Open 2")).to_be_visible()
    page.get_by_label("Why it should propose nothing for now").fill("It repeats itself.")
    page.get_by_role("button", name="Put it in quarantine").press("Enter")
    expect(page.get_by_text("nothing new of it is filed", exact=False).first).to_be_visible()
    desk.check_accessible(page)
    desk.check_fits(page)
    page.get_by_label("Why all of them are rejected").fill("All the same.")
    page.get_by_role("button", name="Reject all 2 that it left open").press("Enter")
    # A worker does it, and the page follows by itself.
    expect(page.locator("#clearing")).to_contain_text("2 of 2 rejected together by admin", timeout=60_000)
    rejected = "SELECT count(*) FROM amendments_amendment WHERE producer_id = %s AND state = 'rejected'"
    assert system.value(rejected, producer) == 2
    page.reload()
    page.get_by_role("button", name="Lift the quarantine").press("Enter")
    expect(page.get_by_text("it proposes again")).to_be_visible()


def test_producer_is_put_in_quarantine_without_javascript(plain_page: Page, system: System, producer: int) -> None:
    plain_page.goto(f"/producers/{producer}/")
    plain_page.get_by_label("Open at once, at most").fill("many")
    plain_page.get_by_role("button", name="Set").click()
    expect(plain_page.get_by_role("alert")).to_contain_text("Give a number")
    expect(plain_page.get_by_label("Open at once, at most")).to_have_value("many")
    plain_page.get_by_label("Open at once, at most").fill("7")
    plain_page.get_by_role("button", name="Set").click()
    expect(plain_page.get_by_text("Now 7, of which")).to_be_visible()


def test_insights_are_accessible_and_fit(page: Page, producer: int) -> None:
    page.goto("/insights/")
    page.get_by_text("The same as a table").first.click()
    expect(page.get_by_role("region", name="Throughput, the table")).to_be_visible()
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)
    page.get_by_role("link", name="90 days").press("Enter")
    expect(page.locator(".tabs [aria-current]")).to_have_text("90 days")
    with page.expect_download() as download:
        page.locator("#acceptance a[download]").click()
    assert download.value.suggested_filename.startswith("ratify-acceptance-")
