"""Control rounds of a round's plan, what is kept of them, and what the next round is given."""

import dataclasses
import importlib
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from amendments.models import Scenario
from constitution.models import LedgerEntry, User, Version
from tests.training.finished import make_model
from training import bands, beginning, coordinator, plans, promotion, room, tasks
from training.management.commands import measure_band
from training.models import Round
from training.recipes.band import Band, Reading, fit
from training.recipes.files import digest_folder, read_json, write_json
from training.recipes.groups import items
from training.recipes.plan import Plan
from training.recipes.run import conduct
from training.recipes.settings import preset

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_var", "one_thread")]


def plan_of(round_: Round, model: Path | str) -> Plan:
    return plans.start(round_.plan, round_pk=round_.pk, model=str(model))


def some_band(plan: Plan, moved: float = 0.0) -> Band:
    keys = items(plan)
    controls = [[Reading("sft", 2, dict.fromkeys(keys, moved + seed / 10))] for seed in range(3)]
    return fit(controls, settings=bands.settings_of(plan), reference="r", seeds=[1, 2, 3], items=keys)


def test_kept_bands_are_numbered_and_the_newest_counts(queued_round: Round) -> None:
    plan = plan_of(queued_round, "model")
    assert bands.newest(plan) is None
    first, second = bands.store(plan, some_band(plan)), bands.store(plan, some_band(plan, 1.0))
    assert (first.name, second.name) == ("0001.json", "0002.json")
    assert bands.newest(plan) == some_band(plan, 1.0)
    entry = LedgerEntry.objects.filter(action="band measured").latest("number")
    assert entry.subject == f"band:{read_json(second)['digest']}"
    write_json(second, {**read_json(second), "seeds": [9, 9, 9]})
    assert bands.newest(plan) is None, "a changed file is not used, and the one before it is not taken for the newest"


def test_band_holds_for_rounds_that_train_alike(queued_round: Round) -> None:
    plan = plan_of(queued_round, "model")
    bands.store(plan, some_band(plan))
    other = Plan.from_json({**plan.as_json(), "seed": 5, "version": 9})
    assert bands.newest(other) is not None
    quick = Plan.from_json({**plan.as_json(), "stages": Plan.from_json(plan.as_json()).as_json()["stages"]})
    assert bands.settings_of(quick) == bands.settings_of(plan)
    assert bands.settings_of(plan) != bands.settings_of(
        Plan(**{**{name: getattr(plan, name) for name in plan.__dataclass_fields__}, "stages": preset("cpu")})
    )


def test_round_is_given_its_band_and_the_model_in_use(
    queued_round: Round, second_version: object, overseer: User, tmp_path: Path
) -> None:
    plan = plan_of(queued_round, "model")
    bands.give(tmp_path, plan)
    assert list(tmp_path.iterdir()) == []
    bands.store(plan, some_band(plan))
    bands.give(tmp_path, plan)
    assert Band.from_json(read_json(tmp_path / "band.json")) == some_band(plan)
    assert not (tmp_path / "others.json").exists()


def test_model_in_use_is_compared_with_while_its_weights_are_what_they_were(
    second_version: object, overseer: User, scenarios: object
) -> None:
    assert bands.last_promoted() is None
    made = make_model(second_version)  # type: ignore[arg-type]
    promotion.promote(checkpoint=made, by=overseer, seen=None, note="Good.", override=True)
    found = bands.last_promoted()
    assert found is not None
    assert (found["round"], found["base"]) == (made.round_id, made.base_digest)
    weights = Path(str(found["adapter"]))
    assert digest_folder(weights, "*.safetensors") == made.digest
    (weights / "adapter_model.safetensors").write_text("other weights")
    assert bands.last_promoted() is None


def in_this_process(stage: str, folder: Path) -> None:
    """A stage as it is, without the seconds that a process of its own takes to start."""
    assert conduct(stage, importlib.import_module(f"training.recipes.{stage}").work, [str(folder)]) == 0


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")
@pytest.mark.timeout(300)
def test_control_rounds_are_trained_and_kept(
    own_var: Path, queued_round: Round, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "model_folder", lambda: str(tiny_model))
    monkeypatch.setattr(bands, "_run", in_this_process)
    said = StringIO()
    call_command("measure_band", controls=3, stdout=said)
    text = said.getvalue()
    assert "3 control rounds" in text
    assert "refusal_margin harmful" in text
    band = bands.newest(plan_of(queued_round, tiny_model))
    assert band is not None
    assert band.seeds == (1, 2, 3)
    assert {point.stage for point in band.points["refusal_margin", "harmful"]} == {"sft", "dpo"}
    assert any(measure == "decided_pairs" for measure, _ in band.points)
    folder = next((path for path in (own_var / "bands").glob("*/controls-*/1")), None)
    assert folder is not None
    assert not (folder / "sft" / "adapter").exists(), "what is large goes"
    (folder / "sft" / "adapter").mkdir()  # as after a kill between its end and this
    again = StringIO()
    call_command("measure_band", controls=3, stdout=again)
    assert "0002.json" in again.getvalue()
    assert bands.newest(plan_of(queued_round, tiny_model)) == band, "nothing is trained twice"
    assert not (folder / "sft" / "adapter").exists()


def test_what_is_measured_is_the_usual_round_of_the_version_in_force_or_a_named_one(
    own_var: Path,
    second_version: Version,
    scenarios: list[Scenario],
    operator: User,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "model_folder", lambda: str(tiny_model))
    made = beginning.begin(
        version=second_version, preset="tiny", changes={"dpo.learning_rate": 1e-4}, note="A lower rate.", by=operator
    )
    usual, named = measure_band._plan(None), measure_band._plan(made.pk)
    assert (usual.version, usual.overrides, usual.model) == (2, (), str(tiny_model))
    assert [change.setting for change in named.overrides] == ["dpo.learning_rate"]
    assert bands.settings_of(usual) != bands.settings_of(named)


def test_first_default_round_of_an_installation_is_held_against_control_rounds(db: None) -> None:
    call_command("seed", verbosity=0)
    head = Version.objects.head()
    assert head is not None
    plan = coordinator.plan_for(head, preset="cpu")
    band = bands.newest(plan)
    assert band is not None, "the settings of cpu.yaml are not those that cpu.band.json was measured with: measure it"
    assert dict(band.items) == items(plan), "what the looks read is not what it was measured on: measure it again"
    assert len(band.seeds) >= 5


def test_band_beside_the_presets_holds_until_one_is_measured_here(
    queued_round: Round, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, shipped = plan_of(queued_round, "model"), tmp_path / "presets"
    shipped.mkdir()
    monkeypatch.setattr(bands, "SHIPPED", shipped)
    strange = dataclasses.replace(some_band(plan), settings="those of another preset")
    write_json(shipped / "a.band.json", strange.as_json())
    assert bands.newest(plan) is None
    write_json(shipped / "b.band.json", some_band(plan).as_json())
    assert bands.newest(plan) == some_band(plan)
    bands.store(plan, some_band(plan, 1.0))
    assert bands.newest(plan) == some_band(plan, 1.0)


def test_measuring_is_refused_in_sentences(own_var: Path, queued_round: Round) -> None:
    with pytest.raises(CommandError, match="at least 3"):
        call_command("measure_band", controls=2)
    with pytest.raises(CommandError, match="There is no round"):
        call_command("measure_band", round=queued_round.pk + 1)
    with room.device() as is_ours:
        assert is_ours
        with pytest.raises(CommandError, match="has the device"):
            call_command("measure_band")
