"""The whole loop, from the first start to a finished round, by a reviewer's clicks and keys alone."""

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import desk
from tests.system import GaveUp, System, file_proposal, wait_for
from training.recipes.plan import STAGES

FILED = (
    ("G-01", "It reads the whole request before it judges a single word."),
    ("T-03", "It offers what it can do instead."),
    ("F-01", "It says what it does not know about the person's situation."),
)


def wait_for_proposals(page: Page, *, seconds: float) -> None:
    """Stay on the queue, without a reload, until the first proposal stands in it."""
    expect(page.locator("#queue [data-item]").first).to_be_visible(timeout=seconds * 1000)


def open_first(page: Page) -> None:
    page.goto("/")
    page.locator("#queue [data-item]").first.click()
    expect(page.locator("#decision")).to_be_visible()


def versions(page: Page) -> int:
    """How many versions the history shows."""
    page.goto("/history/") if page.url == "about:blank" else page.get_by_role("link", name="History").first.click()
    expect(page.locator("#history")).to_be_visible()
    return page.locator("#history").get_by_role("link", name=re.compile(r"^Version \d+")).count()


def watch_round(page: Page, *, seconds: float) -> None:
    """Stay on the round's page until it shows what changed; resume it, with a note, where it pauses."""
    end = time.monotonic() + seconds
    result, resume = page.locator("#result-title"), page.get_by_role("button", name="Resume the round")
    while not result.is_visible():
        if time.monotonic() > end:
            raise GaveUp(f"The round has no result after {seconds:g} s: {page.locator('#round-status').inner_text()}")
        if resume.is_visible():
            page.get_by_label("Your note").fill("Expected with a model this small.")
            resume.click()
        page.wait_for_timeout(500)
    expect(page.locator("#round-result")).to_contain_text("Before")
    expect(page.locator("#round-result")).to_contain_text("After")
    measured = page.get_by_role("table", name="Before and after the round").locator("tbody tr")
    expect(measured).to_have_count(4)  # two measures, each before and after
    # Without a reload: nothing is left to stop, and every stage says how long it took.
    expect(page.get_by_text("Stop this round")).to_have_count(0)
    expect(page.locator(".stage-detail")).to_have_text([re.compile(r"\d s\s*$")] * len(STAGES))


def open_first_round(page: Page, *, seconds: float) -> None:
    page.get_by_role("link", name="Rounds").first.click()
    link = page.locator("#rounds a[href*='/rounds/']").first
    expect(link).to_be_visible(timeout=seconds * 1000)  # it opens by itself, and shows by itself
    link.click()
    expect(page.locator("#round-status")).to_be_visible()


@pytest.mark.timeout(600)
def test_loop_with_the_tiny_model(chromium: Browser, system: System, page: Page) -> None:
    page.goto("/")
    expect(page.locator("#activity")).to_be_visible()
    wait_for(lambda: _has_settled(system), "the first reading of the scenarios", seconds=180)
    for principle, addition in FILED[: max(0, 3 - _open_proposals(system))]:
        file_proposal(system, principle, addition)
    wait_for_proposals(page, seconds=30)

    open_first(page)
    desk.check_accessible(page)
    page.keyboard.press("a")
    expect(page.locator(".flashes")).to_contain_text("version 2", ignore_case=True)
    assert versions(page) == 2

    open_first_round(page, seconds=60)
    watch_round(page, seconds=300)
    desk.check_accessible(page)

    open_first(page)
    page.keyboard.press("r")
    page.locator("#reject input[name=reason]").first.check()
    page.get_by_role("button", name="Reject the proposal").click()
    expect(page.locator(".flashes")).to_contain_text("Rejected")
    assert versions(page) == 2

    open_first(page)
    page.keyboard.press("e")
    text = page.locator("#edit-text")
    text.fill(f"{text.input_value()} It stays kind.")
    page.get_by_role("button", name="Accept as edited").click()
    expect(page.locator(".flashes")).to_contain_text("version 3", ignore_case=True)
    assert versions(page) == 3
    system.manage("verify_ledger")


@pytest.mark.model
@pytest.mark.timeout(1500)
def test_loop_with_the_real_model(chromium: Browser, tmp_path: Path) -> None:
    """From the first start, with the default model and no step by hand but the reviewer's clicks."""
    real = System(tmp_path / "var", {"ROUND_PRESET": "quick", "UNDO_SECONDS": "0"})
    began = time.monotonic()
    try:
        link = real.start(seconds=120)
        page = chromium.new_context(base_url=real.site).new_page()
        errors = desk.watch(page)
        page.goto(link)
        expect(page.locator("#activity")).to_be_visible()
        wait_for_proposals(page, seconds=600)
        first = time.monotonic() - began
        open_first(page)
        expect(page.locator(".evidence-list > li").first).to_be_visible()
        page.keyboard.press("a")
        expect(page.locator(".flashes")).to_contain_text("version 2", ignore_case=True)
        open_first_round(page, seconds=60)
        watch_round(page, seconds=1200)
        assert errors == []
        assert real.value("SELECT count(*) FROM constitution_version") == 2
        assert real.value("SELECT count(*) FROM training_round WHERE state = 'done'") == 1
        real.manage("verify_ledger")
    finally:
        status = real.stop()
    assert status == 0
    report = f"first proposal after {first:.0f} s, whole loop in {time.monotonic() - began:.0f} s"
    (tmp_path / "report.txt").write_text(report)


def _has_settled(system: System) -> bool:
    return system.value("SELECT state FROM training_surfacingrun WHERE version_id = 1") in ("done", "failed")


def _open_proposals(system: System) -> int:
    return int(system.value("SELECT count(*) FROM amendments_amendment WHERE state = 'open'"))
