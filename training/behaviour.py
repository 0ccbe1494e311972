"""What changed between two models, from the answers that their rounds stored: no model runs again.

Both were asked some of the same held-out requests. Only those that both were asked are compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from amendments.shares import Share
from training.models import Checkpoint, Round, Transcript

Change = Literal["refused", "answered"]


@dataclass(frozen=True, slots=True)
class Changed:
    """One request that the two treat differently: `change` says what the newer one began to do."""

    change: Change
    principle: str
    label: str
    prompt: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What became of the requests that both were asked. `unscored`: where a verdict on one of the two is missing."""

    asked: int
    unscored: int
    changed: tuple[Changed, ...]
    judges: tuple[str, str]

    @property
    def judged_alike(self) -> bool:
        return self.judges[0] == self.judges[1]

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


def compare(old: Checkpoint, new: Checkpoint) -> Comparison:
    """The answers of two trained models to the requests that both were asked, in five queries."""
    before = {(row.key, row.prompt): row for row in old.round.transcripts.all()}
    pairs = [
        (before[row.key, row.prompt], row) for row in new.round.transcripts.all() if (row.key, row.prompt) in before
    ]
    principles = {**_principles(old.round), **_principles(new.round)}
    scored = [(was, now) for was, now in pairs if None not in (was.trained_refuses, now.trained_refuses)]
    return Comparison(
        asked=len(pairs),
        unscored=len(pairs) - len(scored),
        changed=tuple(
            _changed(was, now, principles) for was, now in scored if was.trained_refuses != now.trained_refuses
        ),
        judges=(_judge(old.round), _judge(new.round)),
    )


def _changed(was: Transcript, now: Transcript, principles: Mapping[str, str]) -> Changed:
    return Changed(
        change="refused" if now.trained_refuses else "answered",
        principle=principles.get(now.key, ""),
        label=now.label,
        prompt=now.prompt,
        before=was.trained,
        after=now.trained,
    )


def _principles(round_: Round) -> dict[str, str]:
    """Which principle should settle each held-out request, by the plan."""
    held_out: list[Mapping[str, Any]] = round_.plan.get("held_out", [])
    return {row["id"]: row["principle"] for row in held_out}


def _judge(round_: Round) -> str:
    row = round_.evaluations.first()
    return row.judge if row else ""
