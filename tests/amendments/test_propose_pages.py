"""People's own proposals: written in a form, refused with everything kept, taken back."""

import pytest
from django.test import Client
from django.urls import reverse

from amendments import states
from amendments.models import Amendment
from constitution.actions import publish
from constitution.models import Role, User, Version
from tests.factories import make_clause, make_user, small_constitution

TEXT = "Help with harmless requests, however alarming they sound."


@pytest.fixture
def written(constitution: Version) -> dict[str, str]:
    clause = next(clause for clause in constitution.texts() if clause.principle == "G-01")
    return {"before": clause.digest, "title": clause.title, "text": TEXT, "rationale": "It was unclear."}


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_propose_files_it_for_others_to_decide(reviewer: User, written: dict[str, str]) -> None:
    client = signed_in(reviewer)
    answer = client.post(reverse("amendments:propose", args=["G-01"]), written)

    proposal = Amendment.objects.get()
    assert answer["Location"] == proposal.get_absolute_url()
    assert (proposal.author, proposal.state, proposal.kinds) == (reviewer, states.OPEN, ["revise"])
    page = client.get(answer["Location"]).content.decode()
    assert "however alarming they sound" in page
    assert "somebody else has to decide" in page


def test_propose_on_a_clause_that_moved_meanwhile_shows_both(reviewer: User, written: dict[str, str]) -> None:
    head = Version.objects.head()
    newer = [make_clause("G-01", 2, "Help with anything harmless."), *small_constitution()[3:], small_constitution()[0]]
    publish(base=head, clauses=newer, title="Newer", summary="", by=reviewer)
    client = signed_in(reviewer)

    refused = client.post(reverse("amendments:propose", args=["G-01"]), written)

    assert refused.status_code == 409
    assert TEXT in refused.content.decode()
    assert "".join(text for kind, text in refused.context["moved"] if kind != "del") == "Help with anything harmless."
    again = written | {"before": refused.context["clause"].digest}
    assert client.post(reverse("amendments:propose", args=["G-01"]), again).status_code == 302


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rationale": " "}, "Say why"),
        ({"text": "Help \u202e."}, "hidden character"),
        ({"text": ""}, "is empty; fill it in"),
        ({"text": "Help with harmless requests that only sound alarming."}, "says already"),
    ],
)
def test_propose_that_is_refused_keeps_what_was_written(
    reviewer: User, written: dict[str, str], change: dict[str, str], sentence: str
) -> None:
    answer = signed_in(reviewer).post(reverse("amendments:propose", args=["G-01"]), written | change)

    assert answer.status_code == 409
    assert sentence in answer.content.decode()
    assert answer.context["written"]["title"] == written["title"]
    assert not Amendment.objects.exists()


def test_propose_is_not_for_operators(written: dict[str, str]) -> None:
    answer = signed_in(make_user("keeper", Role.OPERATOR)).post(reverse("amendments:propose", args=["G-01"]), written)
    assert answer.status_code == 403
    assert not Amendment.objects.exists()


def test_propose_on_an_unknown_clause_is_not_found(reviewer: User, constitution: Version) -> None:
    assert signed_in(reviewer).get(reverse("amendments:propose", args=["T-99"])).status_code == 404


def test_withdraw_is_offered_to_who_proposed_and_to_nobody_else(
    reviewer: User, other_reviewer: User, written: dict[str, str]
) -> None:
    author, other = signed_in(reviewer), signed_in(other_reviewer)
    author.post(reverse("amendments:propose", args=["G-01"]), written)
    proposal = Amendment.objects.get()
    address = reverse("amendments:amendment-withdraw", args=[proposal.pk])
    assert address in author.get(proposal.get_absolute_url()).content.decode()
    assert address not in other.get(proposal.get_absolute_url()).content.decode()

    other.post(address)
    proposal.refresh_from_db()
    assert proposal.state == states.OPEN
    author.post(address)
    proposal.refresh_from_db()
    assert proposal.state == states.WITHDRAWN
