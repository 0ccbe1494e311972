"""Known items are planted; a vote on one is undone, cast again, and its reviewer is told; without scripts, too."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from amendments.scores import is_drawn
from tests.browser import desk
from tests.system import System, tiny_settings

pytestmark = pytest.mark.browser
SECONDS = 3
KNOWN = "SELECT id FROM amendments_amendment WHERE known_verdict <> '' AND decided_at IS NULL ORDER BY id"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, tiny_model: object) -> Iterator[System]:
    settings = {**tiny_settings(tiny_model), "UNDO_SECONDS": str(SECONDS)}  # type: ignore[arg-type]
    made = System(tmp_path_factory.mktemp("system"), settings)
    try:
        made.start()
        made.manage("plant_known_items", "--most", "3", "--bare")
        yield made
    finally:
        made.stop()


def check_score(page: Page, system: System, number: int) -> None:
    """The model's own score stands there, or that it is hidden, as drawn for this pair."""
    person = system.value("SELECT id FROM constitution_user WHERE username = 'admin'")
    hidden = is_drawn(number, int(person))
    expect(page.locator("#score-hidden")).to_have_count(int(hidden))
    expect(page.locator("#score")).to_have_count(int(not hidden))
    assert ("nats" in page.inner_text("main")) is not hidden


@pytest.mark.timeout(240)
def test_reviewer_is_told_of_a_known_item_once_the_vote_counts(page: Page, system: System) -> None:
    number = int(system.value(KNOWN))
    page.goto(f"/proposals/{number}/")
    check_score(page, system, number)
    desk.check_accessible(page)
    page.keyboard.press("a")
    undo = page.locator(f"#undo-{number}")
    expect(undo).to_contain_text("You accepted")
    page.keyboard.press("u")
    expect(page.locator(".flashes")).to_contain_text("Taken back")
    expect(page.locator("#known")).to_have_count(0)

    page.keyboard.press("a")
    expect(undo).to_contain_text("was a known item", timeout=(SECONDS + 10) * 1000)

    page.goto(f"/proposals/{number}/")
    expect(page.locator("#known")).to_contain_text("Right is to")
    expect(page.locator("main")).to_contain_text("nats")
    desk.check_accessible(page)
    desk.check_fits(page)
    page.goto("/inbox/")
    expect(page.get_by_text("It was a known item", exact=False).first).to_be_visible()
    page.goto("/insights/#known")
    expect(page.locator("#known")).to_contain_text("admin")
    desk.check_accessible(page)
    desk.check_fits(page)
    assert system.value("SELECT count(*) FROM constitution_version") == 1


@pytest.mark.timeout(240)
def test_known_items_are_planted_and_voted_on_without_scripts(plain_page: Page, system: System) -> None:
    page = plain_page
    number = int(system.value(KNOWN))
    page.goto("/insights/")
    page.get_by_label("How many").fill("1")
    page.get_by_label("Also those without edge cases").check()
    page.get_by_role("button", name="Plant known items").press("Enter")
    expect(page.locator(".flashes")).to_contain_text("Planted 1 known item among the open proposals")

    page.goto(f"/proposals/{number}/")
    page.locator("#reject summary").click()
    page.locator("#reject").get_by_label("In my own words").check()
    page.locator("#reject textarea").fill("Too broad.")
    page.get_by_role("button", name="Reject the proposal").press("Enter")
    page.wait_for_timeout((SECONDS + 1) * 1000)
    page.goto(f"/proposals/{number}/")
    expect(page.locator("#known")).to_contain_text("Right is to")
