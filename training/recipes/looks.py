"""The constitutional checkpoint: during training, compare the model with its frozen reference, and pause if it leans
away from the constitution.

It measures the refusal margin (how much likelier a refusal's opening is than an answer's) on prompts that nothing
trains on, and tells each prompt's margin, so that a person can see which of them moved. The gate is one-sided and about
size: the harmful prompts' margin may fall by what ordinary benign training costs, and a half more. A difference at step
0, where both models are the same, is a bug and stops the round.
"""

from statistics import fmean
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.engine.generate import chat, generate
from training.engine.model import LanguageModel
from training.engine.score import refusal_margin
from training.recipes.files import Row, read_json, write_json
from training.recipes.plan import LooksConfig, Plan
from training.recipes.run import Run, State, acknowledged_looks

SAME = 1e-3
EVIDENCE = 4
EVIDENCE_TOKENS = 40
DIGITS = 4


class NotTheSameError(RuntimeError):
    """The model differs from its reference before any training: what is measured is not what is trained."""


def described(plan: Plan) -> list[Row]:
    """Each prompt of the looks; its text stands in the plan, and `tier` is None where no clause settles it."""
    tiers = {clause.principle: clause.tier for clause in plan.clauses}
    names = ("id", "label", "principle")
    return [
        {**{name: getattr(prompt, name) for name in names}, "tier": tiers.get(prompt.principle)}
        for prompt in plan.looks
    ]


def changes(margins: list[float], reference: list[float]) -> list[float]:
    """By how much each prompt's margin lies above that of the reference."""
    return [now - before for now, before in zip(margins, reference, strict=True)]


def verdict(value: float, *, warned_before: bool, limits: LooksConfig) -> tuple[State, str]:
    """State of one look at the harmful prompts, and why to pause (empty: go on)."""
    if value < limits.low:
        return "fail", (
            f"On harmful prompts the refusal margin fell by {-value:.2f} nats against the frozen reference; "
            f"at most {-limits.low:.2f} are allowed."
        )
    if value >= limits.warn:
        return "ok", ""
    if not warned_before:
        return "warn", ""
    return "warn", (
        f"Twice in a row the refusal margin on harmful prompts was more than {-limits.warn:.2f} nats below the "
        f"frozen reference, now by {-value:.2f}."
    )


class ConstitutionalCheckpoint(TrainerCallback):  # type: ignore[misc]
    """Looks at fixed steps, counted over SFT and DPO, and once more at the end of each stage.

    `model` is the PEFT model under training; with its adapters disabled it is the frozen reference.
    """

    def __init__(self, run: Run, model: Any, lm: LanguageModel, *, steps_before: int) -> None:
        self.run = run
        self.model = model
        self.lm = LanguageModel(model, lm.tokenizer, lm.device, f"{lm.digest}+training")
        self.steps_before = steps_before
        self.has_paused = False
        self.limits = run.plan.stages.looks
        self.prompts = run.plan.looks
        self.path = run.root / "looks.json"

    def on_train_begin(
        self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_kw: Any
    ) -> None:
        """Measure the reference once a round, and the untouched model against it."""
        if self.path.exists():
            return
        with self.model.disable_adapter():
            reference = self._margins()
        margins = self._margins()
        if max(abs(value) for value in changes(margins, reference)) > SAME:
            raise NotTheSameError("The untrained model differs from its reference; nothing it shows can be trusted.")
        write_json(self.path, {"reference": reference, "prompts": described(self.run.plan), "looks": []})
        self._tell(0, margins, reference, "ok")

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kw: Any) -> None:
        step = self.steps_before + state.global_step
        if step in self.limits.steps or state.global_step == state.max_steps:
            self.look(step)
        if self.has_paused:
            control.should_save = control.should_training_stop = True

    def look(self, step: int) -> None:
        """Measure, tell, remember; write RUN/pause.json if this look trips and nobody has acknowledged it."""
        record = read_json(self.path)
        reference, margins = record["reference"], self._margins()
        differences = changes(margins, reference)
        value = self._mean(differences, "harmful")
        earlier = [look for look in record["looks"] if look["step"] < step]
        warned = bool(earlier) and earlier[-1]["state"] == "warn"
        state, why = verdict(value, warned_before=warned, limits=self.limits)
        self._tell(step, margins, reference, state)
        found = {"step": step, "value": value, "state": state, "margins": margins}
        write_json(self.path, {**record, "looks": [*earlier, found]})
        if why and step not in acknowledged_looks(self.run.root):
            self._pause(step, why, differences)

    def _pause(self, step: int, why: str, differences: list[float]) -> None:
        # Written before the trainer saves: a kill in between leaves a paused round, never a lost pause.
        pause = {"stage": self.run.stage, "step": step, "reason": why, "evidence": self._evidence(differences)}
        write_json(self.run.root / "pause.json", pause)
        self.has_paused = True

    def _evidence(self, differences: list[float]) -> list[Row]:
        """What reference and model answer to the harmful prompts that moved most."""
        ranked = sorted(zip(differences, self.prompts, strict=True), key=lambda pair: pair[0])
        worst = [prompt.prompt for _, prompt in ranked if prompt.label == "harmful"][:EVIDENCE]
        with self.model.disable_adapter():
            before = self._answers(worst)
        after = self._answers(worst)
        return [
            {"prompt": prompt, "before": was, "after": now}
            for prompt, was, now in zip(worst, before, after, strict=True)
        ]

    def _answers(self, prompts: list[str]) -> list[str]:
        return generate(self.lm, [chat(self.lm, prompt) for prompt in prompts], max_new_tokens=EVIDENCE_TOKENS)

    def _margins(self) -> list[float]:
        return refusal_margin(self.lm, [chat(self.lm, prompt.prompt) for prompt in self.prompts])

    def _mean(self, differences: list[float], group: str) -> float:
        return fmean(d for d, prompt in zip(differences, self.prompts, strict=True) if prompt.label == group)

    def _tell(self, step: int, margins: list[float], reference: list[float], state: State) -> None:
        rows = [
            {**prompt, "before": round(before, DIGITS), "now": round(now, DIGITS)}
            for prompt, before, now in zip(described(self.run.plan), reference, margins, strict=True)
        ]
        differences = changes(margins, reference)
        for group in ("harmful", "benign"):
            gates = group == "harmful"
            self.run.look(
                step=step,
                group=group,
                value=self._mean(differences, group),
                low=self.limits.low if gates else None,
                state=state if gates else "ok",
                detail={"prompts": [row for row in rows if row["label"] == group]},
            )
