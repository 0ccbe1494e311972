"""Somebody begins a round, asks how one drifted, which requests moved, and what another round did otherwise."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System, wait_for

pytestmark = pytest.mark.browser

# Two finished rounds with looks, without training anything.
MAKE = """
from django.db import connection, transaction
from constitution.models import User
from tests.training.conftest import publish_second_version
from tests.training.finished import make_battery, make_looks, make_model
from training.coordinator import TICK_LOCK
with transaction.atomic():
    # No tick comes between, and no worker sees a round that is not finished yet.
    connection.cursor().execute("SELECT pg_advisory_xact_lock(%s)", [TICK_LOCK])
    version = publish_second_version(User.objects.get(username="admin"))
    made = [make_model(version, looks=0, refusals=(True, flag, False)).round for flag in (True, False)]
    make_looks(made[0], {5: -0.1, 10: -0.4, 25: -0.7, 50: 0.6})
    make_battery(made[0], 10)
    make_battery(made[0], 25)
    result = [round_.pk for round_ in made]
"""


@pytest.fixture(scope="module")
def rounds(system: System) -> list[int]:
    found: list[int] = system.python(MAKE)
    return found


@pytest.mark.timeout(120)
def test_how_a_round_drifted_by_keyboard(page: Page, rounds: list[int]) -> None:
    page.goto(f"/rounds/{rounds[0]}/")
    page.get_by_role("link", name="How it drifted").press("Enter")
    dot = page.get_by_role("group", name="Harmful requests", exact=True).get_by_role("link", name="Step 25")
    dot.focus()
    dot.press("Enter")
    expect(page.get_by_role("heading", name="What moved most at step 25")).to_be_visible()
    page.locator("#moved").get_by_text("Show the request, which may be harmful").first.press("Enter")
    expect(page.locator("#moved .pair-prompt").first).to_be_visible()
    page.locator("#moved").get_by_text("What was answered, which may be harmful").first.press("Enter")
    expect(page.locator("#moved").get_by_text("Yes, here is how.").first).to_be_visible()
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)


@pytest.mark.timeout(120)
def test_two_rounds_are_compared_without_javascript(plain_page: Page, page: Page, rounds: list[int]) -> None:
    plain_page.goto("/rounds/")
    plain_page.get_by_role("button", name="Show what differs").click()
    expect(plain_page.get_by_role("heading", name="What their plans differ in")).to_be_visible()
    for path in (plain_page.url, "/rounds/trends/", "/rounds/"):
        page.goto(path)
        desk.check_accessible(page)
        desk.check_fits(page)


@pytest.mark.timeout(120)
def test_round_is_begun_with_a_setting_of_its_own_and_ends_under_an_open_page(page: Page, rounds: list[int]) -> None:
    page.goto("/rounds/")
    page.get_by_role("link", name="Begin a round").press("Enter")
    dpo = page.get_by_role("group", name="Preferences (DPO)")
    dpo.get_by_label("Learning rate").fill("2e-4 or so")
    page.get_by_label("Settings to go by").select_option("tiny")
    page.get_by_label("Settings to go by").select_option("quick")
    expect(page.locator("[id='sizes.train-notes']")).to_contain_text("Left empty: 40.")
    with page.expect_event("dialog") as asked:  # the rate that was typed is still work
        page.evaluate("setTimeout(() => location.assign('/rounds/'))")
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    page.get_by_label("Your note").fill("Does a lower rate decline fewer look-alikes?")
    page.get_by_role("button", name="Begin the round").click()
    expect(dpo.locator(".field-error")).to_contain_text("Must be a number, not '2e-4 or so'.")
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)
    dpo.get_by_label("Learning rate").fill("3e-4")
    page.get_by_role("button", name="Begin the round").press("Enter")
    expect(page.get_by_text("Differs from preset quick:")).to_contain_text("0.0003 instead of 0.0002")

    other = page.context.new_page()
    other.goto(page.url)
    expect(other.get_by_text("Stop this round")).to_be_visible()
    page.get_by_text("Stop this round").press("Enter")
    page.get_by_label("Your note").fill("It was only tried.")
    page.get_by_role("button", name="Abort the round").click()
    expect(page.locator("#round-status")).to_contain_text("aborted it")
    expect(other.locator("#round-status")).to_contain_text("aborted it")
    expect(other.get_by_text("Stop this round")).to_have_count(0)
    expect(other.locator("#round-record")).to_contain_text("Ended")


SAY = """
from config.live import publish
from training import runner
from training.models import Round
round_ = Round.objects.get(pk={pk})
with (runner.folder_of(round_) / "log.txt").open("a") as log:
    log.write({text!r})
runner._tell_of_log(round_, 0)
publish(f"round-state:{{round_.pk}}")
result = None
"""


@pytest.mark.timeout(120)
def test_log_is_followed_at_its_end_and_stays_where_somebody_reads(
    page: Page, system: System, rounds: list[int]
) -> None:
    def say(text: str) -> None:
        system.python(SAY.format(pk=rounds[1], text=text))

    def scrolled() -> tuple[float, float]:
        top, left = log.evaluate("log => [log.scrollTop, log.scrollHeight - log.scrollTop - log.clientHeight]")
        return top, left

    say("".join(f"line {number}\n" for number in range(200)))
    page.goto(f"/rounds/{rounds[1]}/")
    expect(page.locator("#live-chip")).to_have_text("Live")
    log = page.locator("#log pre")
    page.get_by_text("Last lines of the log").press("Enter")
    expect(log).to_contain_text("line 199")
    wait_for(lambda: scrolled()[1] < 2, "the end of the log", seconds=5)
    say("</pre><script>alert(1)</script> The newest line.\n")
    expect(log).to_contain_text("</pre><script>alert(1)</script> The newest line.")
    assert scrolled()[1] < 2
    log.evaluate("log => { log.scrollTop = 300; }")
    before = log.text_content() or ""
    say("".join(f"further {number}\n" for number in range(20)))
    expect(log).to_contain_text("further 19")
    assert scrolled()[0] == 300
    assert (log.text_content() or "") == before + "".join(f"further {number}\n" for number in range(20))
    expect(page.locator("#log")).to_have_attribute("open", "")
    desk.check_accessible(page)
    desk.check_fits(page)


@pytest.mark.timeout(240)
def test_further_scenarios_are_read_under_an_open_page(page: Page, rounds: list[int]) -> None:
    button = page.get_by_role("button", name="Read further scenarios")

    def may_begin() -> bool:
        page.goto("/rounds/")
        page.get_by_role("link", name="readings").click()
        expect(page.get_by_role("heading", name="Readings")).to_be_visible()
        return button.is_visible()

    wait_for(may_begin, "the reading that began by itself", seconds=180)
    desk.check_accessible_dark_and_light(page)
    button.press("Enter")
    expect(page.get_by_role("heading", name="Reading of version 2")).to_be_visible()
    expect(page.locator("#reading")).to_contain_text("Done", timeout=120_000)
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)
