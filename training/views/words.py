"""Rounds, stages and measures as people read them."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import F
from django.db.models.fields.json import KT

from training.models import Round
from training.recipes.plan import STAGES
from training.states import ABORTED, DONE, FAILED, PAUSED, QUEUED, RUNNING

# The word of a state on a page, which is also its class there, and its label.
STATES = {
    QUEUED: ("planned", "Planned"),
    RUNNING: ("running", "Training"),
    PAUSED: ("paused", "Paused"),
    DONE: ("finished", "Finished"),
    FAILED: ("failed", "Failed"),
    ABORTED: ("aborted", "Aborted"),
}
STAGE_LABELS = {
    "generate": "Answers without the constitution",
    "revise": "Answers under the constitution",
    "label": "Preferences",
    "sft": "Fine-tuning (SFT)",
    "dpo": "Preferences (DPO)",
    "evaluate": "Evaluation",
}
MEASURE_LABELS = {
    "harmful_answered": "Harmful requests answered",
    "benign_refused": "Harmless requests declined",
}


# What `trained_as` takes, for lists that leave the plan where it is.
SETTINGS = {"preset": KT("plan__preset"), "overrides": F("plan__overrides")}


def trained_as(preset: str | None, overrides: Sequence[object] | None) -> str:
    """By which settings a round trains: “preset cpu, 2 settings otherwise”; empty where its plan does not say."""
    if not preset:
        return ""
    count = len(overrides or ())
    return f"preset {preset}" + (f", {count} setting{'' if count == 1 else 's'} otherwise" if count else "")


def rolled_back(pause: Mapping[str, Any] | None) -> str:
    """What became of a pause that somebody rolled back; empty where none was."""
    if not pause or "back_to" not in pause:
        return ""
    return f"{STAGE_LABELS[pause['stage']]} ended at step {pause['back_to']}, as it had paused at step {pause['step']}."


def position(round_: Round) -> str:
    """Where a round is: “Fine-tuning (SFT), step 12 of 50”; empty before it has started."""
    if not round_.stage:
        return ""
    label = STAGE_LABELS[round_.stage]
    return f"{label}, step {round_.step:,} of {round_.total:,}" if round_.total else label


def percent(round_: Round) -> int | None:
    """How much of a round is behind it, each stage counting the same; None where it is over or not begun."""
    if not round_.stage or round_.state not in (RUNNING, PAUSED):
        return None
    share = round_.step / round_.total if round_.total else 0.0
    return int(100 * (STAGES.index(round_.stage) + min(share, 1.0)) / len(STAGES))


def sentence(round_: Round) -> str:
    """What is happening, or what became of it."""
    where = position(round_)
    again = f" It was taken up again {round_.attempt - 1} times." if round_.attempt > 1 else ""
    return {
        QUEUED: "It starts as soon as a gpu worker is free.",
        RUNNING: f"{where or 'It is starting'}.{again}",
        PAUSED: "It strayed from its reference and waits for an overseer.",
        DONE: f"It is trained and measured.{again}",
        FAILED: f"It stopped with an error: {_last_line(round_.error)} An operator can try it again below.",
        ABORTED: f"{round_.decided_by} aborted it: {round_.note}",
    }[round_.state]


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason is known."])[-1][:300]
