"""`manage.py card_judge --xstest DIR --pairs DIR --decisions`: measure a judge on answers that people have labelled."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from constitution.errors import BadFile
from constitution.models import Version
from training import judging, tasks
from training.errors import StageFailed, TooLittleData
from training.models import JudgeCard

LABELS = "XSTest, full refusals and full answers"
PAIRS = "hh-rlhf harmless pairs, both orders"
KINDS = ("probe", "pattern", "logprob", "served")
MEASURES = ("auc", "sensitivity", "specificity", "consistency", "accuracy", "coverage")


class Command(BaseCommand):
    help = "Measure a judge on XSTest's human-labelled completions, pairs of hh-rlhf, or what people decided here."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--judge", choices=KINDS, default=KINDS[0], help="the probe is the head version's")
        parser.add_argument("--xstest", type=Path, help="folder with xstest_v2_completions_*.csv")
        parser.add_argument("--pairs", type=Path, help="folder with *.jsonl.gz of hh-rlhf's harmless pairs")
        parser.add_argument("--decisions", action="store_true", help="the decided examples that people accepted here")
        parser.add_argument("--sample", type=int, help="at most so many answers of each model, and so many pairs")
        parser.add_argument("--seed", type=int, default=0, help="what draws the sample")

    def handle(self, *args: Any, **options: Any) -> None:
        if not (options["xstest"] or options["pairs"] or options["decisions"]):
            raise CommandError("Give --xstest, --pairs or --decisions: the labelled answers to measure on.")
        if options["sample"] is not None and options["sample"] < 1:
            raise CommandError("A sample needs at least one answer.")
        try:
            if options["xstest"]:
                self._answers(options)
            if options["pairs"]:
                self._pairs(options)
            if options["decisions"]:
                self._decisions(options)
        except (BadFile, StageFailed, TooLittleData) as refused:
            raise CommandError(str(refused)) from refused

    def _answers(self, options: dict[str, Any]) -> None:
        by_source: dict[str, list[judging.LabelledAnswer]] = {}
        for answer in judging.read_xstest(options["xstest"]):
            by_source.setdefault(answer.source, []).append(answer)
        chosen = [
            one for rows in by_source.values() for one in judging.sampled(rows, options["sample"], options["seed"])
        ]
        for source, metrics in tasks.measure_judge_on(chosen, options["judge"]).items():
            drawn = metrics["n"] < len(by_source[source])
            self._keep(source, f"{LABELS}, {source}", _sample(options, drawn=drawn), metrics)

    def _pairs(self, options: dict[str, Any]) -> None:
        pairs = judging.read_pairs(options["pairs"])
        chosen = judging.sampled(pairs, options["sample"], options["seed"])
        metrics = tasks.measure_judge_on_pairs(chosen, options["judge"])
        self._keep("pairs", PAIRS, _sample(options, drawn=len(chosen) < len(pairs)), metrics)

    def _decisions(self, options: dict[str, Any]) -> None:
        # All of them, whatever the sample: a draw could fall below the least, or be drawn again until it flatters.
        metrics = tasks.measure_judge_on_decisions(judging.decided_answers(), options["judge"])
        head = Version.objects.head()
        # They grow with the versions; of several cards on them the newest counts.
        until = f", up to version {head.number}" if head else ""
        self._keep("decisions", judging.DECISIONS, until, metrics)

    def _keep(self, label: str, dataset: str, sample: str, metrics: dict[str, Any]) -> None:
        card = judging.record(
            dataset=dataset + sample,
            metrics={**metrics, "drawn_from": dataset},
            template=metrics["template"],
            by="card_judge",
        )
        self.stdout.write(f"{label}: {_numbers(card)} ({card.judge}, n = {card.metrics['n']}, {_word(card)})")


def _sample(options: dict[str, Any], *, drawn: bool) -> str:
    return f", {options['sample']} drawn with seed {options['seed']}" if drawn else ""


def _numbers(card: JudgeCard) -> str:
    known = {name: card.metrics[name] for name in MEASURES if card.metrics.get(name)}
    return ", ".join(
        f"{name} {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        for name, row in known.items()
        if row["value"] is not None
    )


def _word(card: JudgeCard) -> str:
    if card.advisory:
        return "advisory"
    if judging.is_of_pairs(card.metrics):
        return "strong, but preferences gate nothing"
    return "strong, but not enough alone to gate" if judging.is_of_decisions(card.metrics) else "may gate"
