"""The queue by hand: narrowed, kept as a view, ticked with keys, decided in bulk; and the same by plain forms."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk

pytestmark = pytest.mark.browser


def propose(page: Page, principle: str, text: str) -> None:
    page.goto(f"/clauses/{principle}/propose/")
    page.get_by_label("Text").fill(text)
    page.get_by_label("Why").fill("It is shorter and says the same.")
    page.get_by_role("button", name="Propose it").click()
    expect(page.get_by_text("Others decide on it now.")).to_be_visible()


def test_queue_is_narrowed_kept_and_decided_in_bulk(page: Page) -> None:
    propose(page, "T-05", "Write warmly, in plain words, as to a neighbour.")
    propose(page, "T-04", "Answer in the language of the question.")
    page.goto("/")
    page.get_by_text("Filters", exact=True).click()
    page.get_by_label("From", exact=True).select_option("people")
    page.locator("#filters").get_by_role("button", name="Show").click()
    expect(page.locator(".queue-line")).to_contain_text("2 proposals")
    expect(page).to_have_url(re.compile("by=people"))
    desk.check_accessible(page)
    desk.check_fits(page)

    page.get_by_text("Save this view").click()
    page.get_by_label("Name").fill("By hand")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("navigation", name="Views").get_by_role("link", name="By hand 2")).to_be_visible()

    page.locator("body").press("j")
    expect(page.locator("[data-item]").first).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator(".docket-tick").first).to_be_checked()
    page.get_by_label("All shown").check()
    expect(page.locator(".docket-tick:checked")).to_have_count(2)
    page.get_by_role("button", name="Decide on those ticked").click()
    expect(page.get_by_role("heading", name="Chosen: 2")).to_be_visible()
    desk.check_accessible(page)
    desk.check_fits(page)

    page.get_by_label("Reject them").check()
    page.get_by_label("Note").fill("It is said already.")
    page.get_by_role("button", name="Do it to those ticked").click()
    expect(page.get_by_role("heading", name="0 done, 2 skipped")).to_be_visible()
    expect(page.get_by_text("somebody else has to decide").first).to_be_visible()
    expect(page.locator("[name=item]:checked")).to_have_count(2)
    desk.check_accessible(page)


def test_queue_works_without_scripts(plain_page: Page) -> None:
    plain_page.goto("/?by=people&tier=3")
    plain_page.get_by_role("link", name="Tier: Style").click()
    expect(plain_page).to_have_url(re.compile(r"\?by=people$"))
    plain_page.get_by_role("button", name="Take the next one").click()
    expect(plain_page.get_by_text("Nothing here waits for you")).to_be_visible()
    plain_page.get_by_label("Words, or an id").fill("zebra")
    plain_page.get_by_role("button", name="Show").first.click()
    expect(plain_page.get_by_text("Nothing matches.")).to_be_visible()
