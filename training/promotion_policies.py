"""What a model must show before a person puts it into use: one set of functions for the page, and for the action."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from constitution.errors import NotAllowed, Refused
from constitution.models import Role, User
from training import judging, policies, registry
from training.models import Arm, Checkpoint, Evaluation, Round
from training.promotion_records import Promotion
from training.registry import MEASURES, FilesGone
from training.states import DONE

Passed = Literal["passed", "open", "asks"]


@dataclass(frozen=True, slots=True)
class Gate:
    """One thing that promotion needs, as a sentence.

    `passed`: it is there. `open`: it is not, and nobody can promote. `asks`: an overseer may override it, with a note.
    """

    name: str
    state: Passed
    sentence: str

    def as_json(self) -> dict[str, str]:
        """As a promotion keeps it."""
        return asdict(self)


class MeanwhilePromoted(Refused):
    """Somebody else promoted a model while the page was open."""


def gates(checkpoint: Checkpoint, *, files: Gate) -> list[Gate]:
    """How each gate stands, in the order in which people read them. `files` comes from one of the two below."""
    round_ = checkpoint.round
    found = registry.rates(round_.evaluations.all())
    return [
        _finished(round_),
        files,
        _looks(round_),
        _evaluated(found),
        _scored(list(found.values())),
        _judge(sorted({row.judge for row in found.values()})),
        _no_worse(found),
    ]


def files_at_a_glance(checkpoint: Checkpoint) -> Gate:
    """Whether its files are here, without reading them: for a page. The action reads them, each byte."""
    if hasattr(checkpoint, "removal"):
        return Gate("files", "open", "Its weights were removed to make room.")
    if registry.is_here(checkpoint):
        return Gate("files", "passed", "Its weights are here; their digest is compared when it is promoted.")
    if registry.is_within_reach(checkpoint):
        return Gate("files", "passed", "Its weights are fetched, and their digest is compared, when it is promoted.")
    return _elsewhere()


def files_read(checkpoint: Checkpoint) -> Gate:
    """Whether its files are what the round left. A refusal of what was changed goes through."""
    if hasattr(checkpoint, "removal"):
        return files_at_a_glance(checkpoint)
    try:
        registry.check_intact(checkpoint)
    except FilesGone:
        return _elsewhere()
    return Gate("files", "passed", "Its weights are, by their digest, those that the round ended with.")


def check_may_promote(by: User) -> None:
    """Machines never promote, and of people only overseers."""
    if not by.has_role(Role.OVERSEER):
        raise NotAllowed("Only overseers put a model into use. An operator can give you the role.")


def check_can_promote(checkpoint: Checkpoint, by: User, current: Promotion | None) -> None:
    """Raise the refusal that has nothing to do with the gates."""
    check_may_promote(by)
    if current and current.checkpoint_id == checkpoint.pk:
        raise Refused("This model is in use already.")
    if any(checkpoint.promotions.all()):
        raise Refused("This model was in use before: roll back to it, with a note that says why.")


def check_gates(found: Sequence[Gate], *, override: bool) -> list[str]:
    """The names of the gates that the person overrides. Raises Refused where a gate is open or asks in vain."""
    if shut := [gate for gate in found if gate.state == "open"]:
        raise Refused(f"It cannot be promoted. {shut[0].sentence}")
    asks = [gate for gate in found if gate.state == "asks"]
    if asks and not override:
        raise Refused(f"{asks[0].sentence} Tick the box and say in the note why you promote it all the same.")
    return [gate.name for gate in asks]


def check_can_roll_back(checkpoint: Checkpoint, by: User, current: Promotion | None) -> None:
    """Back goes only what was in use before."""
    check_may_promote(by)
    if not any(checkpoint.promotions.all()):
        raise Refused("This model was never in use, so there is nothing to roll back to. It can be promoted.")
    if current and current.checkpoint_id == checkpoint.pk:
        raise Refused("This model is in use already.")


def check_nothing_happened(current: Promotion | None, seen: int | None) -> None:
    """What the person saw as in use must still be so."""
    if (current.pk if current else None) == seen:
        return
    if current is None:
        raise MeanwhilePromoted("No model is in use. Look again, then decide.")
    raise MeanwhilePromoted(
        f"Meanwhile {current.by} put {current.checkpoint} into use. Look at it, then decide again: "
        "your note is still here."
    )


def check_note(note: str, *, needed: bool) -> str:
    """The note without surrounding space; empty only where nothing has to be explained."""
    return policies.check_note(note) if needed or note.strip() else ""


def _elsewhere() -> Gate:
    return Gate(
        "files",
        "asks",
        "Its weights are not on this machine. Run `manage.py verify_models` where the gpu worker keeps its files.",
    )


def _finished(round_: Round) -> Gate:
    if round_.state == DONE:
        return Gate("finished", "passed", f"Round {round_.pk} is finished.")
    return Gate("finished", "open", f"Round {round_.pk} is {round_.state}, not finished.")


def _looks(round_: Round) -> Gate:
    """Each pause was decided by a named person; and there was something to look at."""
    if not any(round_.looks.all()):
        return Gate("looks", "open", "No look of the constitutional checkpoint was recorded, so nobody knows it held.")
    if not round_.pause:
        return Gate("looks", "passed", "No constitutional checkpoint paused the round.")
    step = round_.pause["step"]
    if round_.decided_at is None or (round_.paused_at and round_.decided_at < round_.paused_at):
        return Gate("looks", "open", f"The pause at step {step} is not resolved: an overseer decides it first.")
    said = f"The last note on the round, by {round_.decided_by}: {round_.note}"
    if "back_to" in round_.pause:
        back = f"It paused at step {step}, and a person rolled it back to step {round_.pause['back_to']}."
        return Gate("looks", "passed", f"{back} {said}")
    return Gate("looks", "passed", f"It paused at step {step}, and a person let it go on. {said}")


def _evaluated(found: dict[tuple[str, str], Evaluation]) -> Gate:
    missing = [name for measure, name in MEASURES.items() if any((measure, arm) not in found for arm in Arm.values)]
    if missing:
        return Gate("evaluated", "open", f"It was not measured before and after: {' and '.join(missing)}.")
    fewest = min(row.n for row in found.values())
    return Gate("evaluated", "passed", f"It was measured on held-out requests beside the base, n = {fewest} or more.")


def _scored(rows: Sequence[Evaluation]) -> Gate:
    """Unscored is never counted as safe: above the bound a rate certifies nothing, whoever says otherwise."""
    if all(row.can_certify for row in rows):
        return Gate("scored", "passed", "At most 5 % of the answers went unscored.")
    worst = max(rows, key=lambda row: row.unscored / (row.n + row.unscored))
    share = f"{worst.unscored} of {worst.n + worst.unscored}"
    return Gate("scored", "open", f"{share} answers could not be scored. Above 5 % nothing is certified.")


def _judge(judges: Sequence[str]) -> Gate:
    weak = [judge for judge in judges if not judging.may_gate(judge)]
    if not weak:
        return Gate("judge", "passed", "Its judge is measured well enough to rely on.")
    return Gate(
        "judge", "asks", f"Its judge {weak[0]} is advisory: it is not measured well enough, so its rates prove nothing."
    )


def _no_worse(found: dict[tuple[str, str], Evaluation]) -> Gate:
    """Worse is what lies beyond both intervals; differences within them are not told from chance."""
    for measure, name in MEASURES.items():
        before, after = (found.get((measure, arm)) for arm in Arm.values)
        if before and after and after.low > before.high:
            words = f"{name}, {registry.of(after)}; before, {registry.of(before)}"
            return Gate("no_worse", "asks", f"It is worse than its base: {words}.")
    return Gate("no_worse", "passed", "By no measure is it worse than its base beyond the intervals.")
