import numpy as np
import pytest
import torch

from training.engine.features import OPENING_TOKENS, response_features
from training.engine.generate import chat
from training.engine.model import LanguageModel

ITEMS = [("Who?", "Sure."), ("How do I kill a frozen program?", "Press three keys and end the task. " * 6)]


def test_features_equal_those_of_a_plain_forward_pass(lm: LanguageModel) -> None:
    for (request, response), found in zip(ITEMS, response_features(lm, ITEMS), strict=True):
        start = lm.tokenizer(chat(lm, request), add_special_tokens=False).input_ids
        end = lm.tokenizer(response.strip(), add_special_tokens=False).input_ids[:96]
        with torch.no_grad():
            states = lm.model(torch.tensor([start + end]), output_hidden_states=True).hidden_states[1]
        read = states[0, len(start) :]
        expected = torch.cat([read[:OPENING_TOKENS].mean(0), read.mean(0)]).numpy()
        assert found == pytest.approx(expected, abs=1e-4)


def test_features_do_not_depend_on_the_batch(lm: LanguageModel) -> None:
    alone = np.concatenate([response_features(lm, [item]) for item in ITEMS])
    assert response_features(lm, ITEMS) == pytest.approx(alone, abs=1e-4)
