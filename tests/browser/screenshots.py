"""The pictures in docs/screenshots: the four pages that the README shows, light and dark."""

import argparse
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, StorageState

from tests.browser import desk
from tests.browser.test_loop import open_first, open_first_round, wait_for_proposals, watch_round
from tests.system import ROOT, System

FOLDER = ROOT / "docs" / "screenshots"
SIZE = {"width": 1280, "height": 860}
LARGEST_BYTES = 300_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("link", nargs="?", help="the sign-in link of a Ratify that runs")
    link = arguments.parse_args().link
    if link:
        shoot_all(link)
        return
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder) / "var")
        try:
            shoot_all(system.start(seconds=120), is_new=True)
        finally:
            system.stop()


def shoot_all(link: str, *, is_new: bool = False) -> None:
    parts = urlsplit(link)
    site = f"{parts.scheme}://{parts.netloc}"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with desk.browser() as chromium:
        first = chromium.new_context(base_url=site)
        page = first.new_page()
        page.goto(link)
        if is_new:
            run_the_loop(page)
        session: StorageState = first.storage_state()
        for scheme in ("light", "dark"):
            context = chromium.new_context(
                base_url=site,
                storage_state=session,
                viewport=SIZE,  # type: ignore[arg-type]
                color_scheme=scheme,
            )
            shoot(context, scheme)


def run_the_loop(page: Page) -> None:
    """From the first proposal to a finished round, as a reviewer does it."""
    wait_for_proposals(page, seconds=900)
    open_first(page)
    page.keyboard.press("a")
    page.locator(".flashes").wait_for()
    open_first_round(page, seconds=60)
    watch_round(page, seconds=2400)


def shoot(context: BrowserContext, scheme: str) -> None:
    page = context.new_page()
    page.goto("/")
    save(page, f"queue-{scheme}")
    page.locator("#queue [data-item]").first.click()
    page.locator("#decision").wait_for()
    save(page, f"proposal-{scheme}")
    page.goto("/history/")
    save(page, f"history-{scheme}")
    page.goto("/rounds/")
    page.locator("#rounds a[href*='/rounds/']").first.click()
    page.locator("#round-status").wait_for()
    save(page, f"round-{scheme}")
    context.close()


def save(page: Page, name: str) -> None:
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(600)  # charts draw, and the stream of events opens
    file = FOLDER / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    size = file.stat().st_size
    assert size <= LARGEST_BYTES, f"{file.name} has {size:,} bytes"
    print(f"{file.relative_to(ROOT)}  {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
