from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import System, tiny_settings


@pytest.fixture
def system(tmp_path: Path, tiny_model: Path) -> Iterator[System]:
    """An installation of its own for each test: what is killed here is nobody else's."""
    made = System(tmp_path / "var", tiny_settings(tiny_model))
    try:
        made.start()
        yield made
    finally:
        made.stop()
