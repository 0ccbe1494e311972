"""The constitutional checkpoint: during training, compare the model with its frozen reference, and pause if it leans
away from the constitution.

It measures the refusal margin (how much likelier a refusal's opening is than an answer's) on prompts that nothing
trains on, and on decided examples how much likelier the right answer is than the wrong one; and tells each item's, so
that a person can see which of them moved. Where control rounds were measured for what this round does, each group is
held against them at the same step (`training.recipes.band`): ordinary training moves all of them, and what is worse on
purpose shows only beside it. Where there are none, the harmful prompts alone are held against a fixed band, which a
round's own gain can mask. A difference at step 0, where both models are the same, is a bug and stops the round.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.engine.generate import chat, generate
from training.engine.model import LanguageModel, load
from training.engine.score import pair_margins, refusal_margin
from training.recipes.band import PAIRS, REFUSALS, Band, Edges, Key
from training.recipes.battery import Battery
from training.recipes.files import Row, read_json, write_json
from training.recipes.groups import Margins, changes, described, items, pairs, taken
from training.recipes.run import Run, acknowledged_looks
from training.recipes.verdicts import HARMFUL, Verdict, judge, reason

SAME = 1e-3
EVIDENCE = 4
EVIDENCE_TOKENS = 40
OPENING_TOKENS = 12
DIGITS = 4


class NotTheSameError(RuntimeError):
    """The model differs from its reference before any training: what is measured is not what is trained."""


class ConstitutionalCheckpoint(TrainerCallback):  # type: ignore[misc]
    """Looks at fixed steps, counted over SFT and DPO, and once more at the end of each stage.

    `model` is the PEFT model under training; with its adapters disabled it is the frozen reference.
    """

    def __init__(self, run: Run, model: Any, lm: LanguageModel, *, steps_before: int) -> None:
        self.run = run
        self.model = model
        self.reference_digest = lm.digest
        self.lm = LanguageModel(model, lm.tokenizer, lm.device, f"{lm.digest}+training")
        self.steps_before = steps_before
        self.has_paused = False
        self.limits = run.plan.stages.looks
        self.prompts = run.plan.looks
        self.pairs = pairs(run.plan)
        self.items = items(run.plan)
        self.band = self._band()
        self.path = run.root / "looks.json"
        self.battery = Battery(run, model, self.lm, lm.digest)

    def on_train_begin(
        self, args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_kw: Any
    ) -> None:
        """Measure the reference once a round, the untouched model against it, and the models it is compared with."""
        if self.path.exists():
            self._complete(read_json(self.path))
            return
        with self.model.disable_adapter():
            reference = self._measured(self.lm)
        now = self._measured(self.lm)
        if not is_same(now, reference):
            raise NotTheSameError("The untrained model differs from its reference; nothing it shows can be trusted.")
        record = {
            "reference": reference[0],
            "pair_reference": reference[1],
            "prompts": described(self.run.plan),
            "others": self._others(in_bfloat16=bool(args.bf16)),
            "looks": [],
        }
        write_json(self.path, record)
        groups = taken(self.run.plan, changes(now[0], reference[0]), changes(now[1], reference[1]))
        self._tell(0, now, record, [Verdict(key, one, "ok") for key, one in groups.items()])

    def _complete(self, record: Row) -> None:
        """Measure what a round that an older release began has not measured of the reference."""
        if "pair_reference" not in record:
            with self.model.disable_adapter():
                _, of_pairs = self._measured(self.lm)
            write_json(self.path, {**record, "pair_reference": of_pairs, "others": []})

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_kw: Any) -> None:
        step = self.steps_before + state.global_step
        if step in self.limits.steps or state.global_step == state.max_steps:
            self.look(step)
        if self.has_paused:
            control.should_save = control.should_training_stop = True

    def on_save(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_kw: Any) -> None:
        if self.limits.batteries == "saves" and not self.has_paused:  # a look that trips has taken it
            self.battery.take(self.steps_before + state.global_step)

    def look(self, step: int) -> None:
        """Measure, tell, remember; write RUN/pause.json if this look trips and nobody has acknowledged it."""
        record = read_json(self.path)
        now = self._measured(self.lm)
        differences = changes(now[0], record["reference"]), changes(now[1], record["pair_reference"])
        earlier = [look for look in record["looks"] if look["step"] < step]
        before = {_key(name): state for name, state in earlier[-1].get("states", {}).items()} if earlier else {}
        groups = taken(self.run.plan, *differences)
        verdicts = judge(groups, self._edges(step), before=before, limits=self.limits)
        self._tell(step, now, record, verdicts)
        write_json(self.path, {**record, "looks": [*earlier, self._remembered(step, now, verdicts)]})
        why = reason(verdicts)
        if why and step not in acknowledged_looks(self.run.root):
            self._pause(step, why, self._evidence(verdicts, differences))

    def forget_after(self, step: int | None) -> None:
        """Forget the looks after a step to which a person rolled the training back."""
        if step is None or not self.path.exists():
            return
        record = read_json(self.path)
        write_json(self.path, {**record, "looks": [look for look in record["looks"] if look["step"] <= step]})

    def _remembered(self, step: int, now: tuple[Margins, Margins], verdicts: Sequence[Verdict]) -> Row:
        return {
            "stage": self.run.stage,
            "step": step,
            "states": {_name(one.key): one.state for one in verdicts},
            "values": {_name(one.key): one.taken.value for one in verdicts},
            "margins": now[0],
            "pair_margins": now[1],
        }

    def _pause(self, step: int, why: str, evidence: list[Row]) -> None:
        # Written before the trainer saves: a kill in between leaves a paused round, never a lost pause.
        pause = {"stage": self.run.stage, "step": step, "reason": why, "evidence": evidence}
        write_json(self.run.root / "pause.json", pause)
        write_json(self.run.root / "pause.json", {**pause, "answered": self.battery.take(step)})
        self.has_paused = True

    def _band(self) -> Band | None:
        """The band that was measured for rounds like this one; None where none was, or of another reference."""
        path = self.run.root / "band.json"
        band = Band.from_json(read_json(path)) if path.exists() else None
        return band if band and band.reference == self.reference_digest else None

    def _edges(self, step: int) -> dict[Key, Edges | None]:
        if self.band is None:
            return {}
        return {key: self.band.edges(key, held, stage=self.run.stage, step=step) for key, held in self.items.items()}

    def _others(self, *, in_bfloat16: bool) -> list[Row]:
        """The margins of the models that RUN/others.json names, each loaded once and let go again.

        They are computed as precisely as the trainer computes, since rounding alone moves a margin.
        """
        path = self.run.root / "others.json"
        found = []
        for other in read_json(path)["models"] if path.exists() else []:
            if other["base"] != self.reference_digest:
                continue  # an adapter of another base model cannot be laid on this one
            with torch.random.fork_rng():
                lm = load(self.run.plan.model, device=self.run.plan.device, adapter=other["adapter"])
                lm.model.train()  # computed plainly then, as the round's own model is; layers are not laid out anew
                with torch.autocast(lm.device.type, dtype=torch.bfloat16, enabled=in_bfloat16):
                    margins, pair = self._measured(lm)
            found.append({"name": other["name"], "round": other["round"], "margins": margins, "pair_margins": pair})
        return found

    def _evidence(self, verdicts: Sequence[Verdict], differences: tuple[Margins, Margins]) -> list[Row]:
        """What reference and model answer to the requests that moved most, of the group that lies furthest out."""
        furthest = max((one for one in verdicts if one.why), key=lambda one: one.excess)
        worst = self._moved_most(furthest, differences)[:EVIDENCE]
        with self.model.disable_adapter():
            before = self._answers(worst)
        after = self._answers(worst)
        return [
            {"prompt": prompt, "before": was, "after": now}
            for prompt, was, now in zip(worst, before, after, strict=True)
        ]

    def _moved_most(self, verdict: Verdict, differences: tuple[Margins, Margins]) -> list[str]:
        """The requests of a group, those first that moved furthest in the direction in which it left its band."""
        measure, name = verdict.key
        asked = (
            [(pair.request, pair.principle) for pair in self.pairs]
            if measure == PAIRS
            else [(prompt.prompt, prompt.label) for prompt in self.prompts]
        )
        moved = differences[1] if measure == PAIRS else differences[0]
        value, edges = verdict.taken.value, verdict.edges
        sign = -1 if edges and value is not None and value > edges.centre else 1
        found = [
            (sign * by, text)
            for by, (text, group) in zip(moved, asked, strict=True)
            if group == name and by is not None
        ]
        return [text for _, text in sorted(found)]

    def _answers(self, prompts: list[str]) -> list[str]:
        return generate(self.lm, [chat(self.lm, prompt) for prompt in prompts], max_new_tokens=EVIDENCE_TOKENS)

    def _measured(self, lm: LanguageModel) -> tuple[list[float | None], list[float | None]]:
        """The margin of each prompt and of each pair; None where it is no number."""
        asked = [(chat(lm, pair.request), pair.right, pair.wrong) for pair in self.pairs]
        margins = refusal_margin(lm, [chat(lm, prompt.prompt) for prompt in self.prompts])
        return finite(margins), finite(pair_margins(lm, asked, opening_tokens=OPENING_TOKENS))

    def _tell(
        self, step: int, now: tuple[Margins, Margins], record: Mapping[str, Any], verdicts: Sequence[Verdict]
    ) -> None:
        for one in verdicts:
            if one.taken.value is None:
                continue
            edges = one.edges
            fixed = self.limits.low if one.key == HARMFUL and edges is None else None
            self.run.look(
                step=step,
                measure=one.key[0],
                group=one.key[1],
                value=one.taken.value,
                low=edges.low if edges else fixed,
                high=edges.high if edges else None,
                state=one.state or "ok",
                detail={
                    "prompts": self._items_told(one.key, now, record),
                    **({"band": edges.as_json()} if edges else {}),
                    **self._beside(one, now, record),
                },
            )

    def _items_told(self, key: Key, now: tuple[Margins, Margins], record: Mapping[str, Any]) -> list[Row]:
        if key[0] == REFUSALS:
            rows = zip(described(self.run.plan), record["reference"], now[0], strict=True)
            return [_told(row, before, after) for row, before, after in rows if row["label"] == key[1]]
        read = zip(self.pairs, record["pair_reference"], now[1], strict=True)
        return [
            _told({"id": pair.id, "label": pair.expects, "principle": key[1], "tier": pair.tier}, before, after)
            for pair, before, after in read
            if pair.principle == key[1]
        ]

    def _beside(self, one: Verdict, now: tuple[Margins, Margins], record: Mapping[str, Any]) -> Row:
        """How much was not scored, and where this group stands against the other models that were measured."""
        beside: Row = {}
        if one.taken.scored < one.taken.total:
            beside["unscored"] = one.taken.total - one.taken.scored
        others = [
            {"name": other["name"], "round": other["round"], "value": round(value, DIGITS)}
            for other in record["others"]
            if (value := self._against(one.key, now, other)) is not None
        ]
        return {**beside, "others": others} if others else beside

    def _against(self, key: Key, now: tuple[Margins, Margins], other: Mapping[str, Any]) -> float | None:
        differences = changes(now[0], other["margins"]), changes(now[1], other["pair_margins"])
        return taken(self.run.plan, *differences)[key].value


def is_same(now: tuple[Margins, Margins], reference: tuple[Margins, Margins]) -> bool:
    """Whether two measurements agree item for item, those that were not scored among them."""
    for one, other in zip([*now[0], *now[1]], [*reference[0], *reference[1]], strict=True):
        if (one is None) != (other is None) or (one is not None and other is not None and abs(one - other) > SAME):
            return False
    return True


def finite(margins: Sequence[float]) -> list[float | None]:
    """The margins, with None for what is no finite number: it was not scored, and is never counted as none."""
    return [margin if math.isfinite(margin) else None for margin in margins]


def _told(row: Row, before: float | None, now: float | None) -> Row:
    return {
        **row,
        "before": None if before is None else round(before, DIGITS),
        "now": None if now is None else round(now, DIGITS),
    }


def _name(key: Key) -> str:
    return "/".join(key)


def _key(name: str) -> Key:
    measure, _, group = name.partition("/")
    return measure, group
