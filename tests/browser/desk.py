"""A reviewer at a browser: what they see and press, and what must never happen while they do."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NARROW = {"width": 360, "height": 740}
# Every colour arrives at once. Its own end need not come: a transition stands still while nothing is painted.
ARRIVE = "document.getAnimations().filter(each => each instanceof CSSTransition).forEach(each => each.finish())"
# A refusal is an answer: the browser reports its status in the console, and the page explains it.
REFUSALS = re.compile(r"status of (403|404|409|422)")


def executable() -> str:
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    assert found, (
        "There is no Chromium here. Install it (Debian: apt-get install chromium) or set CHROMIUM to its path."
    )
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        yield running
        running.close()


def watch(page: Page) -> list[str]:
    """The errors of this page, as they happen: the console's, and the exceptions of scripts."""
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not REFUSALS.search(message.text):
            errors.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    return errors


def check_accessible(page: Page) -> None:
    """No violation of the rules that axe knows."""
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"


def check_accessible_dark_and_light(page: Page) -> None:
    """The same in both, without loading the page twice."""
    schemes: tuple[Literal["dark", "light"], ...] = ("dark", "light")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        page.evaluate(ARRIVE)
        check_accessible(page)


def check_fits(page: Page) -> None:
    """Nothing is wider than a narrow phone: the page itself does not scroll sideways."""
    before = page.viewport_size
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1], f"{page.url} is {widths[0]} px wide on a screen of {widths[1]} px"
    if before:
        page.set_viewport_size(before)
