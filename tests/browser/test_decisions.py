"""Deciding with the time to undo: by keys, by forms without JavaScript, and with every worker suspended."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System, file_proposal, tiny_settings, wait_for

pytestmark = pytest.mark.browser
SECONDS = 6


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[System]:
    made = System(tmp_path_factory.mktemp("system"), {**tiny_settings(tiny_model), "UNDO_SECONDS": str(SECONDS)})
    try:
        made.start()
        yield made
    finally:
        made.stop()


def state(system: System, number: int) -> str:
    return str(system.value("SELECT state FROM amendments_amendment WHERE id = %s", number))


def open_proposal(page: Page, number: int) -> None:
    page.goto(f"/proposals/{number}/")
    expect(page.locator("#decision")).to_be_visible()


@pytest.mark.timeout(240)
def test_vote_is_undone_by_key_and_then_takes_effect_without_a_worker(page: Page, system: System) -> None:
    number = file_proposal(system, "G-01", "It reads the whole request first.")
    file_proposal(system, "T-03", "It offers what it can do instead.")
    system.suspend("cpu")
    try:
        open_proposal(page, number)
        page.keyboard.press("a")
        undo = page.locator(f"#undo-{number}")
        expect(undo).to_contain_text("You accepted")
        expect(page).not_to_have_url(f"{system.site}/proposals/{number}/")
        page.keyboard.press("u")
        expect(page.locator(".flashes")).to_contain_text("Taken back")
        expect(page).to_have_url(f"{system.site}/proposals/{number}/")
        page.wait_for_timeout(SECONDS * 1000 + 500)
        assert state(system, number) == "open"

        page.keyboard.press("a")
        expect(undo).to_contain_text("It takes effect in")
        page.goto("/")
        expect(undo).to_contain_text("It takes effect in")  # it survives going on
        expect(undo).to_contain_text("Version 2 is in force", timeout=(SECONDS + 5) * 1000)
        assert state(system, number) == "accepted"
    finally:
        system.resume("cpu")


def test_vote_takes_effect_when_nobody_stays_to_see_it(plain_page: Page, system: System) -> None:
    """Without JavaScript, by a worker; and undone by a plain form before that."""
    number = file_proposal(system, "T-02", "It never stops early.")
    open_proposal(plain_page, number)
    plain_page.get_by_role("button", name="Accept a", exact=True).click()
    plain_page.get_by_role("button", name=f"Undo u for proposal {number}").click()
    expect(plain_page.locator(".flashes")).to_contain_text("Taken back")
    plain_page.locator("#reject summary").click()
    plain_page.locator("#reject input[name=reason]").first.check()
    plain_page.get_by_role("button", name="Reject the proposal").click()
    expect(plain_page.locator(f"#undo-{number}")).to_contain_text("You rejected")
    wait_for(lambda: state(system, number) == "rejected", "the worker settles it", seconds=30)


def test_changes_are_requested_and_a_saved_text_opens_it_again(page: Page, system: System) -> None:
    number = file_proposal(system, "T-05", "It thanks nobody for asking.")
    open_proposal(page, number)
    page.keyboard.press("c")
    page.get_by_label("It needs a decided example").check()
    desk.check_accessible(page)
    page.locator("#changes").get_by_role("button", name="Request changes").click()
    expect(page.locator(f"#undo-{number}")).to_contain_text("You asked for changes")
    desk.check_accessible(page)
    desk.check_fits(page)
    wait_for(lambda: state(system, number) == "changes-requested", "it takes effect", seconds=30)

    open_proposal(page, number)
    page.keyboard.press("e")
    text = page.locator("#edit-text")
    text.fill(f"{text.input_value()} It stays kind.")
    page.get_by_role("button", name="Save the text").click()
    expect(page.locator(".flashes")).to_contain_text("Saved.")
    assert state(system, number) == "open"


def test_proposal_is_put_off_brought_back_assigned_and_closed_as_a_duplicate(page: Page, system: System) -> None:
    number = file_proposal(system, "T-06", "It uses no tables for one fact.")
    other = file_proposal(system, "T-06", "It uses no tables for a single fact.")
    open_proposal(page, number)
    page.keyboard.press("d")
    page.get_by_label("Somebody who is away should see it").check()
    page.get_by_role("button", name="Put it off").click()
    expect(page.locator(".flashes").last).to_contain_text("comes back to the queue by itself")

    open_proposal(page, number)
    expect(page.locator("#deferral")).to_contain_text("Somebody who is away should see it")
    desk.check_accessible(page)
    page.get_by_role("button", name="Bring it back now").click()
    expect(page.locator("#deferral")).to_have_count(0)
    page.locator("#assign summary").click()
    page.locator("#assign").get_by_role("button", name="Assign").click()
    expect(page.locator("#assign summary")).to_contain_text("Assigned to")

    page.keyboard.press("m")
    page.get_by_label("Number of the other proposal").fill(str(number))
    page.get_by_role("button", name="Close as duplicate").click()
    expect(page.get_by_role("alert").first).to_contain_text("no duplicate of itself")
    page.get_by_label("Number of the other proposal").fill(str(other))
    desk.check_accessible(page)
    desk.check_fits(page)
    page.get_by_role("button", name="Close as duplicate").click()
    wait_for(lambda: state(system, number) == "duplicate", "it is closed", seconds=10)
    page.goto(f"/proposals/{number}/")
    expect(page.locator("#standing").get_by_role("link", name=f"proposal {other}")).to_be_visible()


def test_sheet_of_keys_names_all_verbs(page: Page, system: System) -> None:
    number = file_proposal(system, "F-01", "It says what it does not know.")
    open_proposal(page, number)
    page.keyboard.press("?")
    sheet = page.locator("#shortcuts")
    for sentence in ("Request changes", "Defer until a day, close as a duplicate", "Undo the last vote"):
        expect(sheet).to_contain_text(sentence)
    desk.check_accessible(page)


def test_proposal_is_sent_to_the_board_which_votes_it_down(page: Page, system: System) -> None:
    number = file_proposal(system, "T-01", "It asks nobody for thanks.")
    open_proposal(page, number)
    page.keyboard.press("b")
    page.get_by_label("It weighs values against each other").check()
    desk.check_accessible(page)
    page.get_by_role("button", name="Send it to the board").click()
    expect(page.locator(".flashes")).to_contain_text("to the advisory board")

    page.goto("/?turn=board")
    expect(page.locator(".docket-row")).to_contain_text("before the board")
    open_proposal(page, number)
    expect(page.locator("#referral")).to_contain_text("It weighs values against each other")
    page.keyboard.press("v")
    page.locator("#board-vote").get_by_role("radio", name="Veto").check()
    desk.check_accessible(page)
    desk.check_fits(page)
    page.locator("#board-vote").get_by_role("button", name="Vote").click()
    expect(page.get_by_role("alert").filter(has_text="Say why")).to_be_visible()
    page.locator("#board-vote-note").fill("It is about manners.")
    page.locator("#board-vote").get_by_role("button", name="Vote").click()
    expect(page.locator(f"#undo-{number}")).to_contain_text("You vetoed")
    page.wait_for_timeout(SECONDS * 1000 + 500)
    open_proposal(page, number)
    expect(page.locator(".requirements")).to_contain_text("vetoes it: It is about manners.")
    desk.check_accessible(page)
    desk.check_fits(page)


def test_board_votes_without_javascript(plain_page: Page, system: System) -> None:
    number = file_proposal(system, "T-04", "It asks nobody for thanks.")
    open_proposal(plain_page, number)
    plain_page.locator("#refer summary").click()
    plain_page.get_by_label("Reviewers keep disagreeing").check()
    plain_page.get_by_role("button", name="Send it to the board").click()
    open_proposal(plain_page, number)
    plain_page.locator("#board-vote summary").click()
    plain_page.locator("#board-vote").get_by_role("radio", name="Against it").check()
    plain_page.locator("#board-vote-note").fill("It is about manners.")
    plain_page.locator("#board-vote").get_by_role("button", name="Vote").click()
    expect(plain_page.locator(f"#undo-{number}")).to_contain_text("You voted against")
    wait_for(lambda: state(system, number) == "rejected", "the worker settles it", seconds=30)
    open_proposal(plain_page, number)
    expect(plain_page.locator("#standing")).to_contain_text("The advisory board voted it down. It is about manners.")
