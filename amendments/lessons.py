"""What people taught by accepting: the drafts of the past that became law, as they worded them in the end.

Models are shown the nearest ones when they draft, and rounds train on what people made of a drafted answer. Nothing
that was rejected is a lesson, nothing of universal clauses, and nothing that says what is held out or registered.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amendments import states
from amendments.linting import likeness, sentences_of
from amendments.models import Amendment, Revision, Scenario
from amendments.operations import AddExample, Operations, wording
from amendments.reserved import Reserved, reserved
from constitution.models import Tier, Version
from constitution.texts import ClauseText, Example

MOST_SHOWN = 3
# So far back it is looked; older ones were written against a constitution that has long moved on.
LOOKED_AT = 200
MOST_REQUESTS = 3


@dataclass(frozen=True, slots=True)
class Taught:
    """An accepted amendment: the clause before, the requests that it was proposed for, what it added in the end; of one
    that decides an example, that request and the right answer to it."""

    amendment: int
    principle: str
    text: str
    requests: tuple[str, ...]
    label: str
    added: str


@dataclass(frozen=True, slots=True)
class EditedAnswer:
    """An example as a model drafted it and as people left it: their right answer beside the drafted one."""

    amendment: int
    principle: str
    expects: str
    request: str
    chosen: str
    rejected: str


def for_clause(clause: ClauseText, taught: Iterable[Taught], *, most: int = MOST_SHOWN) -> list[Taught]:
    """Those of the clauses nearest to this one, the nearest last, where a model heeds it most; of equals the newest."""
    ranked = sorted(taught, key=lambda one: (-_nearness(clause, one), -one.amendment))
    return ranked[:most][::-1]


def taught(kept_out: Reserved) -> list[Taught]:
    """What the newest accepted proposals of machines teach, newest first; none that a reserved text stands in."""
    found = []
    for amendment, draft, last in _accepted():
        law = amendment.base.texts()
        before = next((clause for clause in law if clause.principle == amendment.principle_id), None)
        label, requests = _requests(amendment, kept_out)
        if before is None or not requests:
            continue
        added = _added(before.text, wording(last, law, before.principle))
        if added and not kept_out.why(added) and not _is_only_example(draft):
            found.append(Taught(amendment.pk, before.principle, before.text, requests, label, added))
    return found


def answers(kept_out: Reserved) -> list[Taught]:
    """The right answers, as people left them, of the examples that the newest accepted proposals of machines decide and
    that do nothing else, newest first; none that a reserved text stands in."""
    found = []
    for amendment, draft, last in _accepted():
        if not _is_only_example(draft):
            continue
        law = {clause.principle: clause for clause in amendment.base.texts()}
        kept = [one for one in last if isinstance(one, AddExample) and one.example.expects != "style"]
        found += [
            Taught(
                amendment.pk, one.principle, law[one.principle].text, (one.example.request,), label, one.example.right
            )
            for one in kept
            for label in [_label(one.example)]
            if kept_out.why(one.example.request, label) is None and kept_out.why(one.example.right) is None
        ]
    return found


def edited_answers(version: Version) -> list[EditedAnswer]:
    """The answers that people rewrote before they accepted a drafted example, of all that `version` holds; none that is
    held out or registered."""
    found: list[EditedAnswer] = []
    kept_out: Reserved | None = None
    for amendment, draft, last in _accepted(until=version):
        drafted = {one.example.request: one.example for one in draft if isinstance(one, AddExample)}
        kept = [one.example for one in last if isinstance(one, AddExample)]
        if drafted and kept_out is None:  # read where there is anything to ask it
            kept_out = reserved()
        found += [
            EditedAnswer(
                amendment.pk, amendment.principle_id, now.expects, now.request, now.right, drafted[now.request].right
            )
            for now in kept
            if kept_out is not None and _is_lesson(now, drafted.get(now.request), kept_out)
        ]
    return found


def _is_lesson(now: Example, was: Example | None, kept_out: Reserved) -> bool:
    """Whether people gave the same request another right answer, where that may be learnt from."""
    if was is None or now.expects == "style" or now.expects != was.expects or now.right == was.right:
        return False
    return kept_out.why(now.request, _label(now)) is None


def _label(example: Example) -> str:
    """What a request is that is decided so."""
    return "harmful" if example.expects == "decline" else "benign"


def _accepted(*, until: Version | None = None) -> list[tuple[Amendment, Operations, Operations]]:
    """The newest accepted proposals of machines below tier 1, newest first: as drafted, and as accepted."""
    rows = Amendment.objects.real().filter(state=states.ACCEPTED, producer__isnull=False, tier__gt=Tier.UNIVERSAL)
    if until is not None:
        rows = rows.filter(version__constitution=until.constitution_id, version__number__lte=until.number)
    chosen = list(rows.select_related("base", "version").order_by("-version__number", "-pk")[:LOOKED_AT])
    revisions: dict[int, list[Revision]] = {}
    for revision in Revision.objects.filter(amendment__in=chosen).order_by("amendment", "number"):
        revisions.setdefault(revision.amendment_id, []).append(revision)
    return [(one, revisions[one.pk][0].content, revisions[one.pk][-1].content) for one in chosen]


def _requests(amendment: Amendment, kept_out: Reserved) -> tuple[str, tuple[str, ...]]:
    """What the proposer was shown, of one label, without what is held out or reserved by now."""
    seen = amendment.measured.get("seen", [])
    rows = Scenario.objects.filter(pk__in=seen, held_out=False).exclude(label="unknown").order_by("pk")
    free = [row for row in rows if kept_out.why(row.prompt, row.label) is None]
    if not free:
        return "", ()
    return free[0].label, tuple(row.prompt for row in free if row.label == free[0].label)[:MOST_REQUESTS]


def _added(before: str, after: str) -> str:
    """The sentences that are new; none where the clause only lost some."""
    old = set(sentences_of(before))
    return " ".join(part for part in sentences_of(after) if part not in old)


def _is_only_example(operations: Operations) -> bool:
    return all(isinstance(operation, AddExample) for operation in operations)


def _nearness(clause: ClauseText, one: Taught) -> float:
    """1 for the clause itself, else how much of their texts both have in common, to two places: nearer is no sense."""
    return 1.0 if clause.principle == one.principle else round(likeness(clause.text, one.text), 2)


def of_label(found: Sequence[Taught], label: str) -> list[Taught]:
    """Those that settled requests of this label."""
    return [one for one in found if one.label == label]
