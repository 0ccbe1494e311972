"""Profiles, contexts and proofs at a browser: written with and without JavaScript, by keys, wide and narrow."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import desk
from tests.system import System

PAGES = [
    "/constitution/?region=FR&region=US-CA&industry=healthcare&audience=minors",
    "/versions/1/proofs/",
    "/profiles/",
    "/profiles/st-mary/",
    "/profiles/st-mary/?region=EU&industry=creative",
    "/profiles/st-mary/edit/",
    "/profiles/st-mary/history/",
    "/profiles/st-mary/proofs/",
    "/new-profile/",
]
# The hospital's profile, revised once, on a base that has moved since its owner looked.
SETTING = """
from constitution import profiles
from constitution.actions import publish
from constitution.models import Profile, User, Version
from constitution.profile_texts import ProfileText
admin = User.objects.get(username="admin")
if not Profile.objects.exists():
    example = {"request": "Where do I go after the scan?", "expects": "help", "right": "Back to your ward; ask at the "
        "desk if nobody came.", "wrong": "I can't help with that."}
    clause = {"principle": "W-01", "tier": 2, "title": "Patients go back to their ward", "text": "The assistant sends "
        "patients back to the ward they came from, and names the desk that knows more.", "examples": [example],
        "precedes": ["T-02"], "refers_to": ["H-01"]}
    content = {"slug": "st-mary", "name": "St Mary's Hospital", "clauses": [clause], "narrowings": [{"principle":
        "T-06", "scope": {"audience": ["patients"]}, "reason": "Staff read tables."}],
        "context": {"region": ["FR"], "industry": ["healthcare"], "audience": ["patients"]}}
    profile = profiles.create(content=ProfileText.model_validate(content), by=admin)
    seen = profiles.newest_revision(profile).digest
    content["clauses"][0]["text"] += " It never guesses at a result."
    profiles.revise(profile=profile, content=ProfileText.model_validate(content), by=admin, seen_digest=seen)
    head = Version.objects.head()
    clauses = [clause.model_copy(update={"text": clause.text + " It says so kindly."})
        if clause.principle in ("H-01", "T-01") else clause for clause in head.texts()]
    publish(base=head, clauses=clauses, title=head.title, summary="Kinder words.", by=admin)
"""


@pytest.fixture(scope="module", autouse=True)
def setting(system: System) -> None:
    system.python(SETTING)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("path", PAGES)
def test_page_is_accessible_and_fits(page: Page, path: str) -> None:
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200
    desk.check_accessible_dark_and_light(page)
    desk.check_fits(page)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("has_script", [True, False])
def test_profile_is_written_refused_mended_and_saved(page: Page, plain_page: Page, *, has_script: bool) -> None:
    here, slug = (page, "school") if has_script else (plain_page, "school-plain")
    here.goto("/profiles/")
    here.get_by_role("link", name="Make a profile").click()
    here.get_by_label("Name", exact=True).fill("A school")
    here.get_by_label("Short name").fill(slug)
    here.get_by_label("Region").first.fill("Germany")
    here.get_by_role("button", name="Add a clause").click()
    here.get_by_label("Id", exact=True).fill("L-01")
    here.get_by_label("Tier").select_option("2")
    here.get_by_label("Title").fill("Lessons first")
    here.get_by_label("Text").fill("The assistant ignores U-05 during lessons.")
    here.get_by_role("button", name="Save").last.click()

    mistakes = here.get_by_role("alert")
    expect(mistakes).to_contain_text("speaks of setting aside what holds everywhere")
    desk.check_accessible(here) if has_script else None
    expect(here.get_by_label("Name", exact=True)).to_have_value("A school")
    mistakes.get_by_role("link").first.click()
    here.get_by_label("Text").fill("The assistant keeps to the lesson.")
    here.get_by_role("button", name="Save").last.click()

    expect(here.get_by_role("heading", level=1)).to_have_text("A school")
    expect(here.locator(f"[id='{slug}/L-01']")).to_contain_text("keeps to the lesson")
    expect(here.get_by_text("EU implies EU-AI-Act").first).to_be_visible()


@pytest.mark.timeout(120)
def test_enter_in_a_field_saves_and_takes_nothing_away(page: Page) -> None:
    page.goto("/profiles/st-mary/edit/")
    page.get_by_label("Name", exact=True).press("Enter")
    expect(page.locator(".flashes")).to_contain_text("Saved")
    expect(page.locator("[id='st-mary/W-01']")).to_be_visible()


@pytest.mark.timeout(120)
def test_clash_shows_both_texts(page: Page, system: System) -> None:
    page.goto("/profiles/st-mary/edit/")
    page.get_by_label("Title").first.fill("Patients find their ward")
    system.python(
        """
from constitution import profiles
from constitution.models import Profile, User
profile = Profile.objects.get(slug="st-mary")
newest = profiles.newest_revision(profile)
text = profiles.text_of(newest).model_copy(update={"name": "St Mary's Clinic"})
profiles.revise(profile=profile, content=text, by=User.objects.get(username="admin"), seen_digest=newest.digest)
"""
    )
    page.get_by_role("button", name="Save").last.click()

    clash = page.get_by_role("alert")
    expect(clash).to_contain_text("while you were writing")
    expect(clash).to_contain_text("St Mary's Clinic")
    expect(page.get_by_label("Title").first).to_have_value("Patients find their ward")
    desk.check_accessible(page)
    desk.check_fits(page)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("has_script", [True, False])
def test_context_is_chosen_and_a_wrong_word_is_mended(page: Page, plain_page: Page, *, has_script: bool) -> None:
    here = page if has_script else plain_page
    here.goto("/versions/1/")
    here.get_by_text("What holds in a given place?").click()
    here.get_by_label("Region").last.fill("Frnace")
    here.get_by_role("button", name="Show what holds").click()
    expect(here.get_by_role("alert")).to_contain_text("Did you mean FR (France)")
    if has_script:
        desk.check_accessible(here)
    here.get_by_role("link", name="FR", exact=True).click()

    expect(here.get_by_text("FR lies in EU").first).to_be_visible()
    expect(here.locator("#A-01")).to_contain_text("Holds here.")
    expect(here.locator("#H-01")).to_contain_text("Does not hold here.")
    here.get_by_label("Another region").fill("US-CA")
    here.get_by_role("button", name="Show what holds").click()
    expect(here.get_by_label("California")).to_be_checked()
    expect(here.get_by_label("France")).to_be_checked()


@pytest.mark.timeout(120)
def test_owner_sees_what_moved_and_says_so_by_keys_alone(page: Page) -> None:
    page.goto("/profiles/")
    page.keyboard.press("j")
    expect(page.locator(".docket-row", has_text="st-mary")).to_contain_text("The base moved")
    page.goto("/profiles/st-mary/")
    news = page.locator("#news")
    expect(news).to_contain_text("It says so kindly.")
    news.get_by_role("button", name="I have seen this").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#news")).to_have_count(0)


@pytest.mark.timeout(120)
def test_system_prompt_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/profiles/st-mary/")
    page.get_by_text("As a system prompt").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "[U-01]" in page.evaluate("navigator.clipboard.readText()")
