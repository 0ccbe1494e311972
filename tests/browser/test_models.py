"""An overseer looks at a model, promotes it over an advisory judge, promotes another, and rolls back."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System

pytestmark = pytest.mark.browser

# Three finished rounds, without training anything: the same function as in the fast tests.
MAKE = """
from django.db import connection, transaction
from constitution.models import User
from tests.training.conftest import publish_second_version
from tests.training.finished import make_model
from training.coordinator import TICK_LOCK
with transaction.atomic():
    # No tick comes between, and no worker sees a round that is not finished yet.
    connection.cursor().execute("SELECT pg_advisory_xact_lock(%s)", [TICK_LOCK])
    version = publish_second_version(User.objects.get(username="admin"))
    verdicts = ((False, False, True, True), (True, True, True, False), ())
    result = [make_model(version, refusals=refusals).pk for refusals in verdicts]
"""


@pytest.fixture(scope="module")
def models(system: System) -> list[int]:
    found: list[int] = system.python(MAKE)
    return found


@pytest.mark.timeout(240)
def test_overseer_promotes_and_rolls_back(page: Page, models: list[int]) -> None:
    first, second, _ = models
    page.goto("/rounds/")
    page.get_by_role("link", name="models", exact=True).press("Enter")
    page.locator(f"#models a[href='/models/{first}/']").press("Enter")
    expect(page.get_by_role("heading", name="Where it comes from")).to_be_visible()
    page.get_by_label("Your note").fill("I read all of its answers.")
    page.get_by_label("I answer for the gates", exact=False).check()
    page.get_by_role("button", name="Promote this model").press("Enter")
    expect(page.locator(".flashes")).to_contain_text("It is in use now.")

    page.goto(f"/models/{second}/")
    page.get_by_label("Your note").fill("Better.")
    page.get_by_label("I answer for the gates", exact=False).check()
    page.get_by_role("button", name="Promote this model").press("Enter")
    expect(page.locator(".flashes")).to_contain_text("It is in use now.")

    page.get_by_role("link", name="Compared with the model that was in use before it").press("Enter")
    expect(page.get_by_role("heading", name="Newly declined 2")).to_be_visible()
    expect(page.get_by_role("heading", name="Newly answered 1")).to_be_visible()
    page.get_by_text("Show the answers, which may be harmful").first.press("Enter")
    expect(page.get_by_text("Here is how.").locator("visible=true").first).to_be_visible()
    desk.check_accessible(page)
    desk.check_fits(page)

    page.goto(f"/models/{first}/")
    page.get_by_label("Your note").fill("It declines too much.")
    page.get_by_role("button", name="Roll back to this model").press("Enter")
    expect(page.locator(".flashes")).to_contain_text("It is in use again.")
    expect(page.get_by_text("which undoes the promotion of")).to_be_visible()


@pytest.mark.parametrize("path", ["/models/", "/models/{0}/", "/models/{1}/"])
def test_models_are_accessible_and_fit(page: Page, models: list[int], path: str) -> None:
    page.goto(path.format(*models))
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)


def test_promotion_without_javascript(plain_page: Page, models: list[int]) -> None:
    plain_page.goto(f"/models/{models[2]}/")
    plain_page.get_by_label("Your note").fill("Its answers are fine.")
    plain_page.get_by_role("button", name="Promote this model").click()
    expect(plain_page.get_by_role("alert")).to_contain_text("Tick the box")
    expect(plain_page.get_by_label("Your note")).to_have_value("Its answers are fine.")
    plain_page.get_by_label("I answer for the gates", exact=False).check()
    plain_page.get_by_role("button", name="Promote this model").click()
    expect(plain_page.locator(".flashes")).to_contain_text("It is in use now.")
    expect(plain_page.get_by_text("It is in use. To bring", exact=False)).to_be_visible()
