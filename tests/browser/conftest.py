from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState

from tests.browser import desk
from tests.system import System, sign_in_link


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with desk.browser() as running:
        yield running


@pytest.fixture(scope="module")
def session(chromium: Browser, system: System) -> StorageState:
    """The cookies of the signed-in administrator, who has every role."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(sign_in_link(system))
    assert page.url == f"{system.site}/"
    kept = context.storage_state()
    context.close()
    return kept


def _watched(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    errors = desk.watch(page)
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def page(chromium: Browser, system: System, session: StorageState) -> Iterator[Page]:
    """A page of the signed-in administrator. An error in its console fails the test."""
    yield from _watched(chromium.new_context(base_url=system.site, storage_state=session))


@pytest.fixture
def plain_page(chromium: Browser, system: System, session: StorageState) -> Iterator[Page]:
    """The same without JavaScript."""
    yield from _watched(chromium.new_context(base_url=system.site, storage_state=session, java_script_enabled=False))
