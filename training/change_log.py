"""The change log between two models as Markdown, for whoever runs them: what differs, and how sure that is."""

from collections.abc import Iterator, Mapping, Sequence

from amendments.shares import Share
from training import judging
from training.behaviour import Change, Changed, Comparison
from training.export_card import line
from training.models import Checkpoint
from training.tone import MUCH, Sign

CHANGES: Mapping[Change, str] = {"refused": "Newly declined", "answered": "Newly answered"}
# Of each clause; the page has them all.
MOST_REQUESTS = 20


def write(old: Checkpoint, new: Checkpoint, found: Comparison, titles: Mapping[str, str]) -> str:
    """The whole text. What models and people wrote is quoted on one line each, and never read as markup."""
    parts = [
        [f"# What changes from model {old.pk} to model {new.pk}"],
        list(_what(old, new, found)),
        list(_causes(found)),
        *(list(_changes(change, title, found, titles)) for change, title in CHANGES.items()),
        list(_tone(found)),
        list(_limits(found)),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _what(old: Checkpoint, new: Checkpoint, found: Comparison) -> Iterator[str]:
    yield "| | round | constitution | weights (SHA-256) |"
    yield "|---|---|---|---|"
    for name, row in (("before", old), ("after", new)):
        law = f"{line(row.round.version.constitution.title)}, version {row.round.version.number}"
        yield f"| {name} | {row.round_id} | {law} | `{row.digest}` |"
    yield ""
    yield (
        f"Both were asked {found.asked:,} of the same held-out requests, which nothing trained on; {found.unscored:,} "
        "of them went unscored on one side and are in no count. Only the model before was asked "
        f"{found.alone[0]:,}, and only the model after {found.alone[1]:,}."
    )
    yield ""
    yield from (f"- {title}: {_of(found.share(change))}" for change, title in CHANGES.items())


def _causes(found: Comparison) -> Iterator[str]:
    if not found.amendments:
        return
    yield "## By amendment"
    yield ""
    yield (
        "What was amended between the two versions, and how many requests under its clauses are treated otherwise. "
        "That is where a change may come from and no proof that it does: two rounds differ by chance as well."
    )
    yield ""
    yield "| version | amendment | clauses | newly declined | newly answered |"
    yield "|---|---|---|---|---|"
    for cause in found.causes():
        row = cause.amendment
        number = row.version.number if row.version else ""
        said = line(row.version.summary) if row.version else ""
        undone = "taken back: " if found.goes_back else ""
        clauses = ", ".join(map(line, row.touches))
        yield f"| {number} | {undone}{said} (proposal {row.pk}) | {clauses} | {cause.refused} | {cause.answered} |"
    others = [str(found.untouched(change)) for change in CHANGES]
    yield f"| | under clauses that no amendment touched | | {' | '.join(others)} |"


def _changes(change: Change, title: str, found: Comparison, titles: Mapping[str, str]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield f"{_of(found.share(change))}."
    for principle, rows in found.by_principle(change).items():
        name = f"{line(principle)} {line(titles.get(principle, ''))}".strip() or "Under no principle"
        yield f"\n### {name}: {len(rows)}\n"
        yield from map(_request, rows[:MOST_REQUESTS])
        if len(rows) > MOST_REQUESTS:
            yield f"- and {len(rows) - MOST_REQUESTS} more"


def _request(row: Changed) -> str:
    return f"- ({line(row.label)}) {line(row.prompt)}"


def _tone(found: Comparison) -> Iterator[str]:
    tone = found.tone
    if not tone.n:
        return
    yield "## Changed in tone"
    yield ""
    yield f"Where both do the same, by plain signs in the {tone.n:,} pairs of answers; no judge read them for this."
    yield ""
    yield "| the answer | before | after | change, points (95 %) |"
    yield "|---|---|---|---|"
    yield from map(_sign, tone.signs)
    yield ""
    yield f"Much longer (over {MUCH} times as many words): {_of(tone.longer)}. Much shorter: {_of(tone.shorter)}."


def _sign(sign: Sign) -> str:
    change = "{:+.0f} ({:+.0f} to {:+.0f})".format(*sign.change) if sign.change else ""
    return f"| {sign.name} | {sign.before.k} of {sign.before.n} | {sign.after.k} of {sign.after.n} | {change} |"


def _limits(found: Comparison) -> Iterator[str]:
    yield "## Known limits"
    yield ""
    yield from (f"- {sentence}" for sentence in _sentences(found))


def _sentences(found: Comparison) -> Sequence[str]:
    judges = sorted({judge for judge in found.judges if judge})
    said = [f"Judged by {line(judge)}{'' if judging.may_gate(judge) else ', which is advisory'}." for judge in judges]
    if not found.judged_alike:
        said.append("The two were judged by different judges: a changed verdict may be the judge's.")
    return [
        *said,
        "Each was trained once, with one seed: how much of this another seed would do as well is not known.",
        "The requests are held-out scenarios of this installation, not a sample of what people ask.",
    ]


def _of(share: Share) -> str:
    return f"{share.k:,} of {share.n:,} ({share})" if share.n else "none scored on both sides"
