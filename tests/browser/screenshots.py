"""The pictures in docs/screenshots, light and dark: the desk of `scene`; with a link, the round of a running Ratify."""

import argparse
import os
import tempfile
from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import Page, StorageState

from tests.browser import desk
from tests.system import ROOT

FOLDER = ROOT / "docs" / "screenshots"
SIZE = {"width": 1280, "height": 860}
LARGEST_BYTES = 200_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("link", nargs="?", help="the sign-in link of a Ratify that runs: its newest round alone")
    link = arguments.parse_args().link
    FOLDER.mkdir(parents=True, exist_ok=True)
    if link:
        shoot(link, {"round": newest_round})
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RATIFY_VAR": folder, "UNDO_SECONDS": "0", "DJANGO_SETTINGS_MODULE": "config.settings"}
        os.environ.pop("DATABASE_URL", None)
        shoot_the_scene()


def shoot_the_scene() -> None:
    """A new installation with a web process and no worker: nothing moves while the pictures are taken."""
    import django

    django.setup()
    from django.core.management import call_command

    from bench.served import server
    from config.sign_in import link_for
    from constitution.models import User
    from tests.browser import scene

    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    scene.set_up()
    with server() as port:
        admin = User.objects.get(username="admin")
        shoot(link_for(admin, site=f"http://127.0.0.1:{port}"), SCENE)


def shoot(link: str, pictures: dict[str, Callable[[Page], None]]) -> None:
    parts = urlsplit(link)
    site = f"{parts.scheme}://{parts.netloc}"
    with desk.browser() as chromium:
        first = chromium.new_context(base_url=site)
        first.new_page().goto(link)
        session: StorageState = first.storage_state()
        for scheme in ("light", "dark"):
            context = chromium.new_context(
                base_url=site,
                storage_state=session,
                viewport=SIZE,  # type: ignore[arg-type]
                color_scheme=scheme,
            )
            page = context.new_page()
            for name, go in pictures.items():
                go(page)
                save(page, f"{name}-{scheme}")
            context.close()


def queue(page: Page) -> None:
    page.goto("/")
    page.locator("#queue [data-item]").first.wait_for()


def filters(page: Page) -> None:
    page.goto("/?tier=2&older=1")
    page.get_by_role("navigation", name="Views").evaluate("tabs => tabs.scrollIntoView()")


def proposal(page: Page) -> None:
    page.goto("/?q=birthday")
    page.locator("#queue [data-item]").first.click()
    page.locator("#decision").wait_for()


def surroundings(page: Page) -> None:
    proposal(page)
    page.locator("#overlaps-title").evaluate("title => title.scrollIntoView()")
    page.mouse.wheel(0, -24)


def edge_cases(page: Page) -> None:
    page.goto("/edge-cases/")


def insights(page: Page) -> None:
    page.goto("/insights/")
    page.get_by_role("link", name="90 days").click()
    page.get_by_role("heading", name="Throughput").evaluate("title => title.scrollIntoView()")


def inbox(page: Page) -> None:
    page.goto("/inbox/")


def history(page: Page) -> None:
    page.goto("/history/")


def newest_round(page: Page) -> None:
    page.goto("/rounds/")
    page.locator("#rounds a[href*='/rounds/']").first.click()
    page.locator("#round-status").wait_for()


SCENE: dict[str, Callable[[Page], None]] = {
    "queue": queue,
    "filters": filters,
    "proposal": proposal,
    "surroundings": surroundings,
    "edge-cases": edge_cases,
    "insights": insights,
    "inbox": inbox,
    "history": history,
}


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
