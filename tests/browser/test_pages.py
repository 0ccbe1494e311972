"""What holds on every page: accessible, no wider than a phone, a quiet console; and decisions without JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System, file_proposal, wait_for

PAGES = [
    "/",
    "/?state=decided",
    "/proposals/{proposal}/",
    "/proposals/{decided}/",
    "/constitution/",
    "/versions/1/?industry=healthcare&region=EU",
    "/history/",
    "/versions/1/to/2/",
    "/rounds/",
    "/rounds/{round}/",
    "/rounds/begin/",
    "/readings/",
    "/judges/",
    "/models/",
    "/edge-cases/",
    "/edge-cases/new/",
    "/producers/",
    "/insights/",
    "/inbox/",
    "/settings/desk/",
    "/settings/",
    "/accounts/password/change/",
    "/accounts/2fa/",
]


@pytest.fixture(scope="module")
def places(system: System) -> dict[str, int]:
    """Numbers of an open proposal, of an accepted one, and of the round that its version opened."""
    decided = file_proposal(system, "G-01", "It says so when it is not sure what was meant.")
    system.python(
        f"""
from amendments.actions import accept
from amendments.models import Amendment
from constitution.models import User
row = Amendment.objects.get(pk={decided})
accept(amendment=row, by=User.objects.get(username="admin"), seen_digest=row.digest)
"""
    )
    proposal = file_proposal(system, "T-03", "It names one thing that it can do instead.")
    opened = wait_for(lambda: system.value("SELECT min(id) FROM training_round"), "a round", seconds=60)
    return {"proposal": proposal, "decided": decided, "round": int(opened)}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("path", PAGES)
def test_page_is_accessible_and_fits(page: Page, places: dict[str, int], path: str) -> None:
    answer = page.goto(path.format(**places))
    assert answer is not None
    assert answer.status == 200
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)


def test_sign_in_page_is_accessible_and_fits(page: Page) -> None:
    page.context.clear_cookies()
    page.goto("/")
    assert "/accounts/login/" in page.url
    desk.check_accessible(page)
    desk.check_fits(page)


def test_missing_page_says_so(page: Page) -> None:
    answer = page.goto("/nothing-here/")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_contain_text("nothing at this address")
    desk.check_accessible(page)


def test_accept_without_javascript(plain_page: Page, system: System, places: dict[str, int]) -> None:
    number = file_proposal(system, "T-05", "It thanks nobody for asking.")
    before = system.value("SELECT max(number) FROM constitution_version")
    plain_page.goto(f"/proposals/{number}/")
    plain_page.get_by_role("button", name="Accept a", exact=True).click()
    expect(plain_page.locator(".flashes")).to_contain_text(f"Version {before + 1}")
    assert system.value("SELECT max(number) FROM constitution_version") == before + 1


def test_reject_without_javascript(plain_page: Page, system: System, places: dict[str, int]) -> None:
    number = file_proposal(system, "T-02", "It never stops early.")
    before = system.value("SELECT max(number) FROM constitution_version")
    plain_page.goto(f"/proposals/{number}/")
    plain_page.locator("#reject summary").click()
    plain_page.locator("#reject input[name=reason]").first.check()
    plain_page.get_by_role("button", name="Reject the proposal").click()
    expect(plain_page.locator(".flashes")).to_contain_text("Rejected")
    assert system.value("SELECT max(number) FROM constitution_version") == before


def test_second_reviewer_is_told_and_keeps_the_text(page: Page, system: System, places: dict[str, int]) -> None:
    """Somebody else accepts while the page is open: the editor's words stay, and a sentence says what happened."""
    number = file_proposal(system, "T-06", "It uses no tables for one fact.")
    page.goto(f"/proposals/{number}/")
    page.keyboard.press("e")
    text = page.locator("#edit-text")
    mine = f"{text.input_value()} These are my words."
    text.fill(mine)
    system.python(
        f"""
from amendments.actions import accept
from amendments.models import Amendment
from constitution.models import User
row = Amendment.objects.get(pk={number})
accept(amendment=row, by=User.objects.get(username="admin"), seen_digest=row.digest)
"""
    )
    page.get_by_role("button", name="Accept as edited").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    kept = page.locator("textarea").evaluate_all("fields => fields.map(field => field.value)")
    assert mine in kept
    assert system.value("SELECT count(*) FROM amendments_amendment WHERE id = %s AND state = 'accepted'", number) == 1


def test_keys_can_be_switched_off(page: Page, system: System, places: dict[str, int]) -> None:
    def switch(on: bool) -> None:
        page.goto("/settings/")
        page.locator("input[name=single_key_shortcuts]").set_checked(on)
        page.locator("main form").first.get_by_role("button").click()
        expect(page.get_by_text("Saved.", exact=True)).to_be_visible()

    switch(False)
    page.goto(f"/proposals/{places['proposal']}/")
    page.keyboard.press("a")
    page.wait_for_timeout(500)
    assert system.value("SELECT state FROM amendments_amendment WHERE id = %s", places["proposal"]) == "open"
    switch(True)
