"""The two constitutions that rounds are compared on, what their rounds train on, and pairs of people's preferences.

The seed's version, and a version after amendments of contextual clauses, published by the real actions in a database
of its own. Everything near a prompt that measures is left out of what is trained on, in all arms.
"""

import argparse
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from training.recipes.files import Row, write_json
from training.recipes.plan import Plan

if TYPE_CHECKING:
    from amendments.reserved import Reserved
    from constitution.models import Version

AMENDMENTS = Path(__file__).parent / "amendments.yaml"
# The public sets that measure, whole: also of what is not asked, nothing is trained on.
SETS = {
    "AdvBench": "advbench/harmful_behaviors.csv",
    "HarmBench": "harmbench/harmbench_behaviors_text_val.csv",
    "XSTest": "xstest/xstest_prompts.csv",
    "MT-Bench": "mt_bench/mt_bench_question.jsonl",
    "Vicuna": "mt_bench/vicuna_bench_question.jsonl",
}
PAIRS = "hh_rlhf_harmless"
PERSON, ASSISTANT = "Human:", "Assistant:"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--seeds", type=int, nargs="+", required=True)
    options.add_argument("--preset", required=True)
    options.add_argument("--model", required=True)
    options.add_argument("--device", required=True)
    options.add_argument("--out", type=Path, required=True)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RATIFY_VAR": folder, "UNDO_SECONDS": "0", "DJANGO_SETTINGS_MODULE": "config.settings"}
        os.environ.pop("DATABASE_URL", None)
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        call_command("seed", verbosity=0)
        found = material(chosen.data, chosen.seeds, preset=chosen.preset, model=chosen.model, device=chosen.device)
    write_json(chosen.out, found)


def material(data: Path, seeds: Sequence[int], *, preset: str, model: str, device: str) -> Row:
    """Plans by arm and seed, the held-out twins, and people's pairs, of a seeded database; publishes the amendments.

    `left_out`: how many of the pairs were near something that measures.
    """
    from amendments.evaluation_sets import register
    from amendments.models import Scenario
    from amendments.reserved import Reserved, held_out_entries, registered_entries
    from constitution.models import Version
    from training.judging import read_pairs
    from training.plans import freeze

    for name, file in SETS.items():
        register(path=data / file, name=name, by="bench")
    versions = {"fixed": Version.objects.get(number=1), "amended": publish(read_amendments())}
    scenarios, entries = list(Scenario.objects.order_by("pk")), list(registered_entries())

    def plan(version: "Version", seed: int) -> Plan:
        return freeze(
            version=version.number,
            version_digest=version.digest,
            texts=version.texts(),
            scenarios=scenarios,
            seed=seed,
            preset_name=preset,
            model=model,
            device=device,
            registered=entries,
        )

    reserved = Reserved([*held_out_entries(scenarios), *entries])
    asked = [(pair.request, pair.preferred, pair.other) for pair in read_pairs(data / PAIRS)]
    pairs = list(preferences(asked, reserved))
    return {
        "plans": {arm: {str(s): plan(version, s).as_json() for s in seeds} for arm, version in versions.items()},
        "twins": {
            label: sorted(row.prompt for row in scenarios if row.held_out and row.label == label)
            for label in ("harmful", "benign")
        },
        "pairs": pairs,
        "left_out": len(asked) - len(pairs),
    }


def read_amendments() -> list[Row]:
    """The amendments of this measurement, in the order in which they are accepted."""
    found: list[Row] = yaml.safe_load(AMENDMENTS.read_text(encoding="utf-8"))
    return found


def publish(amendments: Iterable[Row]) -> "Version":
    """Propose and accept each in turn, as people do; the version in force afterwards."""
    from amendments import actions
    from amendments.operations import AddExample, Operations, Revise
    from constitution.models import Role, Version
    from constitution.people import register
    from constitution.texts import Example

    author = register(username="arms-author", roles=[Role.RESEARCHER], by="bench")
    reviewer = register(username="arms-reviewer", roles=[Role.REVIEWER], by="bench")
    for row in amendments:
        head = Version.objects.head()
        assert head is not None  # noqa: S101  seeded
        clause = next(text for text in head.texts() if text.principle == row["principle"])
        named: Any = {"principle": clause.principle, "before": clause.digest}
        added = [AddExample(**named, example=Example.model_validate(example)) for example in row["examples"]]
        operations: Operations = (Revise(**named, text=f"{clause.text} {row['adds']}"), *added)
        proposal = actions.propose(by=author, base=head, operations=operations, rationale=row["rationale"])
        actions.accept(amendment=proposal, by=reviewer, seen_digest=proposal.digest)
        actions.settle(proposal)
        if Version.objects.filter(number=head.number + 1).count() != 1:
            raise SystemExit(f"The amendment of {clause.principle} was not published.")
    return Version.objects.latest("number")


def preferences(pairs: Iterable[tuple[str, str, str]], reserved: "Reserved") -> Iterator[Row]:
    """Pairs of people's preferences that a round may learn: none says nearly what something that measures says."""
    seen = set()
    for number, (conversation, preferred, other) in enumerate(pairs):
        turns = asked_in(conversation)
        is_usable = turns and preferred and other and preferred != other and conversation not in seen
        if not is_usable or any(reserved.why(turn) for turn in turns):
            continue
        seen.add(conversation)
        is_short = len(turns) == 1 and ASSISTANT not in conversation
        request = turns[0] if is_short else conversation
        yield {"id": f"pair-{number:05}", "prompt": request, "chosen": preferred, "rejected": other}


def asked_in(conversation: str) -> list[str]:
    """What the person says in a conversation, turn by turn."""
    parts = conversation.split(PERSON)[1:]
    return [said for part in parts if (said := part.split(ASSISTANT)[0].strip())]


if __name__ == "__main__":
    main()
