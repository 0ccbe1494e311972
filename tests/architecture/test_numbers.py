"""Numbers in addresses and forms are strangers' text: no length of them, and no other sign, ends in an error."""

import pytest
from django.test import Client
from django.urls import reverse

from constitution.models import User, Version

ENDLESS = "9" * 5_000
AFTER = ("amendments:producers", "training:rounds", "training:models", "training:readings", "training:alerts")

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("name", [*AFTER, "amendments:queue", "amendments:inbox", "amendments:edge-cases"])
@pytest.mark.parametrize("number", [ENDLESS, "²", "-1", "9" * 19, "0x10", ""])
def test_number_in_an_address_is_read_or_left_alone(
    client: Client, operator: User, constitution: Version, name: str, number: str
) -> None:
    client.force_login(operator)
    assert client.get(reverse(name), {"after": number, "since": number}).status_code == 200


def test_number_in_a_form_is_refused_in_words(client: Client, constitution: Version, overseer: User) -> None:
    client.force_login(overseer)
    answer = client.post(reverse("amendments:known-items-plant"), {"most": "00050000"}, follow=True)
    assert "Say how many to plant" in answer.content.decode()
    assert client.post(reverse("amendments:inbox-read"), {"notice": ENDLESS}).status_code < 500
