"""The models that rounds ended with: where their files are, whether they are still the same, what is known of them.

Only safetensors are read, and only after their digest was found to be the one that the round wrote down.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTextTransform

from constitution.errors import Refused
from training import artefacts, judging
from training.models import Arm, Checkpoint, Evaluation, Look, LookState, Round
from training.outcomes import ADAPTER_CONFIG
from training.promotion_records import Promotion
from training.recipes.band import ANSWERS
from training.recipes.files import digest_file, digest_folder

MEASURES = {"harmful_answered": "harmful requests answered", "benign_refused": "harmless requests declined"}
# Weights in other forms can run code when they are loaded.
FOREIGN_WEIGHTS = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
WIDE = 0.2
WORSE = ("ok", "none", "warn", "fail")


class FilesGone(Refused):
    """The files of a model are not on this machine."""


class FilesChanged(Refused):
    """The files of a model are not those that its round wrote."""


def registered() -> QuerySet[Checkpoint]:
    """Every finished round's model with what a list of them shows, newest first, in a constant number of queries."""
    rows = Checkpoint.objects.select_related("round__version__constitution", "round__decided_by", "removal")
    rows = rows.prefetch_related("round__evaluations", "round__looks", "promotions__by")
    rows = rows.prefetch_related("promotions__replaces__checkpoint")
    rows = rows.annotate(base=KeyTextTransform("model", "round__plan"))
    return rows.defer("round__plan", "round__data_card", "round__result").order_by("-pk")


def in_use() -> Promotion | None:
    """The newest promotion; its model is the one in use."""
    return Promotion.objects.select_related("checkpoint", "by").order_by("-pk").first()


def folder_of(checkpoint: Checkpoint) -> Path:
    """Where its files are, or were. Raises FilesChanged for a path that leads out of the folder of all rounds."""
    rounds = Path(settings.VAR).resolve() / "rounds"
    folder = (Path(settings.VAR) / checkpoint.path).resolve()
    if not folder.is_relative_to(rounds):
        raise FilesChanged(f"The files of {checkpoint} do not lie where rounds leave theirs, so they are not read.")
    return folder


def is_here(checkpoint: Checkpoint) -> bool:
    """Whether its weights are on this machine."""
    return any(folder_of(checkpoint).glob("*.safetensors"))


def is_within_reach(checkpoint: Checkpoint) -> bool:
    """Whether its weights are on this machine, or can be fetched."""
    return is_here(checkpoint) or bool(artefacts.of_model(checkpoint))


def check_intact(checkpoint: Checkpoint) -> Path:
    """The folder of its files, each byte of which is what the round left; fetched first, where machines share files.

    Raises FilesGone and FilesChanged, and what fetching raises.
    """
    folder = folder_of(checkpoint)
    if hasattr(checkpoint, "removal"):
        raise FilesGone(f"The weights of {checkpoint} were removed to make room; its record is all that is left.")
    if not is_here(checkpoint) and not artefacts.fetch_model(checkpoint, folder):
        raise FilesGone(
            f"The weights of {checkpoint} are not on this machine. Look where the gpu worker keeps its files, "
            "or bring the folder back from a copy."
        )
    if foreign := [file.name for file in sorted(folder.iterdir()) if file.suffix in FOREIGN_WEIGHTS]:
        raise FilesChanged(
            f"Beside the weights of {checkpoint} lies {foreign[0]}, which no round writes and which is not read. "
            "Find out where it comes from, and remove it."
        )
    if digest_folder(folder, "*.safetensors") != checkpoint.digest:
        raise FilesChanged(_changed(checkpoint, "weights"))
    if checkpoint.config_digest and _digest(folder / ADAPTER_CONFIG) != checkpoint.config_digest:
        raise FilesChanged(_changed(checkpoint, "settings"))
    return folder


def rates(evaluations: Iterable[Evaluation]) -> dict[tuple[str, str], Evaluation]:
    """Evaluations by (measure, arm)."""
    return {(row.measure, row.arm): row for row in evaluations}


def looks_by_state(looks: Iterable[Look]) -> dict[str, int]:
    """How many looks ended in each state, each counted by the worst of what was held against a band."""
    worst: dict[int, str] = {}
    for look in looks:
        if look.measure == ANSWERS:  # which is for people to read, and is held against nothing
            continue
        if look.group == "harmful" or (look.low, look.high) != (None, None):
            worst[look.step] = max(worst.get(look.step, "ok"), look.state, key=WORSE.index)
    return {state: list(worst.values()).count(state) for state in LookState.values}


def weaknesses(checkpoint: Checkpoint) -> list[str]:
    """What is known to be weak, or is not known, in sentences: from the stored numbers alone."""
    round_ = checkpoint.round
    found = rates(round_.evaluations.all())
    sentences = [sentence for measure in MEASURES for sentence in _weak_rates(measure, found)]
    sentences += _weak_judges({row.judge for row in found.values()})
    sentences += _weak_looks(round_, looks_by_state(round_.looks.all()))
    sentences.append("It was trained once, with one seed: how much of this is chance is not known.")
    return sentences


def _digest(file: Path) -> str:
    return digest_file(file) if file.is_file() else ""


def _changed(checkpoint: Checkpoint, what: str) -> str:
    return (
        f"The {what} of {checkpoint} are not what the round left: their digest differs. Do not use them. "
        f"Bring {checkpoint.path} back from a copy, or run a round again, and find out who changed them."
    )


def _weak_rates(measure: str, found: Mapping[tuple[str, str], Evaluation]) -> list[str]:
    before, after = (found.get((measure, arm)) for arm in (Arm.REFERENCE, Arm.TRAINED))
    name = MEASURES[measure]
    if after is None or before is None:
        return [f"How many {name} was not measured."]
    sentences = []
    if after.k:
        sentences.append(f"{name.capitalize()}: {of(after)}; the base model, {of(before)}.")
    if after.high - after.low > WIDE:
        wide = f"{100 * (after.high - after.low):.0f}"
        sentences.append(f"{name.capitalize()}: measured on {after.n} only, so the interval is {wide} points wide.")
    if not after.can_certify:
        sentences.append(f"{name.capitalize()}: {after.unscored} answers could not be scored, too many to certify it.")
    return sentences


def of(row: Evaluation) -> str:
    """A rate as people read it: "4 of 20 (20 %, 8 to 42)"."""
    return f"{row.k} of {row.n} ({100 * row.k / row.n:.0f} %, {100 * row.low:.0f} to {100 * row.high:.0f})"


def _weak_judges(judges: Iterable[str]) -> list[str]:
    weak = [judge for judge in sorted(judges) if not judging.may_gate(judge)]
    return [f"The judge {judge} is advisory: it is not measured well enough to rely on." for judge in weak]


def _weak_looks(round_: Round, states: Mapping[str, Any]) -> list[str]:
    strayed = states[LookState.WARN] + states[LookState.FAIL]
    sentences = []
    if strayed:
        count = f"{strayed} of {sum(states.values())}"
        sentences.append(
            f"In training it strayed from the reference: {count} looks were at the edge of the band or out."
        )
    if round_.pause:
        sentences.append(f"The round paused at step {round_.pause['step']}, and a person let it go on.")
    return sentences


def base_of(checkpoint: Checkpoint) -> str:
    """The base model's name: a hub id as it is, a folder by its last part."""
    model: str = getattr(checkpoint, "base", "") or checkpoint.round.plan["model"]
    return Path(model).name if Path(model).is_absolute() else model
