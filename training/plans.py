"""From a version and the scenarios to the frozen plan of a round. Pure: values in, values out."""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, Literal, cast

from amendments.lessons import EditedAnswer
from amendments.likeness import Entry, sketch
from amendments.models import Label, Scenario
from amendments.reserved import Reserved, held_out_entries
from constitution.digests import digest
from constitution.models import Tier
from constitution.texts import ClauseText
from training.errors import TooLittleData
from training.recipes import plan as planned
from training.recipes import settings
from training.recipes.plan import Clause, Example, LeftOut, Plan, Prompt, normalise
from training.recipes.settings import Changes

Device = Literal["auto", "cpu", "cuda"]

# The label of requests that a decided example expects this of.
LABELS = {"decline": Label.HARMFUL.value, "help": Label.BENIGN.value}
LOOKED_AT, DECIDED = "what the looks read", "the decided examples"


class KeptOut:
    """What may not be trained on, and how many rows were left out for it."""

    def __init__(self, scenarios: Iterable[Scenario], looks: Iterable[Prompt], registered: Sequence[Entry]) -> None:
        looked_at = (Entry(sketch(prompt.prompt), prompt.label, LOOKED_AT) for prompt in looks)
        self._of_rows = Reserved([*held_out_entries(scenarios), *looked_at, *registered])
        self._of_examples = Reserved(registered)
        self._counts: Counter[tuple[str, str, str, str]] = Counter()

    def has(self, row: Scenario) -> bool:
        """Whether this row is left out; it is counted then."""
        return self._has(self._of_rows, row.prompt, row.label, (row.settled_by, row.label, row.source))

    def without(self, clause: Clause) -> Clause:
        """The clause with those of its decided examples that may be learnt: those of no registered set.

        They are law, so what is held out does not push them aside: the same words are not measured with then.
        """
        return dataclasses.replace(
            clause, examples=tuple(e for e in clause.examples if not self._has_example(clause, e))
        )

    def _has_example(self, clause: Clause, example: Example) -> bool:
        label = LABELS.get(example.expects, "")
        # As SFT labels it, which learns those of style, too.
        kind = (clause.principle, label or Label.BENIGN.value, planned.DECIDED)
        return self._has(self._of_examples, example.request, label, kind)

    def _has(self, reserved: Reserved, prompt: str, label: str, kind: tuple[str, str, str]) -> bool:
        reason = reserved.why(prompt, label)
        self._counts.update([(reason.sentence, *kind)] if reason else [])
        return reason is not None

    def counted(self) -> tuple[LeftOut, ...]:
        """Why rows were left out, and how many of each kind."""
        return tuple(LeftOut(reason, count, *kind) for (reason, *kind), count in sorted(self._counts.items()))


def freeze(
    *,
    version: int,
    version_digest: str,
    texts: Sequence[ClauseText],
    scenarios: Iterable[Scenario],
    seed: int,
    preset_name: str,
    model: str,
    device: str,
    registered: Iterable[Entry] = (),
    edited: Iterable[EditedAnswer] = (),
    changes: Changes | None = None,
) -> Plan:
    """The plan of a round. `round` is 0 and `model` a name in it: the runner fills in what it learns at the start.

    `changes` are settings for this round alone, by name: what they say instead of the preset and of `seed` is kept.

    No row is trained on that says nearly the same as a scenario held out, a request that the looks read, or one of the
    prompts `registered` as those of evaluation sets; `left_out` counts them. Nothing is looked at or measured with that
    says nearly the same as a decided example, which is learnt. Raises TooLittleData where a group would lack harmful or
    benign prompts, and PlanError for an unknown preset and for changes that no preset may say.
    """
    own, chosen = settings.read(preset_name, seed=seed), settings.read(preset_name, seed=seed, changes=changes)
    sizes, chance = chosen.sizes, random.Random(chosen.seed)  # noqa: S311  for a reproducible order
    known = {text.principle for text in texts}
    styles = {text.principle for text in texts if text.tier == Tier.STYLE.value}
    asked = list(scenarios)
    rows = _in_random_order([row for row in asked if not _is_ordinary(row, styles)], chance)
    ordinary = _in_random_order([row for row in asked if _is_ordinary(row, styles)], chance)
    # Each round looks at the same requests and is measured on the same ones, whatever its seed and version: rounds
    # compare by these, and a band that control rounds measured holds for these alone. Further scenarios come between
    # them and reshuffle nothing.
    looking, measuring = (_in_steady_order(rows, salt) for salt in ("looks", "held out"))
    examples = [(example.request, LABELS.get(example.expects, "")) for text in texts for example in text.examples]
    seen = {normalise(request) for request, _ in examples}
    decided = Reserved(Entry(sketch(request), label, DECIDED) for request, label in examples)

    def is_learnt(row: Scenario) -> bool:
        return decided.why(row.prompt, row.label) is not None

    groups = {
        "held_out": _take([row for row in measuring if row.held_out], sizes.held_out, seen, is_learnt),
        "looks": _take([row for row in looking if not row.held_out], sizes.looks, seen, is_learnt),
    }
    kept_out = KeptOut(asked, groups["looks"], list(registered))
    clauses = tuple(kept_out.without(_clause(text)) for text in texts)
    learnt = [row for row in rows if not row.held_out and row.settled_by in known]
    groups["train"] = _take(learnt, sizes.train, seen, kept_out.has)
    groups["train"] += _take([row for row in ordinary if not row.held_out], sizes.ordinary, seen, kept_out.has)
    for name, group in groups.items():
        if {prompt.label for prompt in group} != {"harmful", "benign"}:
            raise TooLittleData(f"A round needs harmful and benign scenarios for “{name}”; import some.")
    return Plan(
        round=0,
        version=version,
        version_digest=version_digest,
        model=model,
        seed=chosen.seed,
        device=cast("Device", device),
        clauses=clauses,
        stages=chosen.stages,
        preset=preset_name,
        overrides=settings.overrides(own, chosen),
        left_out=kept_out.counted(),
        edited=_still_law(edited, clauses),
        **groups,
    )


def near(plan: Plan, entries: Iterable[Entry]) -> int:
    """How many of the requests that a plan trains on say the same as one of these prompts, or nearly the same."""
    reserved = Reserved(entries)
    if not len(reserved):
        return 0
    examples = [(e.request, LABELS.get(e.expects, "")) for clause in plan.clauses for e in clause.examples]
    learnt = [*examples, *((row.prompt, row.label) for row in plan.train), *((e.request, e.label) for e in plan.edited)]
    return sum(reserved.why(text, label) is not None for text, label in learnt)


def data_digest(plan: Plan) -> str:
    """SHA-256 over everything that the plan trains on and measures with."""
    content = plan.as_json()
    names = ("clauses", "train", "looks", "held_out", *(("edited",) if plan.edited else ()))
    return digest([content[name] for name in names])


def start(frozen: dict[str, Any], *, round_pk: int, model: str) -> Plan:
    """The frozen plan with the two things that are known only once it starts: its number and the model's folder."""
    return dataclasses.replace(Plan.from_json(frozen), round=round_pk, model=model)


def _clause(text: ClauseText) -> Clause:
    examples = tuple(Example(**example.model_dump()) for example in text.examples)
    return Clause(text.principle, text.tier, text.title, text.text, examples)


def _still_law(edited: Iterable[EditedAnswer], clauses: Sequence[Clause]) -> tuple[planned.EditedAnswer, ...]:
    """Those whose answer is that of a decided example which this round learns: what was dropped since is no lesson."""
    decided = {(c.principle, e.request, e.right) for c in clauses for e in c.examples}
    return tuple(
        planned.EditedAnswer(
            one.amendment,
            one.principle,
            "harmful" if one.expects == "decline" else "benign",
            one.request,
            one.chosen,
            one.rejected,
        )
        for one in edited
        if (one.principle, one.request, one.chosen) in decided
    )


def _in_random_order(scenarios: Iterable[Scenario], chance: random.Random) -> list[Scenario]:
    """Labelled scenarios, contrast twins side by side, in an order that `chance` alone decides."""
    pairs = _pairs(scenarios)
    chance.shuffle(pairs)
    return [row for pair in pairs for row in pair]


def _in_steady_order(scenarios: Iterable[Scenario], salt: str) -> list[Scenario]:
    """The same, in an order in which the place of a pair does not depend on which others there are."""
    pairs = sorted(_pairs(scenarios), key=lambda pair: digest([salt, pair[0].pair or pair[0].digest]))
    return [row for pair in pairs for row in pair]


def _pairs(scenarios: Iterable[Scenario]) -> list[list[Scenario]]:
    labelled = [row for row in scenarios if row.label != Label.UNKNOWN]
    labelled.sort(key=lambda row: (row.pair or row.digest, row.digest))
    return [list(rows) for _, rows in groupby(labelled, key=lambda row: row.pair or row.digest)]


def _is_ordinary(row: Scenario, styles: set[str]) -> bool:
    """A harmless request without a twin that a clause of style settles: how to help, as nobody asks whether.

    Rounds learn from them what a plain answer reads like. They measure nothing: every model helps with them.
    """
    return row.label == Label.BENIGN and not row.pair and row.settled_by in styles


def _take(
    rows: Iterable[Scenario], most: int, seen: set[str], is_kept_out: Callable[[Scenario], bool]
) -> tuple[Prompt, ...]:
    """Up to `most` prompts of each label whose text is not in `seen`, which grows by them, and not kept out."""
    room = {Label.HARMFUL.value: most, Label.BENIGN.value: most}
    taken = []
    for row in rows:
        text = normalise(row.prompt)
        if text and text not in seen and room[row.label] > 0:
            if is_kept_out(row):
                continue
            room[row.label] -= 1
            seen.add(text)
            taken.append(Prompt(row.digest[:16], row.prompt, row.label, row.settled_by))  # type: ignore[arg-type]
    return tuple(taken)
