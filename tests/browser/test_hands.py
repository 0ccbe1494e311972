"""Taking proposals in hand by keys: the lease runs where one sees it, others see whose it is, and keys can be off."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import desk
from tests.system import System, file_proposal, sign_in_link

pytestmark = pytest.mark.browser
LEFT = re.compile(r"[45]:\d\d")


@pytest.fixture(scope="module", autouse=True)
def proposed(system: System) -> None:
    file_proposal(system, "T-04", "It names one thing that it can do instead.")
    file_proposal(system, "T-05", "It thanks nobody for asking.")


@pytest.fixture
def other_page(chromium: Browser, system: System) -> Iterator[Page]:
    """A page of another reviewer, grace."""
    system.python(
        """
from constitution.models import Role, User
from constitution.people import register
if not User.objects.filter(username="grace").exists():
    register(username="grace", roles=[Role.REVIEWER], by="a test")
"""
    )
    context = chromium.new_context(base_url=system.site)
    page = context.new_page()
    errors = desk.watch(page)
    page.goto(sign_in_link(system, "grace"))
    yield page
    context.close()
    assert errors == []


def test_next_one_is_taken_by_key_seen_by_others_and_let_go(page: Page, other_page: Page) -> None:
    page.goto("/")
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile(r"/proposals/\d+/$"))
    timer = page.get_by_role("timer")
    expect(timer).to_have_text(LEFT)
    before = timer.inner_text()
    expect(timer).not_to_have_text(before)
    assert LEFT.fullmatch(timer.inner_text())
    assert timer.inner_text() < before
    desk.check_accessible(page)
    desk.check_fits(page)

    other_page.goto("/")
    expect(other_page.locator("#queue")).to_contain_text("admin has it in hand")
    other_page.goto(page.url)
    claim = other_page.locator("#claim")
    expect(claim).to_contain_text("admin has it in hand until")

    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Take it in hand")).to_be_visible()
    expect(claim).to_contain_text("Take it in hand")
    other_page.keyboard.press("t")
    expect(claim).to_contain_text("In your hands until")
    expect(page.locator("#claim")).to_contain_text("grace has it in hand until")
    other_page.get_by_role("button", name="Let it go").click()
    expect(page.locator("#claim")).to_contain_text("Take it in hand")


def test_what_is_being_written_outlasts_the_lease(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("n")
    page.get_by_label("Say something").fill("Half a thought")
    page.locator("[data-renews]").dispatch_event("renew")
    page.get_by_role("button", name="Let it go").click()
    expect(page.get_by_role("button", name="Take it in hand")).to_be_visible()
    expect(page.get_by_label("Say something")).to_have_value("Half a thought")
    with page.expect_event("dialog") as asked:
        page.evaluate("setTimeout(() => location.reload())")
    assert asked.value.type == "beforeunload"
    asked.value.accept()


def set_keys(page: Page, *, are_on: bool) -> None:
    page.goto("/settings/")
    page.get_by_label("Decide with single keys").set_checked(are_on)
    page.get_by_role("button", name="Save").first.click()
    expect(page.locator(".flashes")).to_contain_text("Saved.")  # or the page would be closed while it is on its way


@pytest.fixture
def keyless_page(page: Page) -> Iterator[Page]:
    set_keys(page, are_on=False)
    yield page
    set_keys(page, are_on=True)


def test_keys_that_are_off_do_nothing(keyless_page: Page) -> None:
    page = keyless_page
    page.goto("/")
    page.keyboard.press("n")
    page.keyboard.press("?")
    page.wait_for_timeout(500)
    expect(page).to_have_url(re.compile(r"/$"))
    expect(page.get_by_role("heading", name="Proposals", level=1)).to_be_visible()
    page.get_by_role("button", name="Take the next one").click()
    expect(page.get_by_role("timer")).to_have_text(LEFT)
    page.keyboard.press("l")
    page.wait_for_timeout(500)
    expect(page.get_by_role("timer")).to_be_visible()
    page.get_by_role("button", name="Let it go").click()
    expect(page.get_by_role("button", name="Take it in hand")).to_be_visible()


def test_without_scripts_the_hour_is_shown_and_buttons_do_it(plain_page: Page) -> None:
    plain_page.goto("/")
    plain_page.get_by_role("button", name="Take the next one").click()
    expect(plain_page.locator("#claim")).to_contain_text(re.compile(r"In your hands until \d\d:\d\d"))
    expect(plain_page.get_by_role("timer")).to_be_hidden()
    plain_page.get_by_role("button", name="Let it go").click()
    expect(plain_page.get_by_role("button", name="Take it in hand")).to_be_visible()
