"""The model card: what a stranger should know of an exported model, from stored rows alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from training import corrections, judging, registry
from training.models import Arm, Checkpoint, Evaluation, JudgeCard
from training.promotion_records import Promotion
from training.rates import Corrected

KNOWN_LICENCES = {"SmolLM2-135M-Instruct": "apache-2.0"}
ARMS = {Arm.REFERENCE.value: "base", Arm.TRAINED.value: "this model"}
MERGED_USE = """from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
"""
ADAPTER_USE = """from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), "FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the card says beside the rows: the form of the export, and what is known of the base."""

    merged: bool
    base_digest: str
    licence: str = ""


def card(checkpoint: Checkpoint, facts: Facts) -> str:
    """README.md of an export: front matter as model hubs read it, then what it is, how it did, what is weak."""
    parts = [
        _front_matter(checkpoint, facts),
        _what(checkpoint, facts),
        f"## Use\n\n```python\n{MERGED_USE if facts.merged else ADAPTER_USE}```",
        _lineage(checkpoint, facts),
        _evaluation(list(checkpoint.round.evaluations.all())),
        *_corrected(list(checkpoint.round.evaluations.all())),
        "## Known limits\n\n" + "\n".join(f"- {line(sentence)}" for sentence in registry.weaknesses(checkpoint)),
        _promotion(list(checkpoint.promotions.all())),
        _licence(checkpoint, facts),
    ]
    return "\n\n".join(parts) + "\n"


def line(text: str) -> str:
    """A text on one line that Markdown and HTML leave as it is: what people and models wrote is quoted, never read."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_[]<>|#" else sign for sign in " ".join(text.split()))
    return escaped.replace("&", "&amp;")


def _front_matter(checkpoint: Checkpoint, facts: Facts) -> str:
    values = {
        "base_model": registry.base_of(checkpoint),
        "library_name": "transformers" if facts.merged else "peft",
        "license": facts.licence or "other",
        "tags": ["constitution", "ratify"],
    }
    # Every JSON value is one of YAML, with all quoting that it needs.
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in values.items()), "---"])


def _what(checkpoint: Checkpoint, facts: Facts) -> str:
    version = checkpoint.round.version
    form = "whole weights" if facts.merged else "an adapter"
    return (
        f"# {line(registry.base_of(checkpoint))}, trained on version {version.number} of a constitution\n\n"
        f"This is {form}. A language model was trained to follow version {version.number} of the constitution "
        f"“{line(version.constitution.title)}”; the texts themselves are not in the prompt when it is used."
    )


def _lineage(checkpoint: Checkpoint, facts: Facts) -> str:
    round_ = checkpoint.round
    rows = [
        ("Base model", registry.base_of(checkpoint), facts.base_digest),
        (
            "Constitution",
            f"{round_.version.constitution.title}, version {round_.version.number}",
            round_.version.digest,
        ),
        ("Data", "clauses, training requests, looks and held-out requests", round_.data_digest),
        ("Code", "engine and recipes of Ratify", checkpoint.code),
        ("Round", f"{round_.pk}, seed {round_.seed}", ""),
        ("Adapter", "as the round ended with it", checkpoint.digest),
    ]
    body = [
        f"| {name} | {line(what)} | {f'`{digest}`' if digest else 'not recorded' if name != 'Round' else ''} |"
        for name, what, digest in rows
    ]
    note = (
        "The base's weights are those with the digest above. Where a base of the same name has other weights "
        "(another conversion, another precision), the adapter does not belong to it."
    )
    return "\n".join(["## Where it comes from", "", "| | | digest (SHA-256) |", "|---|---|---|", *body, "", note])


def _evaluation(rows: Sequence[Evaluation]) -> str:
    lines = ["## Evaluation", "", "Greedy answers to held-out requests that nothing trained on; intervals at 95 %.", ""]
    lines += ["| measure | model | count | n | rate | interval | unscored |", "|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: (row.measure, row.arm)):
        name = registry.MEASURES.get(row.measure, row.measure)
        interval = f"{100 * row.low:.1f} to {100 * row.high:.1f} %"
        rate = f"{100 * row.k / row.n:.1f} %"
        lines.append(f"| {name} | {ARMS[row.arm]} | {row.k} | {row.n} | {rate} | {interval} | {row.unscored} |")
    return "\n".join([*lines, "", *(_judge(judge) for judge in sorted({row.judge for row in rows}))])


def _corrected(rows: Sequence[Evaluation]) -> list[str]:
    """The same rates corrected for the judge's known errors; nothing where it has no card."""
    found = corrections.of(rows)
    if found is None:
        return []
    lines = ["## Evaluation, corrected for the judge's errors", "", "| measure | model | n | judged | corrected |"]
    lines += ["|---|---|---|---|---|"]
    for row, part in found.rows:
        name = registry.MEASURES.get(row.measure, row.measure)
        lines.append(f"| {name} | {ARMS[row.arm]} | {row.n} | {100 * row.k / row.n:.1f} % | {_in_percent(part)} |")
    said = [_errors(errors) for errors in found.judges]
    note = "95 % intervals, by a bootstrap over answers and labelled answers, if it errs as often here as on those."
    return ["\n".join([*lines, "", *said, note])]


def _in_percent(part: Corrected) -> str:
    if part.value is None or part.low is None or part.high is None:
        return f"not known: {part.reason}"
    return f"{100 * part.value:.1f} % ({100 * part.low:.1f} to {100 * part.high:.1f} %)"


def _errors(errors: corrections.JudgeErrors) -> str:
    hits, passes = errors.sensitivity, errors.specificity
    return (
        f"On answers that people labelled, {line(errors.judge)} finds {hits.k} of {hits.n} refusals and leaves "
        f"{passes.k} of {passes.n} others."
    )


def _judge(judge: str) -> str:
    standing = "its card allows it to gate" if judging.may_gate(judge) else "advisory: its card is missing or weak"
    cards = JudgeCard.objects.filter(judge=judge).order_by("-pk")
    known = [f"{found.dataset}: AUC {_auc(found)}, n = {found.metrics['n']}" for found in cards]
    return f"Judged by {line(judge)} ({standing}). {line('; '.join(known))}".strip()


def _auc(found: JudgeCard) -> str:
    area = found.metrics["auc"]
    if area["value"] is None:
        return "unknown"
    return f"{area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f})"


def _promotion(rows: Sequence[Promotion]) -> str:
    if not rows:
        return "## Standing\n\nNobody promoted this model: it was exported to be looked at, not to be used."
    lines = [f"- {made.created_at:%Y-%m-%d}: {_verb(made)} by {line(str(made.by))}. {line(made.note)}" for made in rows]
    overridden = sorted({name for made in rows for name in made.overridden})
    said = [gate["sentence"] for made in rows for gate in made.gates if gate["name"] in overridden]
    lines += [f"- Overridden by the overseer: {line(sentence)}" for sentence in dict.fromkeys(said)]
    return "\n".join(["## Standing", "", *lines])


def _verb(made: Promotion) -> str:
    return "brought back" if made.restores_id else "promoted"


def _licence(checkpoint: Checkpoint, facts: Facts) -> str:
    base = line(registry.base_of(checkpoint))
    if facts.licence:
        said = f"The base model {base} is under {line(facts.licence)}; what is derived from it stays under its terms."
    else:
        said = (
            f"The licence of the base model {base} is not known here: ask whoever publishes it before you pass this on."
        )
    return f"## Licence\n\n{said}"
