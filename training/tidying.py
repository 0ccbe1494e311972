"""Less law where less is enough: two clauses that say nearly the same are proposed as one, and a clause that applied to
nothing that was read is proposed for repeal, with that as the evidence.

Rules of ours find these, no model does, and they propose under a name of their own: so people can hold them back by
themselves. Universal clauses are left to people. What was proposed once is not proposed again, whatever came of it,
before the wordings change.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import structlog

from amendments import linting
from amendments.actions import propose
from amendments.errors import HeldBack
from amendments.likeness import ALIKE
from amendments.linting import likeness, sentences_of
from amendments.models import Amendment, EdgeCase, Producer
from amendments.operations import Absorbed, Merge, Operation, Repeal, content_digest
from amendments.opposed import opposed
from amendments.shares import Share
from constitution.digests import digest
from constitution.errors import Refused
from constitution.models import Tier, Version
from constitution.resolution import in_force
from constitution.texts import ClauseText
from training.models import Reading
from training.states import DONE

RULES = "tidying-1"
MOST_OF_A_KIND = 1
# Readings that are looked back at, and of how many a clause has to have been in force before its silence says a thing.
LOOKED_BACK, LEAST_IN_FORCE = 400, 100
# Of the examples of the clause that has fewer, the share that the other has in nearly the same words.
SHARED_EXAMPLES, LEAST_EXAMPLES = 0.5, 2

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Idea:
    """A change that would leave less law, and why, in words."""

    operation: Operation
    rationale: str
    reason: str


def producer() -> Producer:
    """Under which name these rules propose: another one when they change."""
    rules = digest([RULES, ALIKE, SHARED_EXAMPLES, LOOKED_BACK, LEAST_IN_FORCE])
    return Producer.objects.get_or_create(model="Tidying rules", checkpoint=rules, prompts=digest([]))[0]


def tidy(version: Version) -> int:
    """File at most one merge and one repeal that nobody has been asked about yet; how many were filed."""
    clauses = version.texts()
    taken = {name for row in Amendment.objects.undecided().real() for name in row.touches}
    filed = 0
    for found in (merges(clauses, taken), repeals(version, clauses, taken)):
        fresh = (idea for idea in found if not _was_asked(idea))
        for idea in islice(fresh, MOST_OF_A_KIND):
            filed += _file(version, clauses, idea)
    return filed


def merges(clauses: Sequence[ClauseText], taken: set[str]) -> Iterator[Idea]:
    """Pairs of one tier and one scope that say nearly the same, the most alike first."""
    free = [clause for clause in clauses if Tier(clause.tier) != Tier.UNIVERSAL and clause.principle not in taken]
    pairs = [(one, other, *_common(one, other)) for one, other in combinations(free, 2) if _may_be_one(one, other)]
    alike = [pair for pair in pairs if pair[2] >= ALIKE or pair[3] >= SHARED_EXAMPLES]
    for one, other, text, examples in sorted(alike, key=lambda pair: (-max(pair[2:]), pair[0].principle)):
        yield _merge(one, other, text, examples)


def repeals(version: Version, clauses: Sequence[ClauseText], taken: set[str]) -> Iterator[Idea]:
    """Clauses of tier 2 that applied to none of the newest requests read, those in force for most of them first.

    Readings do not ask for clauses of style, so that these never apply says nothing; and what a clause said before it
    was reworded is another clause's evidence.
    """
    rows = Reading.objects.filter(run__state=DONE, run__version__constitution=version.constitution_id)
    newest = list(rows.select_related("scenario", "run").order_by("-pk")[:LOOKED_BACK])
    worded = _worded({row.run.version_id for row in newest})
    applied: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for row in newest:
        applied.update({verdict["principle"] for verdict in row.detail.get("verdicts", [])})
        applied[row.scenario.settled_by] += 1
        same = [clause for clause in clauses if clause.digest in worded[row.run.version_id]]
        held.update(clause.principle for clause in in_force(same, row.scenario.context))
    known = set(EdgeCase.objects.order_by().values_list("principle", flat=True).distinct())
    for clause in sorted(clauses, key=lambda one: (-held[one.principle], one.principle)):
        name = clause.principle
        is_silent = held[name] >= LEAST_IN_FORCE and not applied[name] and name not in taken | known
        if is_silent and Tier(clause.tier) == Tier.CONTEXTUAL and clause.examples:
            yield _repeal(clause, held[name])


def _worded(versions: Iterable[int]) -> dict[int, set[str]]:
    """By version, the digests of what its clauses say."""
    found = Version.objects.filter(pk__in=set(versions)).texts()
    return {version: {clause.digest for clause in clauses} for version, clauses in found.items()}


def _may_be_one(one: ClauseText, other: ClauseText) -> bool:
    """Whether people could have meant one rule by both; not where they decide a request in opposite ways."""
    apart = other.principle in {*one.precedes, *one.exclusive_with} or one.principle in {
        *other.precedes,
        *other.exclusive_with,
    }
    return one.tier == other.tier and one.scope == other.scope and not apart and not opposed([one, other])


def _common(one: ClauseText, other: ClauseText) -> tuple[float, float]:
    """How alike the texts are, and which share of the fewer examples the other clause has in nearly the same words."""
    fewer, more = sorted(([e.request for e in clause.examples] for clause in (one, other)), key=len)
    if len(fewer) < LEAST_EXAMPLES:
        return likeness(one.text, other.text), 0.0
    shared = sum(any(likeness(request, known) >= ALIKE for known in more) for request in fewer)
    return likeness(one.text, other.text), shared / len(fewer)


def _merge(one: ClauseText, other: ClauseText, text: float, examples: float) -> Idea:
    """The longer one takes the other in, with those of its sentences that it lacks."""
    kept, gone = sorted((one, other), key=lambda clause: (-len(clause.text), clause.principle))
    known = sentences_of(kept.text)
    added = [part for part in sentences_of(gone.text) if all(likeness(part, known_one) < ALIKE for known_one in known)]
    operation = Merge(
        principle=kept.principle,
        before=kept.digest,
        text=" ".join([kept.text.strip(), *added]),
        absorbs=(Absorbed(principle=gone.principle, before=gone.digest),),
    )
    takes = f" and takes over {len(added)} of the sentences of {gone.principle}," if added else ","
    rationale = (
        f"{kept.principle} and {gone.principle} are of one tier and one scope and say nearly the same: their texts have"
        f" {text:.0%} of their runs of letters in common, and {examples:.0%} of the examples of the one with fewer"
        f" stand in the other in nearly the same words. {kept.principle} keeps its text{takes} and the decided examples"
        " of both. Whether they were two on purpose, people know."
    )
    return Idea(operation, rationale, f"Two clauses say nearly the same ({max(text, examples):.0%} in common).")


def _repeal(clause: ClauseText, held: int) -> Idea:
    _, most = Share(0, held).interval
    rationale = (
        f"With its present wording {clause.principle} was in force for {held} of the requests that were read last, and"
        f" applied to none of them (0 of {held}; with 95 % confidence to at most {most:.1%} of such requests). It was"
        " neither the clause that should settle one nor one of the two whose decided examples came nearest, and no edge"
        " case is known under it. The requests are those that are there to be read: a rare one may be just what it is"
        " for."
    )
    return Idea(
        Repeal(principle=clause.principle, before=clause.digest), rationale, f"It applied to 0 of {held} requests read."
    )


def _was_asked(idea: Idea) -> bool:
    """Whether exactly this was proposed before, by whomever and whatever came of it."""
    return Amendment.objects.real().filter(digest=content_digest([idea.operation])).exists()


def _file(version: Version, clauses: Sequence[ClauseText], idea: Idea) -> int:
    if reasons := linting.why_not([idea.operation], clauses):
        log.info("a tidying was left out", principle=idea.operation.principle, reasons=reasons)
        return 0
    try:
        propose(
            by=producer(),
            base=version,
            operations=(idea.operation,),  # type: ignore[arg-type]
            rationale=idea.rationale,
            priority_reason=idea.reason,
        )
    except HeldBack as refused:
        log.info("a tidying was held back", reason=str(refused))
        return 0
    except Refused as refused:
        log.warning("a tidying was refused", principle=idea.operation.principle, reason=str(refused))
        return 0
    return 1
