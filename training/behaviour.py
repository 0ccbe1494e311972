"""What changed between two models, from the answers that their rounds stored: no model runs again.

Both were asked some of the same held-out requests, which are texts of our own or of whoever runs this. Only those that
both were asked are compared. A change stands beside the amendments that touched its clause between the two versions:
that is where it may come from, and no proof that it does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from amendments.models import Amendment
from amendments.shares import Share
from constitution.models import Version
from training.models import Checkpoint, Round, Transcript
from training.tone import Tone
from training.tone import compare as compare_tone

Change = Literal["refused", "answered"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One request that both were asked, and their answers."""

    principle: str
    label: str
    prompt: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Changed(Pair):
    """One request that the two treat differently: `change` says what the newer one began to do."""

    change: Change


@dataclass(frozen=True, slots=True)
class Cause:
    """An amendment between the two versions, and how many requests under its clauses are treated differently."""

    amendment: Amendment
    refused: int
    answered: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the requests that both were asked. `unscored`: where a verdict on one of the two is missing;
    `alone`: how many only the older and only the newer one was asked; `alike`: those that both treat the same.
    """

    asked: int
    unscored: int
    alone: tuple[int, int]
    changed: tuple[Changed, ...]
    alike: tuple[Pair, ...]
    judges: tuple[str, str]
    amendments: tuple[Amendment, ...]
    # Whether the amendments were taken back from the older model to the newer: it follows an earlier version.
    goes_back: bool

    @property
    def judged_alike(self) -> bool:
        return self.judges[0] == self.judges[1]

    @property
    def tone(self) -> Tone:
        """The manner of the answers where the two do the same."""
        return compare_tone([(pair.before, pair.after) for pair in self.alike])

    def share(self, change: Change) -> Share:
        """How many of those scored on both sides changed in this way."""
        return Share(sum(row.change == change for row in self.changed), self.asked - self.unscored)

    def by_principle(self, change: Change) -> dict[str, list[Changed]]:
        """The changed requests under the principle that should settle them; under "" where none is known."""
        groups: dict[str, list[Changed]] = {}
        for row in sorted(self.changed, key=lambda row: (row.principle, row.label, row.prompt)):
            if row.change == change:
                groups.setdefault(row.principle, []).append(row)
        return groups

    def touching(self, principle: str) -> list[Amendment]:
        """The amendments between the two versions that changed this clause."""
        return [row for row in self.amendments if principle in row.touches]

    def causes(self) -> list[Cause]:
        """Every amendment between the two versions with the changes under its clauses; a change may stand under two."""
        return [Cause(row, self._under(row, "refused"), self._under(row, "answered")) for row in self.amendments]

    def untouched(self, change: Change) -> int:
        """How many changes stand under clauses that no amendment touched."""
        return sum(row.change == change and not self.touching(row.principle) for row in self.changed)

    def _under(self, amendment: Amendment, change: Change) -> int:
        return sum(row.change == change and row.principle in amendment.touches for row in self.changed)


def compare(old: Checkpoint, new: Checkpoint) -> Comparison:
    """The answers of two trained models to the requests that both were asked, in six queries."""
    before = {(row.key, row.prompt): row for row in old.round.transcripts.all()}
    after = {(row.key, row.prompt): row for row in new.round.transcripts.all()}
    both = [(before[key], row) for key, row in after.items() if key in before]
    principles = {**_principles(old.round), **_principles(new.round)}
    scored = [(was, now) for was, now in both if None not in (was.trained_refuses, now.trained_refuses)]
    amendments, goes_back = _between(old.round.version, new.round.version)
    return Comparison(
        asked=len(both),
        unscored=len(both) - len(scored),
        alone=(len(before) - len(both), len(after) - len(both)),
        changed=tuple(
            Changed(*_values(was, now, principles), "refused" if now.trained_refuses else "answered")
            for was, now in scored
            if was.trained_refuses != now.trained_refuses
        ),
        alike=tuple(
            Pair(*_values(was, now, principles)) for was, now in scored if was.trained_refuses == now.trained_refuses
        ),
        judges=(_judge(old.round), _judge(new.round)),
        amendments=tuple(amendments),
        goes_back=goes_back,
    )


def _values(was: Transcript, now: Transcript, principles: Mapping[str, str]) -> tuple[str, str, str, str, str]:
    return principles.get(now.key, ""), now.label, now.prompt, was.trained, now.trained


def _between(old: Version, new: Version) -> tuple[Sequence[Amendment], bool]:
    """The amendments that lie between two versions of one constitution, in their order, and whether they are undone."""
    if old.constitution_id != new.constitution_id:
        return [], False
    first, last = sorted((old.number, new.number))
    found = Amendment.objects.filter(
        version__constitution=old.constitution_id, version__number__gt=first, version__number__lte=last
    )
    return list(found.select_related("version").order_by("version__number")), new.number < old.number


def _principles(round_: Round) -> dict[str, str]:
    """Which principle should settle each held-out request, by the plan."""
    held_out: list[Mapping[str, Any]] = round_.plan.get("held_out", [])
    return {row["id"]: row["principle"] for row in held_out}


def _judge(round_: Round) -> str:
    row = round_.evaluations.first()
    return row.judge if row else ""
