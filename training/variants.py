"""Model-written variants of generated scenarios: their hearts reworded, filtered, and kept in the same clothes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction
from pydantic import ValidationError

from amendments.generation.drawing import GENERATED, Drawn
from amendments.models import Scenario
from amendments.reserved import Reserved, reserved
from amendments.scenarios import ScenarioText
from constitution import ledger
from constitution.models import User
from constitution.texts import sentences

BATCH = 8
LONGEST_SOURCE = 200
ALREADY_THERE = "already there"

# Requests with the words that must stay in them, to the samples of each: their texts, and why one cannot be used.
Asked = tuple[str, tuple[str, ...]]
Reword = Callable[[Sequence[Asked]], Iterator[Sequence[tuple[str, str]]]]
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Writer:
    """The model that rewords, as sources and the ledger name it, and what it does."""

    model: str
    temperature: float
    reword: Reword


@dataclass(slots=True)
class Report:
    """What became of the samples."""

    asked: int = 0
    samples: int = 0
    added: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def write(originals: Sequence[Drawn], *, writer: Writer, seed: int, by: User | str, tell: Tell | None = None) -> Report:
    """Have each of these scenarios reworded, and keep what can be used: a batch is kept whole, or not at all.

    A variant wears what its original does, and takes over its label and its side. One that fails is counted with its
    reason and the others go on; a run that is killed keeps its batches, and run again it adds what it lacks.
    """
    report = Report()
    rows = iter(originals)
    kept_out = reserved()
    while batch := list(islice(rows, BATCH)):
        found = writer.reword([(one.heart, one.keeps) for one in batch])
        _keep_batch(batch, list(found), writer=writer, kept_out=kept_out, report=report, seed=seed, by=by)
        report.asked += len(batch)
        if tell:
            tell(report.asked, len(originals))
    return report


@transaction.atomic
def _keep_batch(
    batch: Sequence[Drawn],
    samples: Sequence[Sequence[tuple[str, str]]],
    *,
    writer: Writer,
    kept_out: Reserved,
    report: Report,
    seed: int,
    by: User | str,
) -> None:
    """Store what can be used of one batch, with one entry in the ledger."""
    before = report.added
    for original, found in zip(batch, samples, strict=True):
        for number, (text, why_not) in enumerate(found, start=1):
            report.samples += 1
            source = f"{GENERATED} seed={seed} reworded {number} by {writer.model} at {writer.temperature}: "
            source += original.source.removeprefix(f"{GENERATED} ")
            if reason := why_not or _keep(original, text, source[:LONGEST_SOURCE], kept_out):
                report.left_out[reason] += 1
            else:
                report.added += 1
    if report.added > before:
        detail = {
            "added": report.added - before,
            "model": writer.model,
            "temperature": writer.temperature,
            "seed": seed,
        }
        ledger.append(action="scenarios reworded", by=by, subject=f"seed:{seed}", detail=detail)


def _keep(original: Drawn, text: str, source: str, kept_out: Reserved) -> str:
    """Store one variant; why not, where it cannot be."""
    try:
        made = _text(original, text)
    except ValidationError as error:
        return sentences(error).splitlines()[0]
    if Scenario.objects.filter(digest=made.digest).exists():
        return ALREADY_THERE
    if not original.held_out and (reason := kept_out.why(made.prompt, made.label)):
        return reason.sentence
    made.row(source).save(force_insert=True)
    return ""


def _text(original: Drawn, text: str) -> ScenarioText:
    prompt = original.prompt.replace(original.heart, text, 1)
    content = {"label": original.label, "principle": original.principle or None, "held_out": original.held_out}
    return ScenarioText.model_validate({"prompt": prompt, "context": dict(original.context), **content})
