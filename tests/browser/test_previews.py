"""The measured effect on a proposal's page: asked for, measured while one looks, and read without JavaScript too."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk

pytestmark = pytest.mark.browser
LONG = 60_000  # the machine reads the scenarios first


def propose(page: Page) -> None:
    page.goto("/clauses/T-05/propose/")
    page.get_by_label("Text").fill("Never write coldly. Use plain words, as to a neighbour.")
    page.get_by_label("Why").fill("It is shorter and says the same.")
    page.get_by_role("button", name="Propose it").click()
    expect(page.locator("#change-title")).to_be_visible()


def test_effect_is_measured_while_one_looks_and_can_be_read_without_javascript(page: Page, plain_page: Page) -> None:
    propose(page)
    section = page.locator("#preview")
    expect(section.get_by_role("heading", level=2)).to_have_text("Measured effect")
    desk.check_accessible(page)

    expect(section).to_contain_text("Harmless requests", timeout=LONG)  # it came by itself
    expect(section).to_contain_text(re.compile("Not distinguishable from rewording|More than rewording"))
    expect(section).to_contain_text("Among decided examples it makes no contradiction and ends none.")
    expect(section).to_contain_text("Two clauses pull apart")
    section.get_by_text("The same as a table").click()
    expect(section.get_by_role("table")).to_contain_text("Drawn at random")
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)

    plain_page.goto(page.url)
    plain = plain_page.locator("#preview")
    expect(plain).to_contain_text("Harmless requests")
    expect(plain).to_contain_text("on this machine, by the last ones here")
    plain.get_by_role("button", name="Measure it with a larger battery").click()
    expect(plain_page.get_by_text("Asked for. The figures appear")).to_be_visible()
    expect(plain.get_by_role("button", name="Measure it with a larger battery")).to_have_count(0)


def test_page_of_how_far_previews_came_true_says_what_comes_next(page: Page) -> None:
    page.goto("/previews/")
    expect(page.get_by_role("heading", level=1)).to_have_text("How far previews came true")
    expect(page.locator("main")).to_contain_text(re.compile("Nothing has been compared yet|Inside what was foretold"))
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)
