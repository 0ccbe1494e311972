"""What is read: constitutions, and requests of which people have said how they are settled."""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml

from constitution.importing.folders import open_folder, read_text
from constitution.importing.markdown import read_release
from constitution.models import Tier
from constitution.texts import ClauseText
from training.engine.clauses import Clause
from training.engine.prompts import balanced
from training.reading import digest_of
from training.readings import RANDOM_SHARE

ROOT = Path(__file__).resolve().parent.parent.parent
CONSTITUTION = ROOT / "constitution" / "seed" / "constitution.yaml"
SEED = ROOT / "amendments" / "seed"
MODEL_SPEC = ROOT.parent / "shared" / "data" / "model_spec"
FEWEST = 60  # requests in a sample: of fewer the queue is so short that everything in it comes first
LONGEST = 400  # characters of a decided request; a whole conversation takes minutes on two cores

Label = Literal["harmful", "benign"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request with its label; `settled_by` is the principle that should settle it, where that is known. Decided
    requests have no `context`: they are read under the whole law."""

    prompt: str
    label: Label
    settled_by: str = ""
    context: tuple[tuple[str, str], ...] | None = None
    pair: str = ""
    held_out: bool = False

    @property
    def digest(self) -> str:
        return digest_of(self.prompt)


@dataclass(frozen=True, slots=True)
class Material:
    """`sample` is what the surfacer reads, `drawn` those of it that stand for all; `settled` and `hard` are what the
    signals are checked on, and never in the sample."""

    sample: tuple[Request, ...]
    drawn: frozenset[str]
    settled: tuple[Request, ...]
    hard: tuple[Request, ...]


def our_law() -> list[ClauseText]:
    return [ClauseText.model_validate(row) for row in yaml.safe_load(CONSTITUTION.read_text())["clauses"]]


def imported_law(folder: Path = MODEL_SPEC) -> list[ClauseText] | None:
    """The newest release in the folder, as the import command reads it; None where there is no folder."""
    if not (folder / "versions").is_dir():
        return None
    source = open_folder(folder)
    released, path = source.files[-1]
    return list(read_release(read_text(path), released=released, linked=source.linked).clauses)


def twins() -> list[Request]:
    """Our contrast twins, both of each pair, in the order of the file."""
    return [
        Request(row[label], label, row["principle"], tuple(row["context"].items()), row["pair"], row["held_out"])
        for row in yaml.safe_load((SEED / "scenarios.yaml").read_text())["scenarios"]
        for label in ("harmful", "benign")
    ]


def ordinary() -> list[Request]:
    """Everyday requests, which nothing should stand in the way of."""
    rows = map(json.loads, (SEED / "ordinary.jsonl").read_text().splitlines())
    found = (Request(row["prompt"], row["label"], row["principle"], ()) for row in rows)
    return sorted(found, key=lambda one: one.digest)


def decided(clause: ClauseText) -> list[Request]:
    """Its decided requests, of moderate length: first those that its prompt does not show, with their answers."""
    shown = _shown(clause)
    found = [example for example in clause.examples if example.expects != "style" and len(example.request) <= LONGEST]
    return [
        Request(example.request, "harmful" if example.expects == "decline" else "benign", clause.principle)
        for example in sorted(found, key=lambda example: example.request in shown)
    ]


def read_clauses(law: Sequence[ClauseText]) -> list[ClauseText]:
    """The clauses that requests are read under and that some decided request shows: others no reading can question."""
    return [clause for clause in law if Tier(clause.tier) != Tier.STYLE and decided(clause)]


def material(law: Sequence[ClauseText], *, each: int, checked: int, seed: int) -> Material:
    """Of each clause that is read `each` pairs of twins and as many decided requests, or thrice as many where twins say
    nothing of this law; a tenth drawn from all; and other requests of ours, where these are fewer than FEWEST.
    """
    known = {clause.principle for clause in law}
    pool = [_known(one, known) for one in twins()]
    open_twins, plain = [one for one in pool if not one.held_out], [_known(one, known) for one in ordinary()]
    clauses = read_clauses(law)
    chosen = [one for clause in clauses for one in open_twins if one.settled_by == clause.principle]
    pairs = {name: _first(dict.fromkeys(t.pair for t in chosen if t.settled_by == name), each) for name in known}
    sample = [one for one in chosen if one.pair in pairs[one.settled_by]]
    most = each if chosen else 3 * each
    sample += [one for clause in clauses for one in decided(clause)[:most]]
    left = sorted({*open_twins, *plain} - set(sample), key=lambda one: one.digest)
    random.Random(seed).shuffle(left)  # noqa: S311  a measurement, nothing secret
    drawn = left[: max(1, round(len(sample) * RANDOM_SHARE / (1 - RANDOM_SHARE)))]
    others = left[len(drawn) :][: max(0, FEWEST - len(sample) - len(drawn))]
    sample = list({one.prompt: one for one in (*sample, *drawn, *others)}.values())
    seen = {one.prompt for one in sample}
    unshown = [one for clause in clauses for one in decided(clause)[most:] if one.prompt not in _shown(clause)]
    settled = [one for one in (*unshown, *plain) if one.prompt not in seen]
    hard = sorted((one for one in pool if one.held_out), key=lambda one: one.digest)
    return Material(
        tuple(sample), frozenset(one.prompt for one in drawn), tuple(settled[:checked]), tuple(hard[:checked])
    )


def _known(one: Request, principles: set[str]) -> Request:
    """Of another constitution's principle this one says nothing, nor has it the contexts of that one."""
    return one if one.settled_by in principles else replace(one, settled_by="")


def _first(names: Iterable[str], most: int) -> set[str]:
    return set(list(names)[:most])


def _shown(clause: ClauseText) -> set[str]:
    return {example.request for example in balanced(Clause.of(clause.model_dump()).examples)}
