"""What stands around a proposal: others on its clauses, the clauses beside its own, and what was decided before."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from amendments.models import Amendment, Revision
from amendments.operations import Operations, summarise
from amendments.overlapping import Relation, relation
from amendments.views.words import STATE_LABELS, kind_label, proposer_label
from constitution.models import Version
from constitution.texts import ClauseText, Example

OVERLAPS_SHOWN = 8
DECIDED_SHOWN = 4
EXAMPLES_SHOWN = 3
BESIDE_SHOWN = 8
WORD = re.compile(r"\w{4,}")
RELATIONS = {
    Relation.CONTRADICTS: ("Contradicts", "Both change the same words: of the two, one can be accepted as it is."),
    Relation.SAME: ("The same", "Both propose the same."),
    Relation.COMPATIBLE: ("Overlaps", "Both touch the same clause in different places: both can be accepted."),
}


def overlaps(amendment: Amendment, operations: Operations, law: Sequence[ClauseText]) -> dict[str, Any]:
    """Undecided proposals on a clause of this one, most pressing first, each with what the two are to each other."""
    if not amendment.is_undecided:
        return {"overlaps": [], "overlaps_more": 0}
    rows = Amendment.objects.undecided().filter(touches__overlap=amendment.touches).exclude(pk=amendment.pk)
    shown = list(rows.select_related("producer", "author").in_queue_order()[:OVERLAPS_SHOWN])
    contents = _contents(shown)
    others = Version.objects.filter(pk__in={row.base_id for row in shown} - {amendment.base_id}).texts()
    laws = {**others, amendment.base_id: law}
    found = [
        _overlap(row, contents[row.pk], relation(operations, law, contents[row.pk], laws[row.base_id])) for row in shown
    ]
    more = rows.count() - len(shown) if len(shown) == OVERLAPS_SHOWN else 0
    return {"overlaps": found, "overlaps_more": more}


def beside(principle: str, law: Sequence[ClauseText]) -> list[dict[str, str]]:
    """The clauses that one reads together with `principle`: before and after it, and those that name each other."""
    names = [clause.principle for clause in law]
    if principle not in names:
        return []
    place = names.index(principle)
    own = law[place]
    found: dict[str, dict[str, str]] = {}
    for label, clauses in (
        ("It refers to", [clause for clause in law if clause.principle in own.refers_to]),
        ("It prevails over", [clause for clause in law if clause.principle in own.precedes]),
        ("Refers to it", [clause for clause in law if principle in clause.refers_to]),
        ("Prevails over it", [clause for clause in law if principle in clause.precedes]),
        ("Stands before it", law[max(place - 1, 0) : place]),
        ("Stands after it", law[place + 1 : place + 2]),
    ):
        for clause in clauses:
            row = {"label": label, "principle": clause.principle, "title": clause.title, "text": clause.text}
            found.setdefault(clause.principle, row)
    return list(found.values())[:BESIDE_SHOWN]


def precedents(amendment: Amendment, clause: ClauseText | None, asked: Iterable[str]) -> dict[str, Any]:
    """What was decided before on this clause: proposals, newest first, and the examples nearest to what is `asked`."""
    rows = Amendment.objects.decided().filter(touches__contains=[amendment.principle_id]).exclude(pk=amendment.pk)
    rows = rows.select_related("version").order_by("-decided_at", "-pk")[:DECIDED_SHOWN]
    return {
        "decided_before": [_decided(row) for row in rows],
        "nearest_examples": _nearest(clause.examples if clause else (), " ".join([*asked, amendment.rationale])),
    }


def _contents(rows: Iterable[Amendment]) -> dict[int, Operations]:
    revisions = Revision.objects.filter(amendment__in=[row.pk for row in rows]).order_by("amendment", "-number")
    return {revision.amendment_id: revision.content for revision in revisions.distinct("amendment")}


def _overlap(row: Amendment, operations: Operations, found: Relation) -> dict[str, Any]:
    label, sentence = RELATIONS[found]
    return {
        "pk": row.pk,
        "url": row.get_absolute_url(),
        "summary": summarise(operations),
        "proposer": proposer_label(row),
        "relation": found.value,
        "label": label,
        "sentence": sentence,
    }


def _decided(row: Amendment) -> dict[str, Any]:
    return {
        "pk": row.pk,
        "url": row.get_absolute_url(),
        "kind_label": kind_label(row),
        "state": row.state,
        "state_label": STATE_LABELS[row.state],
        "at": row.decided_at,
        "why": row.reason or row.rationale,
        "version_number": row.version.number if row.version else None,
    }


def _nearest(examples: Iterable[Example], asked: str) -> list[Example]:
    """Those that share the most words with `asked`; none that shares no word."""
    wanted = set(WORD.findall(asked.casefold()))
    scores = [(len(wanted & set(WORD.findall(example.request.casefold()))), example) for example in examples]
    ranked = sorted(scores, key=lambda score: -score[0])
    return [example for score, example in ranked if score][:EXAMPLES_SHOWN]
