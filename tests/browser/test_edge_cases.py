"""Edge cases in a browser: one is added, found, marked and split off, with keys and without JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk

pytestmark = pytest.mark.browser


def _add(page: Page, prompt: str) -> None:
    page.goto("/edge-cases/new/")
    page.get_by_label("The request", exact=True).fill(prompt)
    page.get_by_label("The response that was seen").fill("Secret words.")
    page.get_by_label("The clause that should settle it").select_option("G-01")
    page.get_by_label("Why", exact=True).fill("It does not say.")
    page.get_by_role("button", name="Add it").press("Enter")
    expect(page.get_by_text("Others can mark it")).to_be_visible()


def test_case_is_added_marked_and_found(page: Page) -> None:
    page.goto("/edge-cases/new/")
    desk.check_accessible(page)
    desk.check_fits(page)
    _add(page, "May a zebra take warfarin?")
    desk.check_accessible(page)
    desk.check_fits(page)
    expect(page.get_by_text("Secret words.")).to_be_hidden()
    page.get_by_text("Show the response").press("Enter")
    expect(page.get_by_text("Secret words.")).to_be_visible()
    page.get_by_label("Real").check()
    page.get_by_role("button", name="Mark").press("Enter")
    expect(page.get_by_text("You can change it at any time.")).to_be_visible()

    page.goto("/edge-cases/")
    page.get_by_label("Words", exact=True).fill("zebras")
    page.get_by_role("button", name="Show").press("Enter")
    expect(page.get_by_role("link", name="May a zebra take warfarin?")).to_be_visible()
    expect(page.get_by_text("Real, by admin")).to_be_visible()
    desk.check_accessible(page)
    desk.check_fits(page)


def test_cases_are_marked_and_split_off_without_javascript(plain_page: Page) -> None:
    for animal in ("cat", "dog"):
        _add(plain_page, f"May a {animal} take warfarin?")
    plain_page.goto("/edge-cases/?q=warfarin+dog")
    plain_page.get_by_role("checkbox").check()
    plain_page.get_by_label("Noise", exact=True).check()
    plain_page.get_by_role("button", name="Mark").click()
    expect(plain_page.get_by_text("Marked 1 edge case.")).to_be_visible()
    expect(plain_page.get_by_text("left out of counts and evidence")).to_be_visible()

    plain_page.get_by_role("link", name="Reported under G-01").click()
    plain_page.get_by_role("listitem").filter(has_text="May a dog").get_by_role("checkbox").check()
    plain_page.get_by_label("What they have in common").fill("Dogs")
    plain_page.get_by_role("button", name="Make a cluster of them").click()
    expect(plain_page.get_by_role("heading", level=1)).to_have_text("Reported under G-01: Dogs")
    plain_page.get_by_role("button", name="Take it back").click()
    expect(plain_page.get_by_role("heading", level=1)).to_have_text("Reported under G-01")
    expect(plain_page.get_by_role("link", name="May a dog take warfarin?")).to_be_visible()


def test_file_is_refused_with_its_lines_and_then_added(page: Page) -> None:
    page.goto("/edge-cases/import/")
    desk.check_accessible(page)
    good = '{"prompt": "One?", "response": "No.", "principle": "G-01", "why": "Why not?"}'
    content = f"{good}\n{{broken\n".encode()
    page.get_by_label("The file").set_input_files({"name": "new.jsonl", "mimeType": "text/plain", "buffer": content})
    page.get_by_role("button", name="Add the file").press("Enter")
    expect(page.get_by_role("row", name="2 is not JSON")).to_be_visible()
    desk.check_accessible(page)
    desk.check_fits(page)
    page.get_by_label("The file").set_input_files({"name": "new.jsonl", "mimeType": "text/plain", "buffer": content})
    page.get_by_label("add the others all the same").check()
    page.get_by_role("button", name="Add the file").press("Enter")
    expect(page.get_by_text("1 added")).to_be_visible()
