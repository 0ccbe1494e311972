"""What a round left in its run directory, as rows that wait to be saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from training import data_cards
from training.actions import Outcome
from training.models import Arm, Checkpoint, Evaluation, Round, Transcript
from training.recipes.files import digest_file, digest_folder, read_json, read_rows
from training.recipes.plan import STAGES

# The counts of a stage's done.json that say how many rows went on from it.
KEPT: Mapping[str, tuple[str, ...]] = {
    "generate": ("rows",),
    "revise": ("harmful_accepted", "benign_accepted"),
    "label": ("labelled", "decided", "edited"),
    "sft": ("rows",),
    "dpo": ("pairs",),
}
ADAPTER_CONFIG = "adapter_config.json"
SEVERAL = "several"


class BadOutcome(Exception):
    """The run directory does not hold what a finished round must leave; the text says what is missing."""


def read(round_: Round, folder: Path) -> Outcome:
    """Everything that a finished round brought. Raises BadOutcome where it measured nothing."""
    result = read_json(folder / "evaluate" / "result.json")
    evaluations = [_evaluation(round_, result, row) for row in result["measures"]]
    if {row.arm for row in evaluations} != set(Arm.values):
        raise BadOutcome("The evaluation compares nothing: it needs both the reference and the trained model.")
    if empty := [row.measure for row in evaluations if not row.n]:
        raise BadOutcome(f"The evaluation scored no response at all for {', '.join(sorted(set(empty)))}.")
    return Outcome(
        result={**result, "device": _device(folder), "seconds": _seconds(folder)},
        data_card=_data_card(folder),
        evaluations=evaluations,
        transcripts=[_transcript(round_, row) for row in read_rows(folder / "evaluate" / "responses.jsonl")],
        checkpoint=_checkpoint(round_, folder, folder / result["checkpoint"]),
    )


def _evaluation(round_: Round, result: Mapping[str, Any], row: Mapping[str, Any]) -> Evaluation:
    names = ("measure", "arm", "k", "n", "unscored", "low", "high")
    return Evaluation(round=round_, judge=result["judge"], seed=result["seed"], **{name: row[name] for name in names})


def _transcript(round_: Round, row: Mapping[str, Any]) -> Transcript:
    names = ("label", "prompt", "reference", "trained", "reference_refuses", "trained_refuses")
    return Transcript(round=round_, key=row["id"], **{name: row[name] for name in names})


def _checkpoint(round_: Round, folder: Path, weights: Path) -> Checkpoint:
    if not weights.resolve().is_relative_to(Path(settings.VAR).resolve()):
        raise BadOutcome("The checkpoint lies outside the folder that Ratify keeps its files in.")
    return Checkpoint(
        round=round_,
        path=str(weights.relative_to(settings.VAR)),
        digest=digest_folder(weights, "*.safetensors"),
        config_digest=digest_file(weights / ADAPTER_CONFIG),
        base_digest=read_json(folder / "generate" / "done.json")["reference"],
        code=_code(folder),
        size=sum(file.stat().st_size for file in weights.glob("*.safetensors")),
    )


def _code(folder: Path) -> str:
    """The digest of the source that made it; `several` where that changed while the round was stopped."""
    found = {read_json(folder / stage / "done.json").get("code", "") for stage in STAGES}
    return found.pop() if len(found) == 1 else SEVERAL


def _device(folder: Path) -> str:
    """The device that the round asked for."""
    return str(read_json(folder / "plan.json")["device"])


def _seconds(folder: Path) -> dict[str, float]:
    """How long each stage took."""
    return {stage: read_json(folder / stage / "done.json")["seconds"] for stage in STAGES}


def _data_card(folder: Path) -> list[dict[str, Any]]:
    """What each stage kept and dropped, of which rows, and how long it took."""
    rows = data_cards.read(folder)
    return [_stage_card(stage, read_json(folder / stage / "done.json"), rows[stage]) for stage in KEPT]


def _stage_card(stage: str, done: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "stage": stage,
        "kept": sum(done.get(name, 0) for name in KEPT[stage]),
        "dropped": done.get("dropped", {}),
        "seconds": done["seconds"],
        "rows": rows,
    }
