"""What is said of a proposal, live and without JavaScript, and the inbox that tells of it."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System, file_proposal

pytestmark = pytest.mark.browser

SAY = """
from amendments.discussion import say
from amendments.models import Amendment
from constitution.models import Role, User
from constitution.people import register
by = User.objects.filter(username="ada").first() or register(username="ada", roles=[Role.REVIEWER], by="a test")
say(amendment=Amendment.objects.get(pk={pk}), by=by, text="{text}", audience="everybody")
"""


@pytest.fixture(scope="module")
def proposal(system: System) -> int:
    return file_proposal(system, "T-03", "It names one thing that it can do instead.")


def test_comment_is_sent_by_keyboard_and_answers_come_live(page: Page, system: System, proposal: int) -> None:
    page.goto(f"/proposals/{proposal}/")
    page.get_by_label("Say something").fill("Is this meant for minors, too?")
    page.get_by_role("button", name="Send").press("Enter")
    expect(page.locator("#comments")).to_contain_text("Is this meant for minors, too?")
    expect(page.get_by_label("Say something")).to_have_value("")
    desk.check_accessible(page)
    desk.check_fits(page)

    system.python(SAY.format(pk=proposal, text="For everybody, @admin."))

    expect(page.locator("#comments")).to_contain_text("For everybody, @admin.")


def test_mention_waits_in_the_inbox_until_it_is_read(page: Page, system: System, proposal: int) -> None:
    system.python(SAY.format(pk=proposal, text="@admin, have a look."))
    page.goto("/inbox/")
    expect(page.get_by_role("link", name="@admin, have a look.")).to_be_visible()
    desk.check_accessible(page)
    desk.check_fits(page)
    page.get_by_role("button", name="Mark all as read").press("Enter")
    expect(page.get_by_text("Nothing new.")).to_be_visible()


def test_history_of_the_clause_is_one_key_away(page: Page, proposal: int) -> None:
    page.goto(f"/proposals/{proposal}/")
    page.keyboard.press("h")
    expect(page.get_by_role("heading", level=1)).to_contain_text("T-03")
    assert page.url.endswith("/clauses/T-03/")


def test_comment_and_settings_without_javascript(plain_page: Page, proposal: int) -> None:
    plain_page.goto(f"/proposals/{proposal}/")
    plain_page.get_by_label("Say something").fill("Said without a script.")
    plain_page.get_by_role("button", name="Send").click()
    expect(plain_page.locator("#comments")).to_contain_text("Said without a script.")
    plain_page.goto("/settings/desk/")
    plain_page.get_by_label("One mail a week").check()
    plain_page.get_by_role("button", name="Save").click()
    expect(plain_page.get_by_label("One mail a week")).to_be_checked()
