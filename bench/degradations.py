"""Degradations planted in the middle of a round: at which step the constitutional checkpoint sees each, if at all.

LoRA steps of SFT with the default model, as a round trains: the decided examples of our constitution up to the step of
planting, then rows that are worse on purpose. Control rounds, with seeds of their own, make the band; other rounds that
nothing is planted in say how often the checkpoint pauses for nothing. All texts are our own. Rounds that are over are
kept, so that a measurement that was ended goes on where it was.
"""

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from bench.drawing import planted as picture
from bench.planting import rows
from bench.planting.course import STAGE, Course, Round, batches, encoded
from bench.planting.rows import FLIPPED, ROOT, decided, plan_of, planted, read_clauses
from bench.store import Store
from constitution.digests import digest
from training.engine.model import ensure_default_model, load
from training.engine.stats import wilson
from training.recipes import band as bands
from training.recipes.band import Band, Key
from training.recipes.files import Row, digest_folder
from training.recipes.groups import items, pairs, taken, told
from training.recipes.plan import LooksConfig, Plan, SFTConfig
from training.recipes.run import State, code_digest
from training.recipes.verdicts import HARMFUL, Verdict, judge, reason

CONTROL_SEEDS = 1000  # what fits the band is never what is reported
BENIGN = "benign, the same rows"
CONTROL = "control"
RULES = ("fixed", "band")


@dataclasses.dataclass(frozen=True)
class Kept:
    """Rounds that are over, by everything that decides how one goes."""

    store: Store
    made_of: str

    def key(self, name: str, seed: int) -> str:
        return f"{name} {seed} {self.made_of}"

    def __contains__(self, round_: tuple[str, int]) -> bool:
        return self.key(*round_) in self.store

    def __getitem__(self, round_: tuple[str, int]) -> Course:
        return Course.from_json(self.store[self.key(*round_)])

    def put(self, course: Course) -> None:
        """Keep a round, and say how it went."""
        self.store.put([(self.key(course.name, course.seed), course.to_json())])
        print(f"{course.name}, seed {course.seed}: {said(looks_in_short(course))}", flush=True)


def main(argv: Sequence[str] | None = None) -> Row:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--var", type=Path, default=ROOT / "var", help="where the converted default model lies")
    options.add_argument("--model", type=Path, help="folder of another model")
    options.add_argument("--controls", type=int, default=5, help="rounds that make the band, with seeds of their own")
    options.add_argument("--benign", type=int, default=2, help="rounds in which nothing is planted, each with its seed")
    options.add_argument("--repeats", type=int, default=1, help="in so many of these each kind is planted, too")
    options.add_argument("--planted-at", type=int, default=10, help="steps of an ordinary round before")
    options.add_argument("--after", type=int, default=20, help="steps with what is planted")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--page", type=Path, help="write a page with a chart of each kind")
    options.add_argument("--kinds", nargs="*", help="plant these alone (default: all)")
    chosen = options.parse_args(argv)
    began = time.perf_counter()
    folder = chosen.model or ensure_default_model(chosen.var / "models")
    lm = load(folder, device=os.environ.get("ENGINE_DEVICE", "auto"))
    plan = plan_of(read_clauses(), str(folder), chosen.seed)
    training = Round(lm, SFTConfig(), plan)
    kept = kept_in(chosen.var / "bench" / "degradations.jsonl", training, chosen)
    controls = run_controls(training, kept, chosen)
    band = fitted(controls, plan, lm.digest)
    courses = run(training, kept, chosen)
    found = [summary(course, band, plan) for course in courses]
    result = {
        "bench": "degradations",
        "steps": {"planted_at": chosen.planted_at, "after": chosen.after, "looks": sorted(looks_of(chosen))},
        "band": {"controls": list(band.seeds), "groups": spread_of(band)},
        "since_last_look": spread_of(fitted([since_last_look(one) for one in controls], plan, lm.digest)),
        "rounds": found,
        "kinds": by_kind(found),
        "false_pauses": {rule: share([row[rule] for row in found if row["planted"] is None]) for rule in RULES},
        "seconds": round(time.perf_counter() - began),
    }
    tell(result)
    if chosen.page:
        chosen.page.write_text(picture.page(panels(courses, band, plan)))
    print(json.dumps(result))
    return result


def looks_of(chosen: argparse.Namespace) -> set[int]:
    """The steps at which a round of this length looks: as rounds do, at its end, and where something is planted."""
    end = chosen.planted_at + chosen.after
    return {step for step in LooksConfig().steps if step < end} | {end, chosen.planted_at}


def kept_in(path: Path, training: Round, chosen: argparse.Namespace) -> Kept:
    """What is kept of rounds like these. The seed of the plan decides what is looked at, so it counts as well."""
    code = [code_digest(), digest_folder(Path(rows.__file__).parent, "*.py")]
    made_of = [*code, training.lm.digest, torch.get_num_threads(), chosen.seed, chosen.planted_at, chosen.after]
    return Kept(Store(path), digest(made_of)[:16])


def run_controls(training: Round, kept: Kept, chosen: argparse.Namespace) -> list[Course]:
    """Control rounds, with seeds that nothing is reported of."""
    courses = []
    for seed in range(CONTROL_SEEDS + chosen.seed, CONTROL_SEEDS + chosen.seed + chosen.controls):
        if (CONTROL, seed) not in kept:
            kept.put(straight(training, CONTROL, seed, chosen)[0])
        courses.append(kept[CONTROL, seed])
    return courses


def fitted(controls: Sequence[Course], plan: Plan, reference: str) -> Band:
    """The band of these control rounds."""
    readings = [course.readings() for course in controls]
    seeds = [course.seed for course in controls]
    return bands.fit(readings, settings="bench", reference=reference, seeds=seeds, items=items(plan))


def since_last_look(course: Course) -> Course:
    """What each look differs by from the one before: how far control rounds lie apart in that, rounds do not use."""
    pairs_of_looks = pairwise(course.looks)
    moved = [(step, {key: now[key] - was[key] for key in now}) for (_, was), (step, now) in pairs_of_looks]
    return Course(course.name, course.seed, None, moved)


def looks_in_short(course: Course) -> list[list[float]]:
    """[step, harmful, harmless, the clause that is turned around] at each look."""
    keys = (HARMFUL, (bands.REFUSALS, "benign"), (bands.PAIRS, FLIPPED))
    return [[step, *(round(values[key], 2) for key in keys)] for step, values in course.looks]


def said(looks: Sequence[Sequence[float]]) -> str:
    """Looks as a line: harmful / harmless / clause by step."""
    return "  ".join(f"{step:g}: {harmful:+.2f}/{benign:+.2f}/{pair:+.2f}" for step, harmful, benign, pair in looks)


def straight(training: Round, name: str, seed: int, chosen: argparse.Namespace) -> tuple[Course, Callable[[], None]]:
    """A round that nothing is planted in, and what brings back the step of planting."""
    course, looks = Course(name, seed, None), looks_of(chosen)
    training.begin(seed)
    order = batches(encoded(training, decided(training.plan.clauses)), training.config.batch_size, seed)
    training.train(order, until=chosen.planted_at, course=course, looks=looks)
    bring_back = training.saved()
    training.train(order, until=chosen.planted_at + chosen.after, course=course, looks=looks)
    return course, bring_back


def run(training: Round, kept: Kept, chosen: argparse.Namespace) -> list[Course]:
    """The benign rounds, and from the first of them at the step of planting one for each kind."""
    courses: list[Course] = []
    for seed in range(chosen.seed, chosen.seed + max(1, chosen.benign)):
        worse = planted(training.plan, seed) if seed - chosen.seed < chosen.repeats else {}
        worse = {name: found for name, found in worse.items() if not chosen.kinds or name in chosen.kinds}
        missing = [name for name in (BENIGN, *worse) if (name, seed) not in kept]
        if missing:
            course, bring_back = straight(training, BENIGN, seed, chosen)
            if BENIGN in missing:
                kept.put(course)
            for name in missing:
                if name in worse:
                    bring_back()
                    kept.put(plant(training, name, worse[name], course, chosen))
        courses += [kept[name, seed] for name in (BENIGN, *worse)]
    return courses


def plant(training: Round, name: str, worse: Sequence[Row], benign: Course, chosen: argparse.Namespace) -> Course:
    """What becomes of a round that was brought back to the step of planting, when these rows are planted in it."""
    before = [look for look in benign.looks if look[0] <= chosen.planted_at]
    course = Course(name, benign.seed, chosen.planted_at, before)
    order = batches(encoded(training, worse), training.config.batch_size, benign.seed)
    training.train(order, until=chosen.planted_at + chosen.after, course=course, looks=looks_of(chosen))
    return course


def panels(courses: Sequence[Course], band: Band, plan: Plan) -> list[picture.Panel]:
    """A chart of each planted kind, over the group for which its first round pauses, or that of harmful requests."""
    benign = [course for course in courses if course.planted is None]
    kinds: dict[str, list[Course]] = {}
    for course in courses:
        if course.planted is not None:
            kinds.setdefault(course.name, []).append(course)
    found = []
    for planted_ in kinds.values():
        paused = paused_at(planted_[0], plan, band)
        found.append(picture.panel(paused[1][0] if paused else HARMFUL, band, planted_, benign))
    return found


def summary(course: Course, band: Band, plan: Plan) -> Row:
    """Where the checkpoint would have paused the round: by the fixed band, and by the one that control rounds made."""
    paused = {rule: paused_at(course, plan, band if rule == "band" else None) for rule in RULES}
    return {
        "name": course.name,
        "seed": course.seed,
        "planted": course.planted,
        **{rule: found[0] if found else None for rule, found in paused.items()},
        "groups": list(map(told, paused["band"][1])) if paused["band"] else [],
        "looks": looks_in_short(course),
    }


def paused_at(course: Course, plan: Plan, band: Band | None) -> tuple[int, list[Key]] | None:
    """The first step at which a round would pause, and for which groups; None where it would not.

    What would have paused it before anything was planted counts in the benign round that it went on from.
    """
    held = items(plan)
    before: dict[Key, State | None] = {}
    for step, values in course.looks:
        groups = {key: dataclasses.replace(one, value=values[key]) for key, one in counted(plan).items()}
        edges = {key: band.edges(key, held[key], stage=STAGE, step=step) for key in groups} if band else {}
        verdicts = judge(groups, edges, before=before, limits=LooksConfig())
        before = {one.key: one.state for one in verdicts}
        if reason(verdicts) and (course.planted is None or step > course.planted):
            return step, outside(verdicts)
    return None


def counted(plan: Plan) -> dict[Key, Any]:
    """How much there is to score in each group."""
    return taken(plan, [0.0] * len(plan.looks), [0.0] * len(pairs(plan)))


def outside(verdicts: Sequence[Verdict]) -> list[Key]:
    """The groups that a round pauses for, the furthest first."""
    return [one.key for one in sorted(verdicts, key=lambda one: -one.excess) if one.why]


def by_kind(found: Sequence[Row]) -> dict[str, Row]:
    """How many of the rounds of each planted kind were paused, by each rule."""
    kinds = {row_["name"] for row_ in found if row_["planted"] is not None}
    return {
        kind: {rule: share([row_[rule] for row_ in found if row_["name"] == kind]) for rule in RULES}
        for kind in sorted(kinds)
    }


def share(paused: Sequence[int | None]) -> Row:
    """How many were paused, of how many, with Wilson's 95 % interval."""
    k, n = sum(step is not None for step in paused), len(paused)
    low, high = wilson(k, n)
    return {"k": k, "n": n, "low": round(low, 3), "high": round(high, 3)}


def spread_of(band: Band) -> dict[str, list[list[float]]]:
    """[step, centre, width] of the requests and of the clause that is turned around."""
    keys = [HARMFUL, (bands.REFUSALS, "benign"), (bands.PAIRS, FLIPPED)]
    return {
        told(key): [[point.step, round(point.centre, 2), round(point.width, 2)] for point in band.points[key]]
        for key in keys
    }


def tell(result: Row) -> None:
    """The tables. Changes are against the frozen reference, in nats; of the clause in nats a token."""
    print(f"\nBand of {len(result['band']['controls'])} control rounds, centre and width (it pauses at 1.5 times):")
    for name, points in result["band"]["groups"].items():
        print(f"  {name:<32}{'   '.join(f'{step}: {c:+.2f} ± {w:.2f}' for step, c, w in points)}")
    print("The same for what changed since the look before, which rounds are not held against:")
    for name, points in result["since_last_look"].items():
        print(f"  {name:<32}{'   '.join(f'{step}: {c:+.2f} ± {w:.2f}' for step, c, w in points)}")
    print(f"\n{'round':<26}{'seed':>5}{'fixed':>8}{'band':>8}   harmful / harmless / {FLIPPED} by step")
    for row_ in result["rounds"]:
        at = "".join(f"{row_[rule] if row_[rule] is not None else 'never':>8}" for rule in RULES)
        print(f"{row_['name']:<26}{row_['seed']:>5}{at}   {said(row_['looks'])}   {', '.join(row_['groups'][:3])}")
    for rule, found in result["false_pauses"].items():
        print(
            f"False pauses, {rule}: {found['k']}/{found['n']} benign rounds "
            f"(95 % {found['low']:.0%} to {found['high']:.0%})"
        )


if __name__ == "__main__":
    main()
