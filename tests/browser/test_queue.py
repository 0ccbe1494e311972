"""The queue by hand: narrowed, kept as a view, ticked with keys, decided in bulk; and the same by plain forms."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", autouse=True)
def proposed(system: System) -> None:
    """Two proposals of the person who looks at the queue."""
    system.python(
        """
from amendments.actions import propose
from amendments.operations import Revise
from constitution.models import User, Version
head, by = Version.objects.head(), User.objects.get(username="admin")
for clause in head.texts():
    if clause.principle in ("T-04", "T-05"):
        shorter = Revise(principle=clause.principle, before=clause.digest, text=clause.text[:40] + ".")
        propose(by=by, base=head, operations=(shorter,), rationale="It is shorter and says the same.")
result = None
"""
    )


def test_queue_is_narrowed_kept_and_decided_in_bulk(page: Page) -> None:
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


def test_list_stands_beside_the_proposal_and_the_next_one_is_there_at_once(page: Page) -> None:
    page.set_viewport_size({"width": 1600, "height": 900})
    page.goto("/?by=people")
    with page.expect_response(lambda answer: "from=" in answer.url):  # it is loaded ahead
        page.locator("[data-item]").first.click()
    trail = page.get_by_role("navigation", name="The list you came by")
    expect(trail.get_by_role("listitem")).to_have_count(2)
    beside, change = trail.bounding_box(), page.locator("#proposal-title").bounding_box()
    assert beside is not None
    assert change is not None
    assert beside["x"] + beside["width"] < change["x"]
    desk.check_accessible(page)
    desk.check_fits(page)

    page.wait_for_timeout(500)  # until it is stored
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(r"\?in=by%3Dpeople&from=\d+$"))
    assert page.evaluate("performance.getEntriesByType('navigation')[0].transferSize") == 0
    expect(trail.locator("li").last.locator("[aria-current=page]")).to_be_visible()
    expect(page.get_by_role("link", name="Next")).to_have_count(0)
