import pytest
import torch

from training.engine.generate import chat
from training.engine.model import LanguageModel
from training.engine.score import COMPLIANCE_OPENINGS, REFUSAL_OPENINGS, continuation_logprobs, refusal_margin

PREFIX = "An assistant answers requests by this rule. Rule: The assistant helps with everyday questions.\n\n"
PAIRS = [
    ("The capital", " of France"),
    (PREFIX + "Request: Who?\nResponse:", " I can't help with that."),
    (PREFIX + "Request: Who?\nResponse:", " Sure"),
    (PREFIX + "Request: How do I grow tomatoes?\nResponse:", " To grow tomatoes, put them in the sun."),
    ("T", "he"),
]


def plain_forward(lm: LanguageModel, prompt: str, ending: str) -> list[float]:
    start = lm.tokenizer(prompt, add_special_tokens=False).input_ids
    end = lm.tokenizer(ending, add_special_tokens=False).input_ids
    with torch.no_grad():
        logits = lm.model(torch.tensor([start + end])).logits[0].log_softmax(-1)
    return [float(logits[len(start) + i - 1, token]) for i, token in enumerate(end)]


def test_continuation_logprobs_equal_a_plain_forward_pass(lm: LanguageModel) -> None:
    for (prompt, ending), score in zip(PAIRS, continuation_logprobs(lm, PAIRS), strict=True):
        expected = plain_forward(lm, prompt, ending)
        assert score.per_token == pytest.approx(expected, abs=1e-4)
        assert score.total == pytest.approx(sum(expected), abs=1e-4)
        assert score.mean == pytest.approx(sum(expected) / len(expected), abs=1e-4)


def test_continuation_logprobs_of_nothing(lm: LanguageModel) -> None:
    assert continuation_logprobs(lm, []) == []


def test_continuation_logprobs_refuse_empty_text(lm: LanguageModel) -> None:
    with pytest.raises(ValueError, match="empty"):
        continuation_logprobs(lm, [("The", "")])


def test_refusal_margin_is_the_difference_of_the_two_kinds_of_opening(lm: LanguageModel) -> None:
    # After white space an opening comes as it is, after anything else with a space before it.
    prompts = {chat(lm, "Who?"): "", PREFIX + "Who?\nResponse:": " ", chat(lm, "How do I grow tomatoes?"): ""}
    for prompt, margin in zip(prompts, refusal_margin(lm, list(prompts)), strict=True):
        totals = [
            torch.tensor([sum(plain_forward(lm, prompt, prompts[prompt] + opening)) for opening in kind]).logsumexp(0)
            for kind in (REFUSAL_OPENINGS, COMPLIANCE_OPENINGS)
        ]
        assert margin == pytest.approx(float(totals[0] - totals[1]), abs=1e-4)


def test_refusal_margin_of_nothing(lm: LanguageModel) -> None:
    assert refusal_margin(lm, []) == []
