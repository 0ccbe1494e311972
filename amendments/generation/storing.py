"""Generated scenarios as rows: what is near a reserved text is left out, and a report says what and why."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

from django.db import connection, transaction
from pydantic import ValidationError

from amendments.generation.coverage import Meeting, all_meetings, meetings
from amendments.generation.drawing import GENERATED, Drawn, Group, draw
from amendments.generation.frames import Frames
from amendments.generation.targets import Asked
from amendments.likeness import Entry, sketch
from amendments.models import Scenario
from amendments.reserved import CHUNK, HELD_OUT, Reserved, held_out_entries, registered_entries
from amendments.scenarios import BATCH, ScenarioText
from config.live import publish as announce
from constitution import ledger
from constitution.errors import Refused
from constitution.models import User, Version
from constitution.texts import ClauseText, sentences

MOST = 1_000_000
# Runs wait for one another, so that the same seed twice at once adds nothing twice.
GENERATION_LOCK = 0x67656E6572  # "gener"
HEARTS = 4096  # of which it is remembered whether they are near what is kept out
ALREADY_THERE = "already there"
WITHOUT_ITS_TWIN = "its twin was left out"
KNOWN = "a scenario that is there"
LEARNT = "a decided example, which rounds learn"

Tell = Callable[[int, int], None]


class NothingToGenerate(Refused):
    """There is no version, no such principle, or no such number of scenarios."""

    status = 422


@dataclass(slots=True)
class Report:
    """What became of the scenarios that were drawn. `digest` is of all that were, in their order, before any was left
    out: the same frames, version, seed and count give the same one."""

    asked: int
    added: int = 0
    held_out: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    principles: set[str] = field(default_factory=set)
    met: set[Meeting] = field(default_factory=set)
    to_meet: int = 0
    drawn: int = 0
    digest: str = ""

    def as_detail(self) -> dict[str, Any]:
        """The counts, for the ledger."""
        counts = {name: dict(sorted(getattr(self, name).items())) for name in ("labels", "kinds", "left_out")}
        numbers = {name: getattr(self, name) for name in ("asked", "drawn", "added", "held_out", "digest")}
        return {**numbers, **counts, "principles": len(self.principles)}


@dataclass(frozen=True, slots=True)
class Checked:
    """A scenario that may be kept, with what it was drawn as."""

    drawn: Drawn
    text: ScenarioText


def asked_of(version: Version, frames: Frames, *, seed: int, count: int, only: str = "") -> Asked:
    """What to generate. Raises NothingToGenerate where the version lacks the principle or the count is not possible."""
    clauses: Sequence[ClauseText] = version.texts()
    if only and only not in {clause.principle for clause in clauses}:
        raise NothingToGenerate(f"Version {version.number} has no principle {only}.")
    if not 0 < count <= MOST:
        raise NothingToGenerate(f"Generate at least one scenario, and at most {MOST:,}.")
    return Asked(clauses, frames, seed, only)


@transaction.atomic
def generate(
    *, version: Version, frames: Frames, seed: int, count: int, by: User | str, only: str = "", tell: Tell | None = None
) -> Report:
    """Add up to `count` scenarios made from a version, half of them held out. The same again adds nothing.

    All or nothing; memory grows with what is held out alone. Raises NothingToGenerate.
    """
    asked = asked_of(version, frames, seed=seed, count=count, only=only)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [GENERATION_LOCK])
    report = _run(asked, count, tell, is_dry=False)
    if report.added:
        detail = {"seed": seed, "frames": frames.digest, "version": version.digest, **report.as_detail()}
        ledger.append(action="scenarios generated", by=by, subject=version.subject, detail=detail)
        announce("queue")
    return report


def rehearse(
    *, version: Version, frames: Frames, seed: int, count: int, only: str = "", tell: Tell | None = None
) -> Report:
    """What `generate` would do; writes nothing. Raises NothingToGenerate."""
    return _run(asked_of(version, frames, seed=seed, count=count, only=only), count, tell, is_dry=True)


def _run(asked: Asked, count: int, tell: Tell | None, *, is_dry: bool) -> Report:
    """First what is held out, against all that is trained on; then the rest, against all that is held out."""
    report = Report(asked=count, to_meet=len(all_meetings(asked.frames.values, asked.frames.never)))
    whole = hashlib.sha256()
    held_out: list[Entry] = []
    for side in (True, False):
        kept_out = _Asked(Reserved([*_entries(asked, held_out=side), *held_out]))
        groups = draw(asked, count=(count + side) // 2, held_out=side)
        while batch := list(islice(groups, BATCH)):
            for one in (one for group in batch for one in group):
                whole.update(one.line)
                report.drawn += 1
            kept = _keep(batch, kept_out, report, asked.frames, is_dry=is_dry)
            if side:
                held_out += [Entry(sketch(one.text.prompt), one.text.label, HELD_OUT) for one in kept]
            if tell:
                tell(report.drawn, count)
    report.digest = whole.hexdigest()
    return report


def _entries(asked: Asked, *, held_out: bool) -> Iterator[Entry]:
    """What scenarios of one side may not come near to: registered sets, and the other side, examples among it.

    What was generated before is left aside for the side that is held out: hearts are on one side by their digest.
    """
    yield from registered_entries()
    rows = Scenario.objects.order_by("pk")
    if not held_out:
        yield from held_out_entries(rows.filter(held_out=True).iterator(chunk_size=CHUNK))
        return
    for row in rows.exclude(source__startswith=f"{GENERATED} ").iterator(chunk_size=CHUNK):
        yield Entry(sketch(row.prompt), row.label, HELD_OUT if row.held_out else KNOWN)
    for example in (example for clause in asked.clauses for example in clause.examples):
        label = {"decline": "harmful", "help": "benign"}.get(example.expects, "")
        yield Entry(sketch(example.request), label, LEARNT)


class _Asked:
    """What is kept out, asked once about a text that comes again and again, as hearts do in other clothes."""

    def __init__(self, kept_out: Reserved) -> None:
        self.why = kept_out.why
        self.why_heart = lru_cache(HEARTS)(kept_out.why)


def _keep(batch: Sequence[Group], kept_out: _Asked, report: Report, frames: Frames, *, is_dry: bool) -> list[Checked]:
    """Those of a batch that are new and near nothing reserved, stored unless it `is_dry`, and counted."""
    checked = [_checked(group, report) for group in batch]
    digests = {one.text.digest for group in checked for one in group}
    known = set(Scenario.objects.filter(digest__in=digests).values_list("digest", flat=True))
    kept: list[Checked] = []
    for group in checked:
        reasons = [_why_not(one, kept_out, known) for one in group]
        if any(reasons):
            report.left_out.update(reason or WITHOUT_ITS_TWIN for reason in reasons)
            continue
        kept += group
        known.update(one.text.digest for one in group)
    _count(kept, report, frames)
    if not is_dry:
        Scenario.objects.bulk_create([one.text.row(one.drawn.source) for one in kept])
    return kept


def _checked(group: Group, report: Report) -> list[Checked]:
    """A group as texts that can be stored; none of it where one cannot."""
    found = []
    for one in group:
        try:
            found.append(Checked(one, _text(one)))
        except ValidationError as error:
            report.left_out[sentences(error).splitlines()[0]] += 1
    return found if len(found) == len(group) else []


def _text(one: Drawn) -> ScenarioText:
    content = {"prompt": one.prompt, "label": one.label, "pair": one.pair, "principle": one.principle or None}
    return ScenarioText.model_validate({**content, "context": dict(one.context), "held_out": one.held_out})


def _why_not(one: Checked, kept_out: _Asked, known: Collection[str]) -> str:
    """Why this is left out, or nothing. Its heart is looked at too: clothes can hide what is asked."""
    if one.text.digest in known:
        return ALREADY_THERE
    label = one.text.label
    found = kept_out.why(one.text.prompt, label) or kept_out.why_heart(one.drawn.heart, label)
    return found.sentence if found else ""


def _count(kept: Sequence[Checked], report: Report, frames: Frames) -> None:
    report.added += len(kept)
    for one in kept:
        report.held_out += one.text.held_out
        report.labels[one.text.label] += 1
        report.kinds[one.drawn.target.partition(" (")[2].rstrip(")")] += 1
        report.principles.update(one.drawn.principles)
        report.met |= meetings(one.drawn.clothes, frames.values)
