"""A person's own proposal, from the clause in the text to the proposal's page, and taken back."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk

pytestmark = pytest.mark.browser


def test_wording_is_proposed_from_the_text_and_withdrawn(page: Page) -> None:
    page.goto("/constitution/")
    page.get_by_role("link", name="propose another wording of T-05").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Propose another wording of T-05")
    desk.check_accessible(page)
    desk.check_fits(page)
    page.get_by_label("Text").fill("Write warmly, in plain words, as to a neighbour.")
    page.get_by_label("Why").fill("It is shorter and says the same.")
    page.get_by_role("button", name="Propose it").press("Enter")
    expect(page.get_by_text("Others decide on it now.")).to_be_visible()
    expect(page.locator("#change-title")).to_be_visible()
    desk.check_accessible(page)
    page.get_by_role("button", name="Withdraw it").press("Enter")
    expect(page.locator("#standing")).to_contain_text("Withdrawn")
