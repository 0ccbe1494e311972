"""What is behind a version's words: the change they came in with, who decided on it, and what was trained on it.

Amendments and rounds belong to the rooms above: only the way back to them, by its name, is used here.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from django.db.models import Count

from constitution.models import Constitution, Version, VersionClause
from constitution.sentences import split


class Vote(NamedTuple):
    """What a reviewer or a member of the board said. `is_final` where it was on the wording that was accepted: only
    those count.
    """

    voter: str
    verdict: str
    reason: str
    is_final: bool


class FirstRound(NamedTuple):
    """The earliest round that trained on a version's words; `number` is of the version that it was opened for."""

    pk: int
    state: str
    number: int


@dataclass(frozen=True, slots=True)
class Source:
    """One version as the source of words. Without an amendment it was published as it stands."""

    number: int
    title: str
    summary: str
    published_at: datetime
    published_by: str
    amendment: int | None
    proposer: str
    is_machine: bool
    rationale: str
    votes: tuple[Vote, ...]
    evidence: int
    first_round: FirstRound | None

    @property
    def approvals(self) -> int:
        return sum(vote.is_final and vote.verdict == "approve" for vote in self.votes)

    @property
    def rejections(self) -> int:
        return sum(vote.is_final and vote.verdict == "reject" for vote in self.votes)


class Passage(NamedTuple):
    """Neighbouring sentences of a clause that came in together, with the number of the version they came in with."""

    number: int
    text: str


def passages(row: VersionClause) -> list[Passage]:
    """The text of a clause by where it comes from; joined, the passages give the text back."""
    pairs = zip(row.origins, split(row.clause.text), strict=True)
    return [
        Passage(number, "".join(sentence for _, sentence in found))
        for number, found in groupby(pairs, key=lambda pair: pair[0])
    ]


def sources(constitution: Constitution, numbers: Iterable[int]) -> dict[int, Source]:
    """What is behind the versions of those numbers. A constant number of queries."""
    wanted = set(numbers)
    rounds = _rounds(constitution, wanted)
    versions = constitution.versions.filter(number__in=wanted).order_by("number")
    evidence = dict(versions.values_list("number").annotate(Count("amendment__cluster__edge_cases")))
    rows = versions.select_related("published_by", "amendment__author", "amendment__producer").prefetch_related(
        "amendment__reviews__reviewer", "amendment__board_votes__member"
    )
    return {row.number: _source(row, evidence[row.number], rounds) for row in rows}


def _rounds(constitution: Constitution, numbers: set[int]) -> list[FirstRound]:
    """The first round of each version that has one, from the smallest of `numbers` on, in the order of versions."""
    found = (
        constitution.versions.filter(number__gte=min(numbers, default=0), rounds__isnull=False)
        .order_by("number", "rounds__pk")
        .values_list("rounds__pk", "rounds__state", "number")
    )
    by_version = groupby((FirstRound(*row) for row in found), key=lambda row: row.number)
    return [next(rows) for _, rows in by_version]


def _first_round(number: int, rounds: list[FirstRound]) -> FirstRound | None:
    """A round for a later version trains on the words of this one too, where this one has none of its own."""
    place = bisect_left(rounds, number, key=lambda row: row.number)
    return rounds[place] if place < len(rounds) else None


def _source(version: Version, evidence: int, rounds: list[FirstRound]) -> Source:
    amendment = getattr(version, "amendment", None)
    return Source(
        number=version.number,
        title=version.title,
        summary=version.summary,
        published_at=version.published_at,
        published_by=str(version.published_by),
        amendment=amendment.pk if amendment else None,
        proposer=str(amendment.proposer) if amendment else "",
        is_machine=bool(amendment and amendment.producer_id),
        rationale=amendment.rationale if amendment else "",
        votes=_votes(amendment) if amendment else (),
        evidence=evidence,
        first_round=_first_round(version.number, rounds),
    )


def _votes(amendment: Any) -> tuple[Vote, ...]:
    """In the order in which they were cast. `amendment` is an amendments.models.Amendment."""
    reviews = [(each.at, str(each.reviewer), each) for each in amendment.reviews.all()]
    board = [(each.at, f"{each.member} (advisory board)", each) for each in amendment.board_votes.all()]
    found = sorted(reviews + board, key=lambda entry: entry[:2])
    return tuple(Vote(who, each.verdict, each.reason, each.digest == amendment.digest) for _, who, each in found)
