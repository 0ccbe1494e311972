"""Tokens and the API's description, in a browser: made, used, revoked; accessible in light and dark, and on a phone."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System


@pytest.mark.parametrize("path", ["/settings/tokens/", "/api/"])
def test_page_is_accessible_and_fits(page: Page, path: str) -> None:
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200
    for fold in page.locator("main details > summary").all():
        fold.click()
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)


def test_description_is_open_to_everybody(page: Page) -> None:
    page.context.clear_cookies()
    page.goto("/api/#rate")
    expect(page.get_by_role("heading", level=1)).to_have_text("API, version 1")
    desk.check_accessible(page)


def test_token_is_made_used_and_revoked_by_keyboard(plain_page: Page, system: System) -> None:
    page = plain_page
    page.goto("/settings/")
    page.get_by_role("link", name="API tokens").press("Enter")
    page.get_by_label("What will use it").fill("Triage desk")
    page.get_by_role("button", name="Make the token").press("Enter")
    secret = page.get_by_label("Secret").input_value()
    assert re.fullmatch(r"rat_[\w-]{43}", secret)
    desk.check_fits(page)
    headers = {"Authorization": f"Bearer {secret}"}
    effective = f"{system.site}/api/v1/constitutions/home/effective?region=FR"
    assert page.request.get(effective, headers=headers).status == 200
    page.goto("/settings/tokens/")
    assert secret not in page.content()
    expect(page.get_by_text("last used")).to_be_visible()
    page.get_by_role("button", name="Revoke Triage desk").press("Enter")
    expect(page.get_by_text("revoked", exact=True)).to_be_visible()
    assert page.request.get(effective, headers=headers).status == 401
