"""Which judge a round has: the one it was prepared with, and never the model that it trains."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tiny_model import build_tiny_model
from training.engine.judge import JudgeError, ProbeJudge
from training.engine.judges.language import LanguageJudge
from training.engine.judges.pattern import PatternJudge
from training.engine.model import LanguageModel, load
from training.recipes.files import write_json
from training.recipes.judging import round_judge
from training.recipes.plan import Plan
from training.recipes.run import Run


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> LanguageModel:
    return load(tiny_model, device="cpu")


@pytest.fixture
def run(make_plan: Callable[..., Plan], start: Callable[[Plan], Path]) -> Run:
    return Run(start(make_plan()), "revise")


def test_round_without_a_choice_has_the_probe_of_its_reference(run: Run, reference: LanguageModel) -> None:
    judge = round_judge(run, reference)
    assert isinstance(judge, ProbeJudge)
    assert round_judge(run, reference).name == judge.name
    assert (run.root / "judge" / "probe.json").exists()


def test_round_has_the_judge_that_it_was_prepared_with(run: Run, reference: LanguageModel, tmp_path: Path) -> None:
    write_json(run.root / "judge.json", {"kind": "pattern"})
    assert isinstance(round_judge(run, reference), PatternJudge)
    assert not (run.root / "judge").exists()
    other = build_tiny_model(tmp_path / "other", seed=5)
    write_json(run.root / "judge.json", {"kind": "logprob", "model": str(other)})
    assert isinstance(round_judge(run, reference), LanguageJudge)


def test_round_is_not_judged_by_the_model_that_it_trains(run: Run, reference: LanguageModel) -> None:
    write_json(run.root / "judge.json", {"kind": "logprob", "model": run.plan.model})
    with pytest.raises(JudgeError, match="the weights of the model that is trained"):
        round_judge(run, reference)
    name = Path(run.plan.model).name
    write_json(run.root / "judge.json", {"kind": "served", "model": f"me/{name}", "url": "http://127.0.0.1:1/v1"})
    with pytest.raises(JudgeError, match="is the model that is trained"):
        round_judge(run, reference)


def test_round_is_not_judged_with_a_model_under_training(run: Run, reference: LanguageModel) -> None:
    trained = LanguageModel(reference.model, reference.tokenizer, reference.device, f"{reference.digest}+adapter")
    with pytest.raises(ValueError, match="frozen reference"):
        round_judge(run, trained)
