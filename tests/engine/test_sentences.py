"""What requests ask for, by the sentence model of the lock file: shapes, what is near, and whose weights it has."""

from pathlib import Path

import numpy as np
import pytest

from amendments.joining import SAME
from training.engine import sentences
from training.engine.model import ModelError
from training.engine.sentences import sentence_model

REQUESTS = ["How do I kill a Python process?", "What should I cook for twelve guests?", "Who wrote the Odyssey? " * 200]


def test_directions_have_length_one_and_do_not_depend_on_the_batch() -> None:
    found = sentence_model().directions(REQUESTS)
    assert found.shape == (3, 384)
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-5)
    alone = np.concatenate([sentence_model().directions([one]) for one in REQUESTS])
    assert alone == pytest.approx(found, abs=1e-5)
    assert sentence_model().directions([]).shape == (0, 384)


def test_words_around_a_request_leave_it_the_same() -> None:
    asked, polite, other = sentence_model().directions(
        [REQUESTS[0], f"Could you help me with this question? {REQUESTS[0]}", REQUESTS[1]]
    )
    assert float(asked @ polite) >= SAME
    assert float(asked @ other) < 0.4


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"somebody else's")
    monkeypatch.setattr(sentences, "package_folders", lambda _name: [tmp_path])
    sentence_model.cache_clear()
    with pytest.raises(ModelError, match="not those of all-MiniLM-L6-v2"):
        sentence_model()


def test_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "package_folders", lambda _name: [])
    sentence_model.cache_clear()
    with pytest.raises(ModelError, match=r"requirements-model\.lock"):
        sentence_model()
