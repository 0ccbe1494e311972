from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system import System


@pytest.fixture
def system(tmp_path: Path, tiny_model: Path) -> Iterator[System]:
    """An installation of its own for each test: what is killed here is nobody else's."""
    made = System(tmp_path / "var", {"MODEL": str(tiny_model), "ROUND_PRESET": "tiny"})
    try:
        made.start()
        yield made
    finally:
        made.stop()
