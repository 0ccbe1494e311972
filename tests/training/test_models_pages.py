"""The pages of models: what they show, who decides there, and that nothing hostile in answers gets through."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from amendments.models import Scenario
from constitution.models import Role, User, Version
from tests.factories import make_user
from tests.training.finished import make_judge_card, make_model
from tests.training.test_corrected_rates import CARD
from training import behaviour, judging, promotion, registry, retention
from training import room as machine
from training.models import Checkpoint
from training.promotion_records import Promotion
from training.scheduling_records import DiskUse

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("scenarios")]

HOSTILE = "<script>alert(1)</script> & <b>bold</b>?"


@pytest.fixture
def client(client: Client, overseer: User) -> Client:
    client.force_login(overseer)
    return client


@pytest.fixture
def make(second_version: Version, scenarios: list[Scenario]) -> Callable[..., Checkpoint]:
    make_judge_card()
    return lambda **changes: make_model(second_version, **changes)


@pytest.fixture
def other_overseer(db: None) -> User:
    return make_user("olaf", Role.OVERSEER)


def page(client: Client, name: str, *args: int, status: int = 200) -> str:
    answer = client.get(reverse(f"training:{name}", args=args))
    assert answer.status_code == status
    return answer.content.decode()


def test_list_is_empty_at_first(client: Client) -> None:
    assert "The first one stands here when a round has finished." in page(client, "models")


def test_list_shows_what_each_model_is_and_which_is_in_use(
    client: Client, make: Callable[..., Checkpoint], overseer: User
) -> None:
    first, second = make(), make()
    assert "No model is in use yet." in page(client, "models")
    promotion.promote(checkpoint=first, by=overseer, seen=None)
    text = page(client, "models")
    assert f"the model of round {first.round_id}</a>, by olga" in text
    assert "90 of 100 (90 %, 85 to 95)" in text
    assert "2 looks, all within the band" in text
    assert second.round.data_digest[:12] in text
    assert text.index(f"Model of round {second.round_id}") < text.index(f"Model of round {first.round_id}")


def test_list_takes_the_same_queries_for_many(client: Client, make: Callable[..., Checkpoint], overseer: User) -> None:
    counts = []
    for more in (3, 12):
        for made in [make() for _ in range(more)]:
            current = registry.in_use()
            promotion.promote(checkpoint=made, by=overseer, seen=current.pk if current else None)
        with CaptureQueriesContext(connection) as found:
            page(client, "models")
        counts.append(len(found))
    assert counts[0] == counts[1]


def test_list_says_what_rounds_take_of_each_disk(
    client: Client, make: Callable[..., Checkpoint], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    assert "Room on the disk" not in page(client, "models")
    monkeypatch.setattr(machine, "host", lambda: "<b>gpu-1</b>")
    retention.measure()
    monkeypatch.setattr(retention, "size_below", lambda _: pytest.fail("a page walks no folders"))
    DiskUse.objects.update(could_go=3 * 2**20, aborted=5 * 2**20)
    text = page(client, "models")
    assert "&lt;b&gt;gpu-1&lt;/b&gt;" in text
    assert "3.0\xa0MB" in text
    assert "5.0\xa0MB" in text
    assert "Nothing goes by itself." in text
    settings.KEEP_MODELS = 7
    assert "but for the newest 7" in page(client, "models")


def test_page_shows_lineage_gates_and_weaknesses(client: Client, make: Callable[..., Checkpoint]) -> None:
    model = make()
    text = page(client, "model-detail", model.pk)
    for words in (
        "No constitutional checkpoint paused the round.",
        "a small model",
        "Harmful requests answered: 40 of 100",
        "one seed",
        "Version 2",
    ):
        assert words in text
    assert f"export_model {model.pk} FOLDER" in text
    assert page(client, "model-detail", model.pk + 1, status=404)


def test_page_shows_rates_corrected_for_the_judges_errors(client: Client, make: Callable[..., Checkpoint]) -> None:
    model = make()
    text = page(client, "model-detail", model.pk)
    assert "Corrected for the judge" not in text, "its card has no counts, so its errors are not known"
    judging.record(dataset="people", metrics=CARD, template="features-1", by="card_judge")
    text = page(client, "model-detail", model.pk)
    assert "Corrected for the judge" in text
    assert "probe-1 finds" in text
    assert "42.9 %" in text, "40 of 100, found by a judge that finds 90 % and leaves 80 %"


def test_page_takes_the_same_queries_for_many_cards(client: Client, make: Callable[..., Checkpoint]) -> None:
    model, counts = make(), []
    for more in range(1, 5):
        judging.record(dataset=f"people {more}", metrics=CARD, template="features-1", by="card_judge")
        with CaptureQueriesContext(connection) as found:
            page(client, "model-detail", model.pk)
        counts.append(len(found))
    assert len(set(counts)) == 1


def test_overseer_promotes_and_rolls_back(client: Client, make: Callable[..., Checkpoint], overseer: User) -> None:
    first, second = make(), make()
    answer = client.post(reverse("training:model-promote", args=[first.pk]), {"seen": "", "note": ""}, follow=True)
    assert "It is in use now." in answer.content.decode()
    client.post(reverse("training:model-promote", args=[second.pk]), {"seen": Promotion.objects.get().pk})
    latest = registry.in_use()
    assert latest is not None
    assert latest.checkpoint == second
    text = page(client, "model-detail", first.pk)
    assert "Roll back to this model" in text
    back = {"seen": latest.pk, "note": "It declines too much."}
    answer = client.post(reverse("training:model-roll-back", args=[first.pk]), back, follow=True)
    assert "It is in use again." in answer.content.decode()
    text = page(client, "models")
    assert "rolled back to" in text
    assert "which undoes the promotion of" in text


def test_refusal_keeps_the_note_and_says_who_was_first(
    client: Client, make: Callable[..., Checkpoint], other_overseer: User
) -> None:
    first, second = make(), make()
    promotion.promote(checkpoint=first, by=other_overseer, seen=None)
    answer = client.post(reverse("training:model-promote", args=[second.pk]), {"seen": "", "note": "My words."})
    text = answer.content.decode()
    assert answer.status_code == 409
    assert f"Meanwhile {other_overseer} put the model of round {first.round_id} into use." in text
    assert "My words.</textarea>" in text


def test_reviewer_reads_and_is_refused(client: Client, make: Callable[..., Checkpoint], reviewer: User) -> None:
    model = make()
    client.force_login(reviewer)
    text = page(client, "model-detail", model.pk)
    assert "Only overseers put a model into use." in text
    assert "disabled" in text
    answer = client.post(reverse("training:model-promote", args=[model.pk]), {"seen": ""})
    assert answer.status_code == 403
    assert not Promotion.objects.exists()


def test_advisory_judge_shows_a_box_to_tick(client: Client, second_version: Version, scenarios: list[Scenario]) -> None:
    model = make_model(second_version)
    assert "I answer for the gates" in page(client, "model-detail", model.pk)
    answer = client.post(reverse("training:model-promote", args=[model.pk]), {"seen": "", "note": "I read them."})
    assert answer.status_code == 409
    assert "Tick the box" in answer.content.decode()
    sent = {"seen": "", "note": "I read them.", "override": "1"}
    assert client.post(reverse("training:model-promote", args=[model.pk]), sent).status_code == 302
    assert "gate overridden" in page(client, "models")


def test_changed_weights_are_refused_on_the_page(
    client: Client, make: Callable[..., Checkpoint], own_var: Path
) -> None:
    model = make()
    (own_var / model.path / "adapter_model.safetensors").write_text("other")
    answer = client.post(reverse("training:model-promote", args=[model.pk]), {"seen": ""})
    assert answer.status_code == 409
    assert "are not what the round left" in answer.content.decode()


def test_page_of_a_model_whose_files_are_gone(client: Client, make: Callable[..., Checkpoint]) -> None:
    model = make()
    make()
    retention.remove(room=retention.rooms(keep=1)[1])
    text = page(client, "model-detail", model.pk)
    assert "Its weights were removed to make room." in text
    assert "export_model" not in text
    assert "files removed" in page(client, "models")


def test_changes_between_two_models_by_principle(client: Client, make: Callable[..., Checkpoint]) -> None:
    old = make(refusals=(False, True, True, None, False))
    new = make(refusals=(True, True, False, True))
    found = behaviour.compare(*(registry.registered().get(pk=row.pk) for row in (old, new)))
    assert (found.asked, found.unscored, found.judged_alike) == (4, 1, True)
    assert [(str(found.share(change)), found.share(change).n) for change in ("refused", "answered")] == [
        ("33 %, 6 to 79", 3)
    ] * 2
    held_out = new.round.plan["held_out"]
    assert list(found.by_principle("refused")) == [held_out[0]["principle"]]
    assert found.by_principle("answered")[held_out[2]["principle"]][0].after == "Here is how."
    text = page(client, "model-changes", old.pk, new.pk)
    assert "n = 4 requests asked of both" in text
    assert "1 of 3 scored on both sides" in text
    assert page(client, "model-changes", old.pk, new.pk + 1, status=404)


def test_hostile_request_is_text_in_the_changes(client: Client, make: Callable[..., Checkpoint]) -> None:
    old, new = make(refusals=(False,), prompt=HOSTILE), make(refusals=(True,), prompt=HOSTILE)
    text = page(client, "model-changes", old.pk, new.pk)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;" in text
    assert HOSTILE not in text


def test_models_that_were_asked_nothing_in_common(client: Client, make: Callable[..., Checkpoint]) -> None:
    old, new = make(refusals=(False,), prompt="One?"), make(refusals=(True,), prompt="Another?")
    assert "asked none of the same requests" in page(client, "model-changes", old.pk, new.pk)


def test_different_judges_are_said(client: Client, make: Callable[..., Checkpoint]) -> None:
    old, new = make(refusals=(False,)), make(refusals=(True,), judge="probe-2")
    assert "judged by different judges" in page(client, "model-changes", old.pk, new.pk)


def test_round_leads_to_its_model(client: Client, make: Callable[..., Checkpoint]) -> None:
    model = make()
    text = page(client, "round-detail", model.round_id)
    assert reverse("training:model-detail", args=[model.pk]) in text
    assert reverse("training:models") in page(client, "rounds")
