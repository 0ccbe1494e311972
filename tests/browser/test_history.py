"""A researcher at a browser: the pages of the history, and a question from its beginning to its answer."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System

PAGES = [
    "/history/",
    "/history/as-of/?on=1999-01-01",
    "/compare/",
    "/versions/1/to/4/",
    "/versions/4/blame/",
    "/clauses/T-03/",
    "/search/?q=harmless",
    "/search/?q=zebra",
    "/bisect/?good=1&bad=4",
    "/bisect/?good=3&bad=4",
    "/constitutions/charter/history/",
    "/constitutions/charter/versions/1/to/2/",
    "/constitutions/charter/versions/2/blame/",
    "/constitutions/charter/clauses/say_only_what_you_hold_to_be_true_and_how_sure_you_are/",
]
MAKE = """
from constitution.actions import found, publish
from constitution.models import Constitution, User, Version
from constitution.texts import ClauseText
by = User.objects.get(username="admin")
for number in range(2, 5):
    head = Version.objects.head()
    texts = [
        ClauseText.model_validate({**clause.model_dump(), "text": f"{clause.text} Rule {number}."})
        if clause.principle == "T-03" else clause
        for clause in head.texts()
    ]
    if number == 4:
        texts.insert(0, texts.pop(5))
    publish(base=head, clauses=texts, title=head.title, summary=f"Rule {number}.", by=by)
name = "say_only_what_you_hold_to_be_true_and_how_sure_you_are"
charter = found(slug="charter", title="A charter", by=by)
head = None
for text in ("Say what is true.", "Say what is true. https://example.org/" + "a" * 90):
    clause = ClauseText(principle=name, tier=1, title="Honesty", text=text)
    head = publish(base=head, clauses=[clause], title="A charter", summary="New.", by=by, constitution=charter)
"""


@pytest.fixture(scope="module", autouse=True)
def history(system: System) -> None:
    """Four versions at home, and an imported constitution of two with a long name and a long word."""
    system.python(MAKE)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("path", PAGES)
def test_history_page_is_accessible_and_fits(page: Page, path: str) -> None:
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == (422 if "as-of" in path else 200)
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)


def press_to(page: Page, name: str) -> None:
    """Go to a link or a button of the content with the tabulator alone, and press it."""
    for _ in range(120):
        page.keyboard.press("Tab")
        words = page.evaluate("document.activeElement.textContent.trim()")
        if words == name and page.evaluate("document.activeElement.closest('main') !== null"):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"{name} cannot be reached with the keyboard on {page.url}")


def test_bisect_with_the_keyboard_alone(page: Page) -> None:
    page.goto("/bisect/?good=1&bad=4")
    expect(page.get_by_role("heading", level=2).first).to_have_text("Was version 2 good?")
    press_to(page, "It was good")
    expect(page.get_by_role("heading", level=2).first).to_have_text("Was version 3 good?")
    press_to(page, "It was bad")
    expect(page.get_by_role("heading", level=2).first).to_have_text("Version 3 did it")
    press_to(page, "what changed, word by word in version 3")
    expect(page.get_by_role("heading", level=1)).to_contain_text("version 3")


def test_text_as_of_a_day_and_its_blame_without_javascript(plain_page: Page) -> None:
    plain_page.goto("/history/")
    plain_page.get_by_label("The text as of").fill("2090-01-01")
    plain_page.get_by_role("button", name="Read it").click()
    expect(plain_page).to_have_url("/versions/4/")
    plain_page.goto("/versions/4/blame/#T-03")
    rows = plain_page.locator("#T-03 .blame-row")
    expect(rows).to_have_count(4)
    expect(rows.last).to_contain_text("Rule 4.")
    expect(rows.last).to_contain_text("new here")


def test_search_and_compare_by_hand(page: Page) -> None:
    page.goto("/history/")
    page.get_by_role("navigation", name="History").get_by_role("link", name="Search").click()
    page.get_by_label("Words").fill('"Rule 3"')
    page.keyboard.press("Enter")
    expect(page.locator(".result").first).to_contain_text("T-03")
    page.get_by_role("navigation", name="History").get_by_role("link", name="Compare").click()
    page.get_by_label("Older version").fill("1")
    page.get_by_role("button", name="Compare").click()
    expect(page).to_have_url("/versions/1/to/4/")
    expect(page.locator(".comparison ins")).to_have_count(1)
    expect(page.locator("#moved-title")).to_be_visible()
