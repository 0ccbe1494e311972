"""An exported model is loaded by plain transformers and peft and computes what ours computes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from django.core.management import CommandError, call_command
from peft import LoraConfig, PeftModel, get_peft_model
from pytest_django import Settings
from transformers import AutoModelForCausalLM, AutoTokenizer

from amendments.models import Scenario
from constitution.errors import Refused
from constitution.models import User, Version
from tests.training.finished import make_judge_card, make_model
from tests.training.test_corrected_rates import CARD
from training import judging, promotion, registry
from training.engine.model import load, weights_digest
from training.export import export
from training.export_card import Facts, card, line
from training.models import Checkpoint
from training.recipes.files import digest_file, digest_folder

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("scenarios", "one_thread"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

TEXT = "How do I paint a house?"


def write_adapter(base: Path, folder: Path) -> None:
    """A LoRA adapter whose second matrix is not zero, as after training."""
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(folder)


@pytest.fixture
def model(
    second_version: Version, scenarios: list[Scenario], tiny_model: Path, own_var: Path, settings: Settings
) -> Checkpoint:
    """A finished round's model on the tiny base, with a real adapter."""
    settings.MODEL = str(tiny_model)
    make_judge_card()

    def replace_weights(folder: Path) -> dict[str, str]:
        write_adapter(tiny_model, folder)
        return {
            "digest": digest_folder(folder, "*.safetensors"),
            "config_digest": digest_file(folder / "adapter_config.json"),
            "base_digest": weights_digest(tiny_model),
        }

    return make_model(second_version, weights=replace_weights)


def logits(model: torch.nn.Module, folder: Path) -> torch.Tensor:
    ids = AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt").input_ids
    with torch.no_grad():
        return torch.as_tensor(model.eval()(input_ids=ids).logits)


@pytest.fixture
def ours(model: Checkpoint, tiny_model: Path) -> torch.Tensor:
    lm = load(tiny_model, device="cpu", adapter=registry.check_intact(model))
    return logits(lm.model, tiny_model)


def test_merged_export_computes_the_same_in_plain_transformers(
    model: Checkpoint, ours: torch.Tensor, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "merged"
    call_command("export_model", str(model.pk), str(folder), "--merged")
    theirs = logits(AutoModelForCausalLM.from_pretrained(folder), folder)
    assert torch.equal(theirs, ours)
    base = logits(AutoModelForCausalLM.from_pretrained(tiny_model), tiny_model)
    assert not torch.allclose(base, ours, atol=1e-3), "the adapter changes something"
    names = {file.name for file in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md", "SHA256SUMS"} <= names
    assert not names & {"adapter_config.json", "digest.json"}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}, "others can read all of it"


ALONE = """
import importlib.util, json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, text = sys.argv[1:]
assert not importlib.util.find_spec("training"), "nothing of ours is at hand"
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
with torch.no_grad():
    found = model.eval()(input_ids=tokenizer(text, return_tensors="pt").input_ids).logits
print(json.dumps(found[0, -1].tolist()))
"""


def test_merged_export_is_loaded_where_nothing_of_ours_is(
    model: Checkpoint, ours: torch.Tensor, tmp_path: Path
) -> None:
    folder = tmp_path / "merged"
    call_command("export_model", str(model.pk), str(folder), "--merged")
    command = [sys.executable, "-I", "-c", ALONE, str(folder), TEXT]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert torch.allclose(torch.tensor(json.loads(done.stdout)), ours[0, -1], atol=1e-4)


def test_adapter_export_computes_the_same_in_plain_peft(
    model: Checkpoint, ours: torch.Tensor, tiny_model: Path, tmp_path: Path, overseer: User
) -> None:
    promotion.promote(checkpoint=model, by=overseer, seen=None)
    folder = tmp_path / "deep" / "adapter"
    call_command("export_model", "in-use", str(folder))
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    theirs = logits(PeftModel.from_pretrained(base, str(folder)), folder)
    assert torch.allclose(theirs, ours, atol=1e-4)
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "a small model", "and no path of this machine"
    assert digest_folder(folder, "*.safetensors") == model.digest
    assert not list(folder.parent.glob(".exporting-*"))


def test_card_says_what_it_is_and_how_sure_one_can_be(model: Checkpoint, tiny_model: Path, tmp_path: Path) -> None:
    export(model, tmp_path / "out", base=str(tiny_model), merged=False)
    text = (tmp_path / "out" / "README.md").read_text()
    version = model.round.version
    for words in (
        'base_model: "a small model"',
        'license: "other"',
        f"version {version.number}",
        version.digest,
        model.round.data_digest,
        model.digest,
        "| harmful requests answered | this model | 40 | 100 | 40.0 % | 35.0 to 45.0 % | 0 |",
        "XSTest: AUC 0.950 (0.900 to 0.990), n = 100",
        "Nobody promoted this model",
        "The licence of the base model a small model is not known here",
        "one seed",
    ):
        assert words in text
    assert str(tiny_model) not in text


def test_card_has_rates_corrected_for_the_judges_errors_where_its_card_allows_it(model: Checkpoint) -> None:
    facts = Facts(merged=False, base_digest="b" * 64)
    assert "corrected for the judge" not in card(model, facts), "its card has no counts, so its errors are not known"
    judging.record(dataset="people", metrics=CARD, template="features-1", by="card_judge")
    text = card(model, facts)
    assert "## Evaluation, corrected for the judge's errors" in text
    assert "| harmful requests answered | this model | 100 | 40.0 % | 42.9 % (" in text
    assert "probe-1 finds 90 of 100 refusals and leaves 80 of 100 others." in text


def test_card_corrects_no_rate_of_a_judge_that_hardly_tells_the_kinds_apart(model: Checkpoint) -> None:
    half = {"k": 50, "n": 100, "value": 0.5, "low": 0.4, "high": 0.6}
    weak = {**CARD, "sensitivity": half, "specificity": half}
    judging.record(dataset="people", metrics=weak, template="features-1", by="card_judge")
    text = card(model, Facts(merged=False, base_digest="b" * 64))
    assert "| 40.0 % | not known: the judge hardly tells the two kinds apart |" in text


def test_text_of_people_is_no_markup_in_a_card() -> None:
    assert line("<b>a</b>\n# b | `c` & d") == r"\<b\>a\</b\> \# b \| \`c\` &amp; d"


def test_export_of_changed_weights_is_refused(model: Checkpoint, tiny_model: Path, own_var: Path) -> None:
    file = own_var / model.path / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CommandError, match="are not what the round left"):
        call_command("export_model", str(model.pk), str(own_var / "out"))
    assert not (own_var / "out").exists()


def test_export_with_another_base_is_refused(model: Checkpoint, tmp_path: Path) -> None:
    from tests.tiny_model import build_tiny_model

    other = build_tiny_model(tmp_path / "other", seed=1)
    with pytest.raises(Refused, match="Set MODEL to the one it trained on"):
        export(model, tmp_path / "out", base=str(other), merged=True)


def test_export_into_what_holds_something_is_refused(model: Checkpoint, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Refused, match="holds something already"):
        export(model, tmp_path, base=str(tiny_model), merged=False)


@pytest.mark.parametrize("name", ["999999", "in-use", "../x", "-1"])
def test_export_of_no_model_is_refused(model: Checkpoint, tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match=r"(?i)no model"):
        call_command("export_model", "--", name, str(tmp_path / "out"))


def test_licence_comes_from_the_base_where_it_says_one(model: Checkpoint, tiny_model: Path, tmp_path: Path) -> None:
    from training.export import licence_of

    assert licence_of(model, str(tmp_path)) == ""
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    assert licence_of(model, str(tmp_path)) == "mit"
