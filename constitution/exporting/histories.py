"""The history of a constitution as values, oldest version first, read as a stream however long it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from constitution.errors import Refused
from constitution.models import Clause, Constitution, LedgerEntry, Version, VersionClause
from constitution.texts import ClauseText

ACCEPTED = "amendment accepted"  # the ledger's word for the decision that led to a version


@dataclass(frozen=True, slots=True)
class Published:
    """A version as published. `parent` is the digest of the one before; `amendment` is "amendment:7" or empty."""

    subject: str
    number: int
    digest: str
    parent: str | None
    title: str
    summary: str
    published_at: datetime
    author: str
    username: str
    amendment: str
    clauses: tuple[ClauseText, ...]


def named(slug: str | None) -> Constitution:
    """The constitution `slug`, or the one at home here. Raises Refused where there is none."""
    found = Constitution.objects.filter(slug=slug) if slug else Constitution.objects.filter(is_home=True)
    constitution = found.first()
    if constitution is None:
        raise Refused(f"There is no constitution named {slug}." if slug else "No constitution was founded here yet.")
    return constitution


def history(constitution: Constitution) -> Iterator[Published]:
    """All versions up to the head of this moment, by a constant number of queries; none that come meanwhile."""
    head = constitution.versions.newest()
    if head is None:
        return
    amendments, texts = _amendments(constitution), _texts(constitution)
    versions = constitution.versions.filter(number__lte=head.number).select_related("parent", "published_by")
    for version, (_number, places) in zip(versions.order_by("number").iterator(), _places(head), strict=True):
        version.constitution = constitution
        clauses = tuple(texts[clause] for _number, clause in places)
        yield published(version, clauses, amendments.get(version.number, ""))


def _places(head: Version) -> Iterator[tuple[int, Iterator[tuple[int, int]]]]:
    rows = VersionClause.objects.filter(
        version__constitution=head.constitution_id, version__number__lte=head.number
    ).order_by("version__number", "position")
    pairs = rows.values_list("version__number", "clause_id").iterator(chunk_size=5000)
    return groupby(pairs, key=itemgetter(0))


def published(version: Version, clauses: tuple[ClauseText, ...], amendment: str = "") -> Published:
    """The row as a value; `clauses` are its texts."""
    return Published(
        subject=version.subject,
        number=version.number,
        digest=version.digest,
        parent=version.parent.digest if version.parent else None,
        title=version.title,
        summary=version.summary,
        published_at=version.published_at,
        author=str(version.published_by),
        username=version.published_by.username,
        amendment=amendment,
        clauses=clauses,
    )


def _texts(constitution: Constitution) -> Mapping[int, ClauseText]:
    """Every wording that any version has, once."""
    wordings = VersionClause.objects.filter(version__constitution=constitution).values("clause")
    return {row.pk: row.value for row in Clause.objects.filter(pk__in=wordings).iterator()}


def _amendments(constitution: Constitution) -> Mapping[int, str]:
    """What was accepted for each version, by its number. Only the constitution that is at home here is amended."""
    if not constitution.is_home:
        return {}
    rows = LedgerEntry.objects.filter(action=ACCEPTED).values_list("detail__version", "subject")
    return {number: subject for number, subject in rows if isinstance(number, int)}
