"""What the arms came to, as tables and one line of JSON.

Several seeds answer the same requests, so an interval counts each request once: its value is the mean over seeds.
"""

import json
from collections.abc import Sequence
from statistics import fmean

from bench import round as one_round
from training.engine.stats import bootstrap, wilson
from training.recipes.files import Row

HARMFUL = ("twins, harmful", "HarmBench", "AdvBench")
# HarmBench's behaviours helped to choose the recipe's settings, which flatters it.
UNSEEN = ("twins, harmful", "AdvBench")
KINDS = {"judge": "by judge", "words": "by words"}
COMPARED = (("amended", "fixed"), ("amended", "preference_only"), ("fixed", "preference_only"))


def report(found: Sequence[Row], sets: dict[str, list[str]], *, arms: Sequence[str]) -> None:
    """Print it all; the line of JSON is the last one."""
    everybody = ("base", *arms)
    by_arm = {arm: [row for row in found if row["arm"] == arm] for arm in everybody}
    seeds = sorted({row["seed"] for row in found if row["arm"] != "base"})
    told_training([row for row in found if row["arm"] != "base"])
    judges = sorted({row["judge"] for row in found})
    print(f"\nJudge {', '.join(judges)}, advisory. Seeds {', '.join(map(str, seeds))}; each request counts once.")
    if len({row["code"] for row in found}) > 1:
        print("These results were made by more than one state of the code.")
    for kind, name in KINDS.items():
        print(f"\n{name + ', percent (95 %)':<34}{'n':>5}  {''.join(f'{arm:<22}' for arm in everybody)}".rstrip())
        for label, names, counts_declined in lines(sets):
            cells = [share(by_arm[arm], names, kind, declined=counts_declined) for arm in everybody]
            n = sum(len(sets[one]) for one in names)
            print(f"{label:<34}{n:>5}  {''.join(f'{cell:<22}' for cell in cells)}".rstrip())
    told_fluency(found)
    told_differences(by_arm)
    figures = {
        "harmful": {arm: rate(by_arm[arm], HARMFUL, "judge", declined=False) for arm in everybody},
        "over_refusal": {arm: rate(by_arm[arm], one_round.HARMLESS, "judge", declined=True) for arm in everybody},
    }
    measures = {"harmful": HARMFUL, "over_refusal": one_round.HARMLESS}
    counted = {measure: sum(len(sets[name]) for name in names) for measure, names in measures.items()}
    print(json.dumps({"bench": "arms", **figures, "n": counted, "seeds": seeds}))


def lines(sets: dict[str, list[str]]) -> list[tuple[str, tuple[str, ...], bool]]:
    """(what is counted, over which sets, whether declining counts), the sums last."""
    harmful = [name for name in sets if name not in one_round.HARMLESS]
    return [
        *((f"answered: {name}", (name,), False) for name in harmful),
        *((f"declined: {name}", (name,), True) for name in one_round.HARMLESS),
        ("harmful answered", HARMFUL, False),
        ("  without HarmBench", UNSEEN, False),
        ("over-refusal", one_round.HARMLESS, True),
    ]


def values(rows: Sequence[Row], names: Sequence[str], kind: str, *, declined: bool) -> list[float | None]:
    """Of each request the share of seeds in which it was declined, or answered; None where no answer was scored."""
    found: list[float | None] = []
    for name in names:
        for verdicts in zip(*(row["sets"][name][kind] for row in rows), strict=True):
            scored = [verdict is declined for verdict in verdicts if verdict is not None]
            found.append(fmean(scored) if scored else None)
    return found


def rate(rows: Sequence[Row], names: Sequence[str], kind: str, *, declined: bool) -> float | None:
    """The mean over requests; None where nothing was scored."""
    scored = [value for value in values(rows, names, kind, declined=declined) if value is not None]
    return round(fmean(scored), 4) if scored else None


def share(rows: Sequence[Row], names: Sequence[str], kind: str, *, declined: bool) -> str:
    """The rate and its Wilson interval, in percent, and how many requests were unscored."""
    found = values(rows, names, kind, declined=declined)
    scored = [value for value in found if value is not None]
    if not scored:
        return "unscored"
    low, high = wilson(round(sum(scored)), len(scored))
    lost = f" -{len(found) - len(scored)}" if len(scored) < len(found) else ""
    return f"{100 * fmean(scored):.0f} ({100 * low:.0f} to {100 * high:.0f}){lost}"


def told_training(rows: Sequence[Row]) -> None:
    """How much each arm was trained."""
    heads = f"{'rows':>6}{'pairs':>6}{'steps':>10}  {'tokens of SFT':<18}{'of DPO':<18}paused at"
    print(f"\n{'trained':<18}{'seed':>5}{heads}")
    for row in rows:
        done = row["training"]
        count = done["tokens"]
        tokens = {name: f"{count[f'{name}_learnt']}/{count[f'{name}_read']}" for name in ("sft", "dpo")}
        steps, paused = "+".join(map(str, done["steps"])), ", ".join(map(str, done["paused_at"])) or "never"
        amounts = f"{row['seed']:>5}{done['rows']:>6}{done['pairs']:>6}{steps:>10}"
        print(f"{row['arm']:<18}{amounts}  {tokens['sft']:<18}{tokens['dpo']:<18}{paused}")
    print("Tokens: learnt/read, over all epochs.")


def told_fluency(rows: Sequence[Row]) -> None:
    """How the answers to harmless requests read, of those that decline nothing by words."""
    heads = f"{'nats per token':<26}{'repeat themselves':<22}median tokens"
    print(f"\n{'harmless, answered':<18}{'seed':>5}{'n':>5}  {heads}")
    for row in rows:
        read = row["fluency"]
        nats = f"{read['nats']:.2f} ({read['low']:.2f} to {read['high']:.2f})"
        seed = "" if row["arm"] == "base" else row["seed"]
        repeats = one_round.share(read["repeats"])
        print(f"{row['arm']:<18}{seed:>5}{read['n']:>5}  {nats:<26}{repeats:<22}{read['tokens']:.0f}")


def told_differences(by_arm: dict[str, list[Row]]) -> None:
    """How much less often one arm answers harmful requests than another, paired by request."""
    print(f"\n{'harmful answered, by judge: how much less':<44}95 % (bootstrap over requests)")
    for one, other in COMPARED:
        if not by_arm.get(one) or not by_arm.get(other):
            continue
        columns = [values(by_arm[arm], HARMFUL, "judge", declined=False) for arm in (one, other)]
        pairs = [(a, b) for a, b in zip(*columns, strict=True) if a is not None and b is not None]
        if len(pairs) < 2 or not sum(b for _, b in pairs):
            print(f"{one} than {other}: nothing to compare")
            continue
        ones, others = ([pair[place] for pair in pairs] for place in (0, 1))
        low, high = bootstrap([ones, others], less)
        print(f"{f'{one} than {other}':<30}{less(ones, others):>12.0%}  {low:.0%} to {high:.0%}, n = {len(pairs)}")


def less(ones: Sequence[float], others: Sequence[float]) -> float:
    """By what share the mean of `ones` lies below that of `others`; 0 where the latter is 0."""
    base = sum(others)
    return 1 - sum(ones) / base if base else 0.0
