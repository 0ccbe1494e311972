"""What every test stands on: no network, our strictness, people with roles, and a small constitution."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts

from constitution.models import Role, User, Version
from tests import factories
from tests.strictness import let_flush_empty_what_is_written_once, shuffle_unordered_queries
from tests.system import ONE_THREAD, System, tiny_settings

LOOPBACK = ["127.0.0.1", "::1", "localhost"]
HERE = Path(__file__).parent
# Folders whose tests start the whole system: they never share the machine with another test.
HEAVY = {"browser": pytest.mark.browser, "crash": pytest.mark.crash}


def pytest_configure() -> None:
    settings.register_profile("shapes, never seconds", deadline=None)
    settings.load_profile("shapes, never seconds")
    shuffle_unordered_queries()
    let_flush_empty_what_is_written_once()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in HEAVY:
            item.add_marker(HEAVY[folder])


def pytest_runtest_setup() -> None:
    socket_allow_hosts(LOOPBACK, allow_unix_socket=True)


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our tiny model computes on one thread, in this process and in those that it starts."""
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def reviewer(db: None) -> User:
    return factories.make_user("ada", Role.REVIEWER)


@pytest.fixture
def other_reviewer(db: None) -> User:
    return factories.make_user("grace", Role.REVIEWER)


@pytest.fixture
def overseer(db: None) -> User:
    return factories.make_user("olga", Role.OVERSEER)


@pytest.fixture
def operator(db: None) -> User:
    return factories.make_user("otto", Role.OPERATOR)


@pytest.fixture
def researcher(db: None) -> User:
    return factories.make_user("rosa", Role.RESEARCHER)


@pytest.fixture
def board_member(db: None) -> User:
    return factories.make_user("bela", Role.BOARD)


@pytest.fixture
def stranger(db: None) -> User:
    """Somebody who can sign in and nothing else."""
    return factories.make_user("sten")


@pytest.fixture
def constitution(db: None) -> Version:
    """A founding version of four clauses over the three tiers."""
    return factories.publish_founding_version()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of a few thousand weights, in the form that real models have."""
    from tests.tiny_model import build_tiny_model  # torch is loaded only where somebody asks for a model

    return build_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[System]:
    """Ratify as `bin/up` starts it, with the tiny model and the smallest rounds."""
    made = System(tmp_path_factory.mktemp("system"), tiny_settings(tiny_model))
    try:
        made.start()
        yield made
    finally:
        made.stop()
