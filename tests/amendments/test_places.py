"""Where clauses hold: the words that the filter understands, what it offers, and what it says to a place unknown."""

from collections.abc import Sequence

import pytest
from django.test import Client
from django.urls import reverse

from amendments import places
from amendments.actions import propose
from amendments.models import Amendment, Producer
from amendments.operations import Rescope
from constitution.models import User, Version
from tests.amendments.conftest import Propose

QUEUE = reverse("amendments:queue")


@pytest.fixture
def desk(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer, backend="sesame.backends.ModelBackend")
    return client


def _rescope(constitution: Version, producer: Producer, scope: dict[str, Sequence[str]]) -> Amendment:
    before = next(clause.digest for clause in constitution.texts() if clause.principle == "G-01")
    rescope = Rescope.model_validate({"principle": "G-01", "before": before, "scope": scope})
    return propose(by=producer, base=constitution, operations=(rescope,), rationale="It holds there alone.")


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("region:EU", ["region:EU"]),
        ("eu", ["region:EU"]),
        ("region:European Union", ["region:EU"]),
        ("Health Care", ["industry:healthcare"]),
        ("region:healthcare", []),
        ("helthcare", []),
        ("regon:EU", []),
        (":", []),
    ],
)
def test_words_that_are_understood(value: str, found: list[str]) -> None:
    assert places.meant(value) == found


@pytest.mark.parametrize(
    ("value", "first"),
    [
        ("helthcare", "industry:healthcare"),
        ("industry:helthcare", "industry:healthcare"),
        ("regon:EU", "region:EU"),
        ("rgn:Germny", "region:DE"),
        ("Germny", "region:DE"),
        ("xq", None),
        (":", None),
    ],
)
def test_what_an_unknown_place_may_have_meant(value: str, first: str | None) -> None:
    assert next((place for place, _ in places.close_to(value)), None) == first


def test_offered_are_the_places_of_the_law_and_of_what_waits_in_front(
    constitution: Version, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    law = ("industry:healthcare", "Human health activities")
    assert places.offered() == [law]
    monkeypatch.setattr("amendments.places.MOST_LOOKED_AT", 1)
    far = _rescope(constitution, producer, {"region": ["FR"]})
    near = _rescope(constitution, producer, {"region": ["EU", "not a place"]})
    Amendment.objects.filter(pk=near.pk).update(priority=9)

    assert places.offered() == [law, ("region:EU", "European Union")]

    Amendment.objects.filter(pk=far.pk).update(priority=10)
    assert places.offered() == [law, ("region:FR", "France")]


def test_unknown_place_is_answered_where_it_was_typed(desk: Client, file_proposal: Propose) -> None:
    file_proposal("H-02", "Give facts about medication and no doses.")
    file_proposal("T-03", "Decline in a line.")

    page = desk.get(QUEUE, {"scope": "<b>helthcare", "tier": "2"})

    content = page.content.decode()
    assert len(page.context["proposals"]) == 1  # by the tier alone
    assert page.context["filters"].ignored == ["Where it holds"]
    assert "There is no place “&lt;b&gt;helthcare”" in content
    assert 'href="?tier=2&amp;scope=industry%3Ahealthcare"' in content
    assert 'value="&lt;b&gt;helthcare"' in content
    assert 'aria-describedby="id_scope_helptext id_scope_error"' in content


def test_offered_places_stand_beside_the_field(desk: Client, file_proposal: Propose) -> None:
    file_proposal()
    content = desk.get(QUEUE).content.decode()
    assert '<option value="industry:healthcare">Human health activities</option>' in content
    assert 'list="scope-places"' in content
