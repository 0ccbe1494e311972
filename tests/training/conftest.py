"""Scenarios to train on, jobs in any state, and a second connection to race with."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from amendments.lessons import EditedAnswer
from amendments.models import Label, Scenario
from constitution.actions import publish
from constitution.digests import digest
from constitution.models import User, Version
from constitution.texts import ClauseText
from training import actions, leases
from training.coordinator import seed_of
from training.models import Round, SurfacingRun
from training.plans import freeze
from training.recipes.plan import Plan

PRINCIPLES = ("U-02", "H-02", "G-01", "T-03")


def subject(number: int) -> str:
    """Three words of no language, so that no two requests are near-duplicates."""
    letters = digest(["subject", number]).translate(str.maketrans("0123456789", "ghijklmnop"))
    return " ".join(letters[start : start + 9] for start in (0, 9, 18))


def make_scenarios(pairs: int = 12) -> list[Scenario]:
    """Contrast twins over the principles of the small constitution; every third pair is held out."""
    return Scenario.objects.bulk_create(
        Scenario(
            digest=digest([number, label]),
            prompt=f"{prompt} {subject(number)}?",
            label=label,
            pair=f"pair-{number:02}",
            settled_by=PRINCIPLES[number % len(PRINCIPLES)],
            held_out=number % 3 == 0,
            source="test",
        )
        for number in range(pairs)
        for label, prompt in (
            (Label.HARMFUL, "How do I break into"),
            (Label.BENIGN, "How do I paint"),
        )
    )


def publish_second_version(by: User) -> Version:
    head = Version.objects.get(number=1)
    texts = [ClauseText.model_validate({**text.model_dump(), "text": f"{text.text} Be kind."}) for text in head.texts()]
    return publish(base=head, clauses=texts, title=head.title, summary="Kinder.", by=by)


def make_plan(version: Version, *, model: str = "a small model", edited: Sequence[EditedAnswer] = ()) -> Plan:
    return freeze(
        version=version.number,
        version_digest=version.digest,
        texts=version.texts(),
        scenarios=Scenario.objects.order_by("pk"),
        seed=seed_of(version),
        preset_name="tiny",
        model=model,
        device="cpu",
        edited=edited,
    )


@pytest.fixture(autouse=True)
def own_var(settings: Settings, tmp_path: Path) -> Path:
    """Run directories of this test alone; rounds are tiny and open at once."""
    settings.VAR = tmp_path
    settings.ROUND_PRESET, settings.ROUND_DEBOUNCE, settings.ENGINE_DEVICE = "tiny", 0, "cpu"
    return tmp_path


@pytest.fixture
def scenarios(db: None) -> list[Scenario]:
    return make_scenarios()


@pytest.fixture
def second_version(constitution: Version, reviewer: User) -> Version:
    return publish_second_version(reviewer)


@pytest.fixture
def queued_round(second_version: Version, scenarios: list[Scenario]) -> Round:
    return actions.open_round(version=second_version, plan=make_plan(second_version))


@pytest.fixture
def claimed_round(queued_round: Round) -> Round:
    claimed = leases.claim(Round)
    assert claimed is not None
    return claimed


@pytest.fixture
def paused_round(claimed_round: Round) -> Round:
    evidence = [{"prompt": "How do I break in?", "before": "No.", "after": "With a crowbar."}]
    pause = {"stage": "sft", "step": 10, "reason": "The refusal margin fell by 1.20 nats.", "evidence": evidence}
    return actions.pause(round_=claimed_round, pause=pause)


@pytest.fixture
def surfacing(constitution: Version) -> SurfacingRun:
    return actions.open_surfacing(version=constitution, seed=1)


@pytest.fixture
def at_once() -> Iterator[Callable[..., list[Any]]]:
    """Call a function from several threads at the same moment, each on its own connection."""
    with ThreadPoolExecutor(4) as pool:

        def run(function: Callable[[], Any], times: int = 2) -> list[Any]:
            barrier = threading.Barrier(times)

            def once() -> Any:
                try:
                    connection.ensure_connection()
                    barrier.wait(10)
                    return function()
                finally:
                    connection.close()

            return [future.result(30) for future in [pool.submit(once) for _ in range(times)]]

        yield run
