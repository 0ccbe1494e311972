import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from training.recipes import settings
from training.recipes.plan import PRESETS, DPOConfig, LooksConfig, Override, Plan, PlanError, Prompt, SFTConfig, Stages
from training.recipes.settings import PRESET_FILES, preset

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
    assert {file.stem for file in PRESET_FILES.glob("*.yaml")} == set(PRESETS)
    for name in PRESETS:
        text = (PRESET_FILES / f"{name}.yaml").read_text()
        content = yaml.safe_load(text)
        written, read = content["stages"], dataclasses.asdict(preset(name))
        assert written.keys() == read.keys()
        assert {stage: set(values) for stage, values in written.items() if stage != "processes"} == {
            stage: set(values) for stage, values in read.items() if stage != "processes"
        }
        assert content["sizes"] == dataclasses.asdict(settings.read(name).sizes)
        assert name == "cpu" or f"ROUND_PRESET={name} " in text


def test_presets_are_what_they_were_measured_as() -> None:
    """The default round is the classes' own; what differs on a GPU is where nothing is learnt, and how many train."""
    assert preset("cpu") == Stages()
    assert len({settings.read(name).sizes for name in ("cpu", "one_gpu", "several_gpus")}) == 1
    one, several = preset("one_gpu"), preset("several_gpus")
    assert (one.sft, one.dpo, one.label) == (Stages().sft, Stages().dpo, Stages().label)
    assert one.looks == dataclasses.replace(Stages().looks, batteries="saves"), "answers cost little on a GPU"
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
    with pytest.raises(PlanError, match=r"plan\.seed must be a whole number, not"):
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


def test_settings_are_the_presets_but_for_what_somebody_set() -> None:
    changes = {"seed": 7, "sizes.train": 50, "dpo.learning_rate": 2e-4, "sft.lora.rank": 8, "dpo.even": False}
    own, chosen = settings.read("cpu", seed=3), settings.read("cpu", seed=3, changes=changes)
    assert (chosen.seed, chosen.sizes.train, chosen.stages.sft.lora.rank, chosen.stages.dpo.even) == (7, 50, 8, False)
    undone = {name: own.by_name()[name] for name in changes}
    assert settings.read("cpu", seed=3, changes={**changes, **undone}) == own
    assert {one.setting: (one.preset, one.chosen) for one in settings.overrides(own, chosen)} == {
        "seed": ("3", "7"),
        "sizes.train": ("200", "50"),
        "sft.lora.rank": ("16", "8"),
        "dpo.learning_rate": ("0.0007", "0.0002"),
        "dpo.even": ("true", "false"),
    }
    assert settings.overrides(own, settings.read("cpu", seed=3, changes={"dpo.beta": 0.1})) == ()


def test_what_is_wrong_is_said_of_each_setting_with_the_checks_of_a_file() -> None:
    assert settings.problems("cpu", {"dpo.beta": 0.2, "sft.epochs": 2}) == {}
    assert settings.problems("huge", {}) == {
        "preset": f"There is no preset 'huge'; the presets are {', '.join(PRESETS)}."
    }
    assert settings.problems(
        "cpu",
        {
            "seed": -1,
            "sizes.train": 0,
            "sft.epochs": 2.5,
            "sft.learning_rate": "much",
            "dpo.learning_rate": float("nan"),
            "dpo.epochs": 10**9,
            "dpo.beta": 0.3,
        },
    ) == {
        "seed": "The seed lies between 0 and 2147483647.",
        "sizes.train": "A round takes 1 to 1,000,000 requests here (train).",
        "sft.epochs": "Must be a whole number, not 2.5.",
        "sft.learning_rate": "Must be a number, not 'much'.",
        "dpo.learning_rate": "Must be a finite number.",
        "dpo.epochs": "A round takes at most 1,000 epochs.",
    }
    assert settings.problems("cpu", {"dpo.beta": 10**400, "sizes.train": 10**400}).keys() == {"dpo.beta", "sizes.train"}
    only_together = settings.problems("cpu", {"sft.opening_tokens": 27, "generate.max_new_tokens": 26})
    assert list(only_together) == [""]
    assert settings.problems("cpu", {"sft.opening_tokens": 40, "generate.max_new_tokens": 50}) == {}
    for unknown in ("dpo.eagerness", "sizes.train.more", "nothing"):
        assert list(settings.problems("cpu", {unknown: 1})) == [unknown]


def test_plan_that_was_frozen_before_presets_were_noted_loads(make_plan: MakePlan) -> None:
    plan = make_plan(preset="cpu", overrides=(Override("seed", "3", "7"),))
    assert Plan.from_json(plan.as_json()) == plan
    old = {name: value for name, value in plan.as_json().items() if name not in ("preset", "overrides")}
    assert Plan.from_json(old) == make_plan()


def test_plan_module_needs_no_torch() -> None:
    code = "import sys, training.recipes.settings; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
