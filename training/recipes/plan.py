"""What a round will do, frozen before it starts: texts, prompts, seeds and every setting of every stage.

No torch here: the web process builds plans with these classes, and the stages read them back.
"""

import dataclasses
import math
import re
import typing
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from training.recipes.files import read_json, write_json

STAGES = ("generate", "revise", "label", "sft", "dpo", "evaluate")
PRESETS = ("tiny", "quick", "cpu", "one_gpu", "several_gpus")
MOST_EPOCHS = 1000
DECIDED = "decided example"  # the source of such rows in a data card

Label = Literal["harmful", "benign"]
Expectation = Literal["decline", "help", "style"]
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


class PlanError(ValueError):
    """A plan that must not start; the text says what to change."""


def check(condition: bool, sentence: str) -> None:
    """Raise a `PlanError` with `sentence` unless `condition` holds."""
    if not condition:
        raise PlanError(sentence)


def normalise(text: str) -> str:
    """The form in which two prompts count as the same: letters and digits alone, case folded."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))


@dataclass(frozen=True, slots=True)
class Example:
    """A decided example of a clause."""

    request: str
    expects: Expectation
    right: str
    wrong: str

    def __post_init__(self) -> None:
        check(
            self.expects in typing.get_args(Expectation),
            f"An example expects {self.expects!r}, which is unknown.",
        )
        check(bool(self.request.strip()), "An example has no request.")


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of the version that the round trains on."""

    principle: str
    tier: int
    title: str
    text: str
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        check(bool(self.principle), "A clause has no principle.")
        check(self.tier in (1, 2, 3), f"Clause {self.principle} has tier {self.tier}; tiers are 1, 2 and 3.")


@dataclass(frozen=True, slots=True)
class EditedAnswer:
    """A decided example's right answer as people left it, beside the one that a model had drafted for it."""

    amendment: int
    principle: str
    label: Label
    request: str
    chosen: str
    rejected: str

    def __post_init__(self) -> None:
        check(self.chosen != self.rejected, f"Nothing was edited in the answer of proposal {self.amendment}.")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request to the model; `principle` is the one that should settle it."""

    id: str
    prompt: str
    label: Label
    principle: str

    def __post_init__(self) -> None:
        check(
            self.label in typing.get_args(Label),
            f"Prompt {self.id} is labelled {self.label!r}: harmful or benign.",
        )
        check(bool(normalise(self.prompt)), f"Prompt {self.id} is empty.")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that the plan would train on, had they not been near what measures: why, how many, and of which kind.

    A plan that was frozen before their kind was counted does not say it.
    """

    reason: str
    count: int
    principle: str = ""
    label: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class GenerateConfig:
    """Plain answers of the reference, in tokens."""

    max_new_tokens: int = 28
    batch_size: int = 64

    def __post_init__(self) -> None:
        check(self.max_new_tokens > 0 and self.batch_size > 0, "Answers and batches need a positive size.")


@dataclass(frozen=True, slots=True)
class ReviseConfig:
    """Answers under the constitution. `attempts` are tried in turn, the first greedy, the others sampled."""

    max_new_tokens: int = 20
    batch_size: int = 32
    attempts: int = 2
    temperature: float = 0.7

    def __post_init__(self) -> None:
        check(self.max_new_tokens > 0 and self.batch_size > 0, "Revisions and batches need a positive size.")
        check(self.attempts > 0, "A revision needs at least one attempt.")
        check(0 < self.temperature <= 2, "The temperature of later attempts lies above 0 and up to 2.")


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """Preference labels. A pair whose two refusal probabilities are closer than `min_gap` is dropped."""

    min_gap: float = 0.2

    def __post_init__(self) -> None:
        check(0 <= self.min_gap < 1, "The gap between two responses of a pair lies between 0 and 1.")


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """The adapter: low-rank matrices on the linear maps of the upper layers, `depth` of them all.

    What tells a harmful request from a benign one can be read half-way up, and what lies below needs no gradient:
    that saves a third of the time.
    """

    rank: int = 16
    alpha: int = 32
    depth: float = 0.4

    def __post_init__(self) -> None:
        check(self.rank > 0 and self.alpha > 0, "The adapter's rank and alpha must be positive.")
        check(0 < self.depth <= 1, "The adapter's depth is a share of the layers, above 0 and up to 1.")


@dataclass(frozen=True, slots=True)
class SFTConfig:
    """Supervised fine-tuning. A row above `max_length` tokens refuses the round.

    Of a benign answer `opening_tokens` are learnt: enough of them that the model goes on answering fluently. `full`
    trains the linear maps themselves, beside which low-rank matrices are put otherwise; both stages do.
    """

    lora: LoraConfig = LoraConfig()
    full: bool = False
    learning_rate: float = 1e-3
    batch_size: int = 8
    epochs: int = 3
    warmup_steps: int = 5
    max_length: int = 512
    save_every: int = 25
    examples: bool = True
    opening_tokens: int = 24

    def __post_init__(self) -> None:
        check_training(self)
        check(self.opening_tokens > 0, "Benign answers need an opening of at least one token.")


@dataclass(frozen=True, slots=True)
class DPOConfig:
    """Direct preference optimisation against the frozen adapter that SFT ended with.

    Of both sides of a pair, `opening_tokens` are compared. `even`: there are as many pairs of harmful as of benign
    requests, the rarer ones repeated.
    """

    beta: float = 0.1
    sft_weight: float = 0.07
    learning_rate: float = 7e-4
    batch_size: int = 8
    epochs: int = 1
    warmup_steps: int = 5
    max_length: int = 512
    save_every: int = 25
    examples: bool = True
    opening_tokens: int = 3
    even: bool = False  # a plan that was frozen without it trains as it was frozen

    def __post_init__(self) -> None:
        check_training(self)
        check(self.beta > 0, "DPO needs a positive beta.")
        check(self.sft_weight >= 0, "The weight of the likelihood term cannot be negative.")
        check(self.opening_tokens > 0, "DPO needs an opening of at least one token.")


def check_training(config: SFTConfig | DPOConfig) -> None:
    """The settings that SFT and DPO share."""
    check(0 < config.learning_rate < 1, f"A learning rate of {config.learning_rate} cannot train.")
    check(config.batch_size > 0 and config.epochs > 0, "Batches and epochs must be positive.")
    check(config.epochs <= MOST_EPOCHS, f"A round takes at most {MOST_EPOCHS:,} epochs.")
    check(config.max_length > 0 and config.save_every > 0, "max_length and save_every must be positive.")
    check(config.warmup_steps >= 0, "Warm-up steps cannot be negative.")


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """Greedy answers on held-out prompts. Above `max_unscored`, a rate certifies nothing."""

    max_new_tokens: int = 32
    batch_size: int = 32
    max_unscored: float = 0.05

    def __post_init__(self) -> None:
        check(self.max_new_tokens > 0 and self.batch_size > 0, "Answers and batches need a positive size.")
        check(0 <= self.max_unscored < 1, "The share of unscored responses lies between 0 and 1.")


@dataclass(frozen=True, slots=True)
class LooksConfig:
    """The constitutional checkpoint: when it looks, and the band below which the harmful margin may not fall.

    Values are mean differences of the refusal margin to the frozen reference, in nats. Ordinary benign training
    lowers it by 0.65 in 25 steps, which `warn` marks; `low` is one and a half times that.
    """

    steps: tuple[int, ...] = (5, 10, 25, 50, 100, 200, 400, 800)
    warn: float = -0.65
    low: float = -0.98
    # When it also generates and judges answers: where a look trips, or at every save as well.
    batteries: Literal["trips", "saves"] = "trips"

    def __post_init__(self) -> None:
        check(all(step > 0 for step in self.steps), "The checkpoint looks at positive steps.")
        check(list(self.steps) == sorted(set(self.steps)), "The steps of the checkpoint must rise.")
        check(self.low < self.warn < 0, "The checkpoint needs low < warn < 0.")
        check(self.batteries in ("trips", "saves"), "The checkpoint takes its batteries at trips or at saves.")


@dataclass(frozen=True, slots=True)
class Stages:
    """One configuration a stage, that of the constitutional checkpoint, and how many processes train."""

    generate: GenerateConfig = GenerateConfig()
    revise: ReviseConfig = ReviseConfig()
    label: LabelConfig = LabelConfig()
    sft: SFTConfig = SFTConfig()
    dpo: DPOConfig = DPOConfig(even=True)
    evaluate: EvaluateConfig = EvaluateConfig()
    looks: LooksConfig = LooksConfig()
    # That train together, one for each GPU.
    processes: int = 1

    def __post_init__(self) -> None:
        check(self.processes > 0, "At least one process trains.")
        uneven = [config.batch_size for config in (self.sft, self.dpo) if config.batch_size % self.processes]
        check(not uneven, f"A batch of {uneven[:1]} rows cannot be divided among {self.processes} processes.")
        # A generated answer that is learnt to its end would teach the token limit as an ending.
        check(
            self.sft.opening_tokens < self.generate.max_new_tokens,
            "SFT must learn fewer tokens of a benign answer (opening_tokens) than are generated (max_new_tokens).",
        )


@dataclass(frozen=True, slots=True)
class Override:
    """A setting that somebody chose for this round alone: what its preset says, and what holds instead, as JSON."""

    setting: str
    preset: str
    chosen: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a round depends on. Written once as RUN/plan.json and never changed."""

    round: int
    version: int
    version_digest: str
    model: str
    seed: int
    device: Literal["auto", "cpu", "cuda"]
    clauses: tuple[Clause, ...]
    train: tuple[Prompt, ...]
    looks: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]
    stages: Stages = field(default_factory=Stages)
    left_out: tuple[LeftOut, ...] = ()
    edited: tuple[EditedAnswer, ...] = ()
    preset: str = ""  # a plan that was frozen without it does not say
    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        check(bool(self.model), "The plan names no model.")
        check(self.device in ("auto", "cpu", "cuda"), f"The device {self.device!r} is none of auto, cpu, cuda.")
        check_seed(self.seed)
        check(bool(self.clauses), "The plan has no clauses, so there is nothing to train on.")
        check_unique("principle", [clause.principle for clause in self.clauses])
        for name in ("train", "looks", "held_out"):
            check_group(name, getattr(self, name))
        self._check_disjoint()
        self._check_principles()

    def _check_disjoint(self) -> None:
        """Nothing that measures may be seen in training: prompts and decided examples alike."""
        examples = [example.request for clause in self.clauses for example in clause.examples]
        seen = {
            "train": texts(self.train),
            "the decided examples": {normalise(request) for request in examples},
            "looks": texts(self.looks),
            "held_out": texts(self.held_out),
        }
        for one, other in (
            ("train", "looks"),
            ("train", "held_out"),
            ("looks", "held_out"),
            ("the decided examples", "held_out"),
            ("the decided examples", "looks"),
        ):
            shared = sorted(seen[one] & seen[other])
            check(not shared, f"{len(shared)} prompts stand in {one} and in {other}, the first: {shared[:1]}.")

    def _check_principles(self) -> None:
        known = {clause.principle for clause in self.clauses}
        missing = sorted({row.principle for row in self.train} - known)
        check(not missing, f"Training prompts name principles that no clause has: {', '.join(missing)}.")
        decided = {(c.principle, e.request, e.right) for c in self.clauses for e in c.examples}
        loose = [one.request for one in self.edited if (one.principle, one.request, one.chosen) not in decided]
        check(not loose, f"{len(loose)} edited answers are no decided examples, the first: {loose[:1]}.")

    def clause(self, principle: str) -> Clause:
        """The clause of a principle."""
        return next(clause for clause in self.clauses if clause.principle == principle)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives the same plan back."""
        content = dataclasses.asdict(self)
        # What an older plan does not say is not added to it: it stays the same, and so does its digest.
        said = [{name: value for name, value in row.items() if value != ""} for row in content["left_out"]]
        return {**content, "left_out": said}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Check and build. An unknown or missing key, or a value of the wrong kind, is a `PlanError`."""
        return typing.cast("Self", build(cls, data, "plan"))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a plan file."""
        return cls.from_json(read_json(path))

    def write(self, path: Path) -> None:
        """Write the plan, whole or not at all."""
        write_json(path, self.as_json())


def texts(prompts: Iterable[Prompt]) -> set[str]:
    """The normalised texts of some prompts."""
    return {normalise(prompt.prompt) for prompt in prompts}


def check_seed(seed: int) -> None:
    """A seed is one that every library takes."""
    check(0 <= seed < 2**31, "The seed lies between 0 and 2147483647.")


def check_unique(what: str, values: list[str]) -> None:
    """No value twice."""
    twice = sorted({value for value in values if values.count(value) > 1})
    check(not twice, f"The plan names the {what} {', '.join(twice)} more than once.")


def check_group(name: str, prompts: tuple[Prompt, ...]) -> None:
    """A group of prompts has both labels, and every id and text once."""
    labels = {prompt.label for prompt in prompts}
    check(labels == {"harmful", "benign"}, f"{name} needs at least one harmful and one benign prompt.")
    check_unique(f"id (in {name})", [prompt.id for prompt in prompts])
    check(len(texts(prompts)) == len(prompts), f"{name} holds the same prompt more than once.")


def build(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind`: dataclasses, tuples of one kind, literals and plain values; no silent conversion."""
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, where)
    if typing.get_origin(kind) is tuple:
        check(isinstance(value, list | tuple), f"{where} must be a list.")
        inner = typing.get_args(kind)[0]
        return tuple(build(inner, item, f"{where}[{index}]") for index, item in enumerate(value))
    if typing.get_origin(kind) is Literal:
        check(
            value in typing.get_args(kind),
            f"{where} is {value!r}; it must be one of {typing.get_args(kind)}.",
        )
        return value
    return _build_scalar(kind, value, where)


def _build_dataclass(kind: Any, value: Any, where: str) -> Any:
    check(isinstance(value, Mapping), f"{where} must be an object.")
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(value) - set(hints))
    check(not unknown, f"{where} has unknown keys: {', '.join(unknown)}.")
    required = {item.name for item in dataclasses.fields(kind) if _is_required(item)}
    missing = sorted(required - set(value))
    check(not missing, f"{where} lacks {', '.join(missing)}.")
    return kind(**{name: build(hints[name], item, f"{where}.{name}") for name, item in value.items()})


def _is_required(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _build_scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**63 else math.inf
    check(type(value) is kind, f"{where} must be {KINDS[kind]}, not {value!r:.60}.")
    check(not isinstance(value, float) or math.isfinite(value), f"{where} must be a finite number.")
    return value
