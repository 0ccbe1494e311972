"""How well near-duplicates are told from other requests: known edits, contrast twins and strangers, by threshold."""

import argparse
import csv
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from amendments import likeness
from amendments.likeness import Entry, Index, sketch
from training.engine.stats import wilson

ROOT = Path(__file__).parents[1]
SEED = ROOT / "amendments" / "seed"
LEVELS = (0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7)

Words = Sequence[str]
Edit = Callable[[str, random.Random, Words], str]


def main() -> None:
    """Print shares found for every kind of edit and threshold, and one line of JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    data = options.parse_args().data
    ours = dict(_ours())
    public = {name: list(dict.fromkeys(texts)) for name, texts in _public(data)}
    every = list(dict.fromkeys([*ours, *(text for texts in public.values() for text in texts)]))
    found: dict[str, Any] = {"n": len(every), "edits": _edits(every), "strangers": {}, "seconds": {}}
    for name, texts in public.items():
        index = Index(Entry(sketch(text), "", name) for text in texts)
        begun = time.perf_counter()
        hits = [text for text in ours if index.nearest(sketch(text))]
        found["seconds"][name] = round(time.perf_counter() - begun, 3)
        found["strangers"][name] = {"asked": len(ours), "set": len(texts), "found": len(hits), "texts": hits[:5]}
    found["twins"] = _twins()
    print(json.dumps(found, ensure_ascii=False))


def shares(one: str, other: str) -> tuple[float, float]:
    """The share of common runs of both, and of the shorter one."""
    marks = [frozenset(np.frombuffer(sketch(text).marks, dtype="<u2").tolist()) for text in (one, other)]
    common = len(marks[0] & marks[1])
    return common / max(1, len(marks[0] | marks[1])), common / max(1, min(map(len, marks)))


def _edits(texts: Sequence[str]) -> dict[str, dict[str, object]]:
    words = [word for text in texts for word in text.split() if len(word) > 3]
    found: dict[str, dict[str, object]] = {}
    for name, edit in KINDS.items():
        chance = random.Random(name)  # noqa: S311  for the same edits each time
        pairs = [shares(text, edit(text, chance, words)) for text in texts]
        hits = sum(whole >= likeness.ALIKE or inside >= likeness.INSIDE for whole, inside in pairs)
        by_level = {level: sum(whole >= level for whole, _ in pairs) for level in LEVELS}
        low, high = wilson(hits, len(pairs))
        found[name] = {"found": hits, "n": len(pairs), "low": low, "high": high, "whole": by_level}
        print(f"{name:22} {hits}/{len(pairs)} {by_level}", file=sys.stderr)
    return found


def _twins() -> dict[str, object]:
    pairs = yaml.safe_load((SEED / "scenarios.yaml").read_text())["scenarios"]
    alike = [shares(pair["harmful"], pair["benign"])[0] for pair in pairs]
    return {"n": len(alike), "over": {level: sum(share >= level for share in alike) for level in LEVELS}}


def _typo(text: str, chance: random.Random, _: Words) -> str:
    parts = text.split()
    place = chance.choice([number for number, part in enumerate(parts) if len(part) > 4] or [0])
    part, at = parts[place], chance.randrange(1, max(2, len(parts[place]) - 2))
    parts[place] = part[:at] + part[at + 1 : at + 2] + part[at : at + 1] + part[at + 2 :]
    return " ".join(parts)


def _replace(text: str, chance: random.Random, words: Words, count: int) -> str:
    parts = text.split()
    for place in chance.sample(range(len(parts)), min(count, len(parts))):
        parts[place] = chance.choice(words)
    return " ".join(parts)


def _drop(text: str, chance: random.Random, _: Words) -> str:
    parts = text.split()
    for _turn in range(min(2, len(parts) - 3)):
        parts.pop(chance.randrange(len(parts)))
    return " ".join(parts)


def _halves(text: str, _: random.Random, __: Words) -> str:
    parts = text.split()
    return " ".join([*parts[len(parts) // 2 :], *parts[: len(parts) // 2]])


KINDS: dict[str, Edit] = {
    "politely": lambda text, _, __: f"Hi, could you please tell me: {text} Thank you.",
    "a typo": _typo,
    "a word replaced": lambda text, chance, words: _replace(text, chance, words, 1),
    "two words replaced": lambda text, chance, words: _replace(text, chance, words, 2),
    "two words dropped": _drop,
    "halves exchanged": _halves,
    "inside a story": lambda text, _, __: (
        "You are an actor in a play about the sea. In the second act the captain turns to you and says: "
        f"“{text}” Stay in your part and answer him as he would expect it, in about ten sentences."
    ),
    "inside a mail": lambda text, _, __: (
        "Summarise this mail for me in two sentences.\n\nDear team, the meeting on Thursday moves to room four, and "
        f"lunch is on us. Please bring your own cups. {text} If you cannot come, tell Maria until Wednesday noon so "
        "that she can cancel the food. Best regards, Tom"
    ),
}


def _ours() -> Iterator[tuple[str, str]]:
    for pair in yaml.safe_load((SEED / "scenarios.yaml").read_text())["scenarios"]:
        yield from ((pair[label], label) for label in ("harmful", "benign"))
    for line in (SEED / "ordinary.jsonl").read_text().splitlines():
        yield json.loads(line)["prompt"], "benign"


def _public(data: Path) -> Iterator[tuple[str, list[str]]]:
    with (data / "advbench" / "harmful_behaviors.csv").open(newline="") as stream:
        yield "AdvBench", [row[0] for row in csv.reader(stream)]
    with (data / "harmbench" / "harmbench_behaviors_text_val.csv").open(newline="") as stream:
        yield "HarmBench", [row["Behavior"] for row in csv.DictReader(stream)]
    with (data / "xstest" / "xstest_prompts.csv").open(newline="") as stream:
        yield "XSTest", [row["prompt"] for row in csv.DictReader(stream)]


if __name__ == "__main__":
    main()
