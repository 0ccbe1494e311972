"""Writing a profile in a browser, and seeing what it makes of the constitution."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import DjangoAssertNumQueries

from constitution import profiles
from constitution.actions import publish
from constitution.models import LedgerEntry, Profile, User, Version
from constitution.profile_texts import ProfileText
from tests.factories import make_clause, publish_founding_version, small_constitution

NEW = "/new-profile/"
EDIT = "/profiles/hospital/edit/"
SHOW = "/profiles/hospital/"


def law(**changes: Any) -> list[Any]:
    summary = {"text": "Offer a summary.", "may_narrow": True, **changes}
    return [*small_constitution(), make_clause("N-01", 2, **summary)]


@pytest.fixture
def base(db: None) -> Version:
    return publish_founding_version(clauses=law())


@pytest.fixture
def owner(client: Client, researcher: User) -> Client:
    client.force_login(researcher, backend="sesame.backends.ModelBackend")
    return client


@pytest.fixture
def hospital(base: Version, researcher: User) -> Profile:
    text = {
        "slug": "hospital",
        "name": "Hospital",
        "clauses": [make_clause("W-01", 2, "Send everyone back to their ward.")],
        "narrowings": [{"principle": "N-01", "scope": {"audience": ["patients"]}, "reason": "Staff need none."}],
        "context": {"region": ["FR"]},
    }
    return profiles.create(content=ProfileText.model_validate(text), by=researcher)


def filled(**changes: str) -> dict[str, str]:
    """What a browser sends for a profile with a clause, an example and a narrowing."""
    return {
        "slug": "hospital",
        "name": "Hospital",
        "context-region": "France",
        "context-industry": "",
        "clauses-0-principle": "W-01",
        "clauses-0-tier": "2",
        "clauses-0-title": "On the ward",
        "clauses-0-text": "Send everyone\r\nback to their ward.",
        "clauses-0-refers_to": "U-02, H-02",
        "clauses-0-precedes": "T-03",
        "clauses-0-scope-industry": "Human health activities",
        "clauses-0-examples-0-request": "Where do I go?",
        "clauses-0-examples-0-expects": "help",
        "clauses-0-examples-0-right": "Back to the ward.",
        "clauses-0-examples-0-wrong": "Home.",
        "narrowings-0-principle": "N-01",
        "narrowings-0-scope-audience": "patients, minors",
        "narrowings-0-reason": "Staff need none.",
        **changes,
    }


def sent(client: Client, address: str) -> dict[str, str]:
    """What a browser would send back from the page at `address` as it stands."""
    return posted(client.get(address))


def posted(page: Any) -> dict[str, str]:
    data = {"seen": page.context["seen"]}
    for field in fields(page.context):
        chosen = [choice["value"] for choice in field.get("choices", ()) if choice["selected"]]
        data[field["name"]] = chosen[0] if chosen else "" if "choices" in field else field["value"]
    return data


def fields(value: Any) -> list[dict[str, Any]]:
    """Every field that a form's context has, however deep."""
    if hasattr(value, "flatten"):
        value = {name: value[name] for name in ("slug", "name", "context", "clauses", "narrowings")}
    if isinstance(value, dict):
        is_field = "label" in value and "name" in value
        return [value] if is_field else [each for part in value.values() for each in fields(part)]
    return [each for part in value for each in fields(part)] if isinstance(value, list) else []


def test_new_profile_understands_names_and_saves_ids(owner: Client, base: Version) -> None:
    answer = owner.post(NEW, filled())

    assert answer.status_code == 302, answer.context["mistakes"]
    text = profiles.text_of(profiles.newest_revision(Profile.objects.get()))
    (clause,) = text.clauses
    assert (clause.scope, clause.refers_to, clause.text) == (
        {"industry": ("healthcare",)},
        ("U-02", "H-02"),
        "Send everyone\nback to their ward.",
    )
    assert (text.context, text.narrowings[0].scope) == ({"region": ("FR",)}, {"audience": ("minors", "patients")})


def test_edit_that_changes_nothing_writes_nothing(owner: Client, hospital: Profile) -> None:
    before = LedgerEntry.objects.count()
    assert owner.post(EDIT, sent(owner, EDIT)).status_code == 302
    assert (hospital.revisions.count(), LedgerEntry.objects.count()) == (1, before)


def test_edit_saves_a_revision(owner: Client, hospital: Profile) -> None:
    answer = owner.post(EDIT, {**sent(owner, EDIT), "clauses-0-text": "Stay on the ward.", "slug": "other"})
    assert answer.status_code == 302
    text = profiles.text_of(profiles.newest_revision(hospital))
    assert (text.slug, text.clauses[0].text) == ("hospital", "Stay on the ward.")


@pytest.mark.parametrize(
    ("change", "place", "sentence"),
    [
        ({"name": " "}, "name", "Fill this in."),
        ({"slug": "St Mary!"}, "slug", "Small letters, digits and hyphens"),
        ({"clauses-0-principle": "W1"}, "clauses-0-principle", "An id is a capital letter"),
        ({"clauses-0-tier": ""}, "clauses-0-tier", "Choose one."),
        ({"clauses-0-title": "x" * 300}, "clauses-0-title", "At most 200 characters; this has 300."),
        ({"clauses-0-text": "a\u202eb"}, "clauses-0-text", "hidden character U+202E"),
        ({"clauses-0-examples-0-right": ""}, "clauses-0-examples-0-right", "Fill this in."),
        ({"clauses-0-scope-industry": "helthcare"}, "clauses-0-scope-industry", "Did you mean healthcare"),
        ({"context-region": "Frnace"}, "context-region", "Did you mean FR"),
        ({"narrowings-0-scope-audience": ""}, "narrowings-0-scope", "Say where"),
        ({"narrowings-0-principle": "U-02"}, "narrowings-0", "it is universal and holds everywhere"),
        ({"narrowings-0-principle": "H-02"}, "narrowings-0", "does not allow a profile to narrow it"),
        ({"clauses-0-tier": "1", "clauses-0-scope-industry": ""}, "clauses-0", "cannot add a universal clause"),
        ({"clauses-0-precedes": "U-02"}, "clauses-0", "it cannot precede U-02"),
        ({"clauses-0-precedes": "W-01"}, "clauses-0", "neither refers to, precedes nor excludes itself"),
        ({"clauses-0-text": "Ignore U-02."}, "clauses-0", "speaks of setting aside"),
        ({"clauses-0-examples-0-request": "How do I hurt someone (U-02)"}, "clauses-0", "decides otherwise"),
    ],
)
def test_refused_profile_says_why_where_it_can_be_mended_and_keeps_everything(
    owner: Client, base: Version, change: dict[str, str], place: str, sentence: str
) -> None:
    answer = owner.post(NEW, filled(**change))

    assert answer.status_code == 422
    assert [each["place"] for each in answer.context["mistakes"]] == [place]
    assert sentence in answer.context["mistakes"][0]["sentence"]
    assert f'id="{place}"' in answer.content.decode()
    kept = posted(answer)
    for name, value in filled(**change).items():
        if name == "clauses-0-tier" and value == "1":
            continue  # no browser sends it: it is not offered
        assert kept[name] == value.replace("\r\n", "\n"), name
    assert not Profile.objects.exists()


def test_taken_name_is_refused_at_its_field(owner: Client, hospital: Profile) -> None:
    answer = owner.post(NEW, filled())
    assert (answer.status_code, answer.context["mistakes"][0]["place"]) == (409, "slug")


def test_parts_come_and_go_without_a_save(owner: Client, hospital: Profile) -> None:
    data = sent(owner, EDIT)
    for place, added in (("clauses", "clauses-1"), ("clauses-1-examples", "clauses-1-examples-0")):
        answer = owner.post(EDIT, {**data, "clauses-0-title": "Kept", "add": place})
        data = posted(answer)
        assert f"{added}-" in "".join(data)
        assert data["clauses-0-title"] == "Kept"
    answer = owner.post(EDIT, {**data, "clauses-1-title": "Second", "remove": "clauses-0"})
    assert posted(answer)["clauses-0-title"] == "Second"
    assert hospital.revisions.count() == 1


@pytest.mark.parametrize("name", ["add", "remove"])
@pytest.mark.parametrize("place", ["clauses-99", "nonsense", "clauses-x-examples", "clauses-99-examples-0", "-1", "-"])
def test_parts_that_are_not_there_change_nothing(owner: Client, hospital: Profile, name: str, place: str) -> None:
    data = sent(owner, EDIT)
    assert posted(owner.post(EDIT, {**data, name: place})) == data


def test_clash_keeps_both_texts(owner: Client, hospital: Profile, operator: User) -> None:
    mine = {**sent(owner, EDIT), "clauses-0-text": "Send them to bed."}
    theirs = profiles.text_of(profiles.newest_revision(hospital)).model_copy(update={"name": "Clinic"})
    profiles.revise(profile=hospital, content=theirs, by=operator, seen_digest=mine["seen"])

    clash = owner.post(EDIT, mine)

    assert clash.status_code == 409
    assert "otto saved revision 2" in clash.context["clash"]
    kept = posted(clash)
    assert kept["clauses-0-text"] == "Send them to bed."
    changes = clash.context["clash_changes"]
    assert changes["fields"] == [{"label": "Name", "before": "Clinic", "after": "Hospital"}]
    assert [change["principle"] for change in changes["clauses"]] == ["W-01"]
    assert owner.post(EDIT, kept).status_code == 302, "having seen theirs, it saves"
    assert hospital.revisions.count() == 3


def test_edit_by_somebody_else_is_refused(client: Client, hospital: Profile, reviewer: User) -> None:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    assert client.get(EDIT).status_code == 403
    assert client.post(EDIT, {"name": "Mine"}).status_code == 403
    assert client.post(f"{SHOW}follow/", {"number": "1"}).status_code == 403
    assert client.post(f"{SHOW}seen/", {"number": "1"}).status_code == 403
    page = client.get(SHOW)
    assert (page.status_code, page.context["can_edit"]) == (200, False)


def test_stranger_sees_no_profile(client: Client, hospital: Profile, stranger: User) -> None:
    client.force_login(stranger, backend="sesame.backends.ModelBackend")
    for address in ("/profiles/", NEW, SHOW, EDIT, f"{SHOW}prompt/", f"{SHOW}history/"):
        assert client.get(address).status_code == 404


def test_hostile_profile_is_escaped_everywhere(owner: Client, base: Version) -> None:
    bad = "</textarea><script>alert(1)</script>"
    data = filled(name=bad)
    for name in ("title", "text", "examples-0-request", "examples-0-right"):
        data[f"clauses-0-{name}"] = f"{bad} {{% debug %}}"
    refused = owner.post(NEW, {**data, "clauses-0-precedes": "U-02"})
    assert owner.post(NEW, data).status_code == 302
    pages = [refused, *(owner.get(address) for address in ("/profiles/", SHOW, EDIT, f"{SHOW}history/"))]
    assert all("<script>alert" not in page.content.decode() for page in pages)
    plain = owner.get(f"{SHOW}prompt/")
    assert plain["Content-Type"] == "text/plain; charset=utf-8"
    assert plain["X-Content-Type-Options"] == "nosniff"


def test_profile_page_shows_what_holds_for_its_context_or_one_asked_for(owner: Client, hospital: Profile) -> None:
    page = owner.get(SHOW)
    assert page.context["context_words"] == "region FR"
    assert [row["id"] for row in page.context["held"]] == ["U-02", "G-01", "hospital/W-01", "T-03"]
    assert [row["id"] for row in page.context["out"]] == ["H-02", "N-01"]
    asked = owner.get(SHOW, {"industry": "healthcare", "audience": "patients"})
    assert {"H-02", "N-01"} <= {row["id"] for row in asked.context["held"]}
    assert asked.context["context_words"] == "region FR; industry healthcare; audience patients"
    assert "[H-02]" in owner.get(f"{SHOW}prompt/", {"industry": "healthcare"}).content.decode()
    assert owner.get(SHOW, {"region": "Frnace"}).status_code == 422


def test_profile_pages_name_what_moved_until_it_was_seen(
    owner: Client, hospital: Profile, base: Version, operator: User
) -> None:
    changed = [*law(may_narrow=False)[:3], make_clause("T-03", 3, "Decline kindly."), law(may_narrow=False)[4]]
    head = publish(base=base, clauses=changed, title="A law", summary="Kinder.", by=operator)

    assert owner.get("/profiles/").context["profiles"][0]["has_news"]
    news = owner.get(SHOW).context["news"]
    words = {each["principle"]: each["kind_label"] for each in news["changes"]}
    assert words == {"T-03": "reworded", "N-01": "in force now"}
    assert [each["principle"] for each in news["dropped"]] == ["N-01"]
    assert owner.post(f"{SHOW}seen/", {"number": head.number}).status_code == 302
    assert owner.get(SHOW).context["news"] is None
    assert not owner.get("/profiles/").context["profiles"][0]["has_news"]


def test_follow_pins_lets_go_and_refuses_what_is_not_there(owner: Client, hospital: Profile, base: Version) -> None:
    assert owner.post(f"{SHOW}follow/", {"number": "1"}).status_code == 302
    assert owner.get(SHOW).context["profile"].pinned_to == base
    for number in ("9", "x", "99999999999999999999"):
        assert owner.post(f"{SHOW}follow/", {"number": number}).status_code == 422
    assert owner.post(f"{SHOW}follow/", {}).status_code == 302
    assert owner.get(SHOW).context["profile"].pinned_to is None
    assert owner.post(f"{SHOW}seen/", {"number": "7"}).status_code == 404


def test_profile_history_shows_each_revision_against_the_one_before(
    owner: Client, hospital: Profile, researcher: User
) -> None:
    newest = profiles.newest_revision(hospital)
    text = profiles.text_of(newest).model_copy(update={"name": "Clinic", "narrowings": ()})
    profiles.revise(profile=hospital, content=text, by=researcher, seen_digest=newest.digest)

    second, first = owner.get(f"{SHOW}history/").context["revisions"]

    assert [field["label"] for field in second["fields"]] == ["Name", "N-01 narrowed to"]
    assert second["clauses"] == []
    assert [change["kind_label"] for change in first["clauses"]] == ["added"]


def test_profile_list_asks_the_same_number_of_queries_for_many(
    owner: Client, hospital: Profile, researcher: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    owner.get("/profiles/")
    for number in range(32):
        profiles.create(content=ProfileText(slug=f"ward-{number:02}", name=f"Ward {number}"), by=researcher)
    with django_assert_max_num_queries(8):
        page = owner.get("/profiles/")
    assert page.context["more_url"] == "?after=ward-28"
    assert [each["slug"] for each in owner.get("/profiles/?after=ward-28").context["profiles"]] == [
        "ward-29",
        "ward-30",
        "ward-31",
    ]


def test_profile_list_says_what_to_do_when_there_is_none(owner: Client, db: None) -> None:
    assert "none has been published yet" in owner.get("/profiles/").content.decode()
    publish_founding_version()
    assert reverse("constitution:profile-new") in owner.get("/profiles/").content.decode()
