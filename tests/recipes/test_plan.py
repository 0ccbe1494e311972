import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from training.recipes.plan import (
    PRESET_FILES,
    PRESETS,
    DPOConfig,
    LooksConfig,
    Plan,
    PlanError,
    Prompt,
    SFTConfig,
    Stages,
    preset,
    preset_sizes,
)

MakePlan = Callable[..., Plan]


def test_plan_written_and_read_is_the_same(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan()
    plan.write(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == plan
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize("name", PRESETS)
def test_preset_survives_json(make_plan: MakePlan, name: str) -> None:
    plan = make_plan(stages=preset(name))
    assert Plan.from_json(plan.as_json()) == plan


def test_preset_files_are_all_known_and_say_everything() -> None:
    """No value is set where nobody reads it: a file names each setting, and how to start a worker with it."""
    assert {file.stem for file in PRESET_FILES.iterdir()} == set(PRESETS)
    for name in PRESETS:
        text = (PRESET_FILES / f"{name}.yaml").read_text()
        content = yaml.safe_load(text)
        written, read = content["stages"], dataclasses.asdict(preset(name))
        assert written.keys() == read.keys()
        assert {stage: set(values) for stage, values in written.items() if stage != "processes"} == {
            stage: set(values) for stage, values in read.items() if stage != "processes"
        }
        assert set(preset_sizes(name)) == {"train", "ordinary", "looks", "held_out"}
        assert name == "cpu" or f"ROUND_PRESET={name} " in text


def test_presets_are_what_they_were_measured_as() -> None:
    """The default round is the classes' own; what differs on a GPU is where nothing is learnt, and how many train."""
    assert preset("cpu") == Stages()
    assert preset_sizes("cpu") == preset_sizes("one_gpu") == preset_sizes("several_gpus")
    one, several = preset("one_gpu"), preset("several_gpus")
    assert (one.sft, one.dpo, one.label, one.looks) == (Stages().sft, Stages().dpo, Stages().label, Stages().looks)
    assert dataclasses.replace(several, processes=1) == one
    assert (preset("quick").sft.epochs, preset("quick").revise.attempts, preset("quick").looks.steps) == (1, 1, (5, 10))
    assert (preset("tiny").sft.lora.rank, preset("tiny").dpo.batch_size) == (2, 2)


def test_preset_unknown_is_refused() -> None:
    with pytest.raises(PlanError, match="no preset 'huge'"):
        preset("huge")


@pytest.mark.parametrize(("one", "other"), [("train", "looks"), ("train", "held_out"), ("looks", "held_out")])
def test_plan_with_shared_prompts_is_refused(make_plan: MakePlan, one: str, other: str) -> None:
    plan = make_plan()
    first = getattr(plan, one)[0]
    disguised = dataclasses.replace(first, id="again", prompt=f"  {first.prompt.upper()}?! ")
    with pytest.raises(PlanError, match=f"stand in {one} and in {other}"):
        make_plan(**{other: (*getattr(plan, other), disguised)})


@pytest.mark.parametrize("group", ["looks", "held_out"])
def test_plan_that_measures_on_a_decided_example_is_refused(make_plan: MakePlan, group: str) -> None:
    plan = make_plan()
    request = plan.clauses[0].examples[0].request
    leaked = Prompt(id="leak", prompt=request, label="harmful", principle="U-01")
    with pytest.raises(PlanError, match="the decided examples"):
        make_plan(**{group: (*getattr(plan, group), leaked)})


def test_plan_with_one_label_only_is_refused(make_plan: MakePlan) -> None:
    harmful = tuple(row for row in make_plan().held_out if row.label == "harmful")
    with pytest.raises(PlanError, match="held_out needs at least one harmful and one benign"):
        make_plan(held_out=harmful)


def test_plan_with_an_unknown_principle_is_refused(make_plan: MakePlan) -> None:
    stray = Prompt(id="stray", prompt="Something else", label="benign", principle="X-99")
    with pytest.raises(PlanError, match="X-99"):
        make_plan(train=(*make_plan().train, stray))


def test_plan_json_with_unknown_key_is_refused(make_plan: MakePlan) -> None:
    data = make_plan().as_json()
    data["stages"]["sft"]["learning_rat"] = 1.0
    with pytest.raises(PlanError, match=r"plan\.stages\.sft has unknown keys: learning_rat"):
        Plan.from_json(data)


def test_plan_json_with_missing_key_is_refused(make_plan: MakePlan) -> None:
    data = make_plan().as_json()
    del data["clauses"][0]["text"]
    with pytest.raises(PlanError, match=r"plan\.clauses\[0\] lacks text"):
        Plan.from_json(data)


@pytest.mark.parametrize("value", ["7", 7.5, True, None])
def test_plan_json_with_a_wrong_type_is_refused(make_plan: MakePlan, value: object) -> None:
    with pytest.raises(PlanError, match=r"plan\.seed must be of type int"):
        Plan.from_json({**make_plan().as_json(), "seed": value})


def test_stage_configs_refuse_nonsense() -> None:
    with pytest.raises(PlanError, match="learning rate"):
        SFTConfig(learning_rate=0)
    with pytest.raises(PlanError, match="beta"):
        DPOConfig(beta=0)
    with pytest.raises(PlanError, match="low < warn < 0"):
        LooksConfig(low=-0.1)
    with pytest.raises(PlanError, match="rise"):
        LooksConfig(steps=(5, 5))


def test_plan_module_needs_no_torch() -> None:
    code = "import sys, training.recipes.plan; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
