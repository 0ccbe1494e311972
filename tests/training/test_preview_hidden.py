"""Where the machine's score is hidden until one has voted, so are the figures of the preview."""

import pytest
from django.test import Client

from amendments import scores
from amendments.actions import propose
from amendments.models import Amendment, Producer
from amendments.operations import Revise
from constitution.models import User, Version
from tests import factories
from tests.training.conftest import make_scenarios
from tests.training.test_preview_pages import desk, section
from tests.training.test_previews import KnownEngine, model, work
from training.previews import asking

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["desk", "model"]  # fixtures, used by their names


def test_score_that_is_hidden_hides_the_figures_also_from_the_fragment(
    desk: Client, constitution: Version, reviewer: User
) -> None:
    make_scenarios()
    producer: Producer = factories.make_producer()
    proposal = _drawn(producer, constitution, reviewer)
    asking.ask(amendment=proposal, by=reviewer)
    work(KnownEngine())
    assert scores.is_hidden(proposal, reviewer)
    for found in (section(desk, proposal), desk.get(proposal.get_absolute_url()).content.decode()):
        assert "once you have voted" in found
        assert "More than rewording" not in found


def _drawn(producer: Producer, base: Version, reviewer: User) -> Amendment:
    before = next(text for text in base.texts() if text.principle == "G-01")
    for number in range(60):
        found = propose(
            by=producer,
            base=base,
            operations=(Revise(principle="G-01", before=before.digest, text=f"Never, {number} times."),),
            rationale="It was not clear.",
            measured={"effect": 0.4, "score_words": "It moves the cases."},
        )
        if scores.is_drawn(found.pk, reviewer.pk):
            return found
    raise AssertionError("none of sixty was drawn")
