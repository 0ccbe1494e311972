"""How well the desk decides: whether the model's score sways it, and how far reviewers agree with known items."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, Q
from django.db.models.functions import Now

from amendments import policies
from amendments.insights import COUNT, SHARE, TEXT, Period, Table, decided
from amendments.models import Amendment, Review, Verdict
from amendments.shares import Share
from constitution.models import User

MOST_LISTED = 200
COUNTED = Q(settles_at__lte=Now()) | Q(amendment__decided_at__isnull=False)


@dataclass(frozen=True, slots=True)
class Measure:
    """How a reviewer voted on known items: `share` is right of all; the others are what was wrong, by how."""

    reviewer: str
    share: Share
    accepted_wrongly: int
    rejected_wrongly: int
    asked: int


def score(period: Period) -> Table:
    """Whether reviewers accept more often with the model's own score in sight. Each one's first vote on a proposal."""
    rows = Review.objects.filter(amendment__in=decided(period).values("pk"), score_shown__isnull=False)
    first = rows.order_by("amendment", "reviewer", "pk").distinct("amendment", "reviewer").values("pk")
    found = Review.objects.filter(pk__in=first).order_by("score_shown").values("score_shown")
    counted = found.annotate(n=Count("pk"), k=Count("pk", filter=Q(first_verdict=Verdict.APPROVE)))
    shares = {row["score_shown"]: Share(row["k"], row["n"]) for row in counted}
    shown, hidden = shares.get(True, Share(0, 0)), shares.get(False, Share(0, 0))
    table_rows = [
        (name, share.n, share.k, share.rate, *(share.interval if share.n else (None, None)))
        for name, share in (("Score shown", shown), ("Score hidden until the vote", hidden))
    ]
    difference = shown.minus(hidden) or (None, None, None)
    columns = (("Votes", TEXT), ("Cast", COUNT), ("To accept", COUNT), ("Share", SHARE), ("From", SHARE), ("To", SHARE))
    explanation = (
        "First votes on decided proposals for which the model gave a score. Of these, one pair of proposal and "
        "reviewer in four is drawn to vote before the score is shown. Wilson's 95 % intervals; that of the "
        "difference is Newcombe's, as if votes did not depend on each other. With 0 in it, it shows no sway."
    )
    rows_or_none = [*table_rows, ("Shown minus hidden", None, None, *difference)] if shares else []
    return Table("The model’s score and the votes", explanation, columns, rows_or_none)


def measures(viewer: User) -> list[Measure]:
    """Of `viewer` their own; of all reviewers for who oversees. Votes on the text as planted, which count."""
    votes = Review.objects.filter(COUNTED, digest=F("amendment__known__digest"))
    votes = votes.exclude(reviewer=F("amendment__known__planted_by"))
    if not policies.may_read_measures(viewer):
        votes = votes.filter(reviewer=viewer)
    is_right = Q(verdict=F("amendment__known_verdict"))
    counted = (
        votes.order_by("reviewer__username")
        .values("reviewer", "reviewer__username")
        .annotate(
            n=Count("pk"),
            k=Count("pk", filter=is_right),
            accepted=Count("pk", filter=~is_right & Q(verdict=Verdict.APPROVE)),
            rejected=Count("pk", filter=~is_right & Q(verdict=Verdict.REJECT)),
            asked=Count("pk", filter=Q(verdict=Verdict.CHANGES)),
        )
    )
    names = User.objects.in_bulk([row["reviewer"] for row in counted])
    return [
        Measure(
            reviewer=str(names[row["reviewer"]]),
            share=Share(row["k"], row["n"]),
            accepted_wrongly=row["accepted"],
            rejected_wrongly=row["rejected"],
            asked=row["asked"],
        )
        for row in counted
    ]


def listing(viewer: User) -> list[dict[str, Any]]:
    """The known items, newest first, for who may know which they are; to others nothing."""
    if not policies.may_list_known(viewer):
        return []
    rows = Amendment.objects.known().select_related("known__planted_by").order_by("-pk")
    counted = rows.annotate(votes=Count("reviews__reviewer", filter=Q(reviews__settles_at__lte=Now()), distinct=True))
    return [
        {
            "pk": row.pk,
            "url": row.get_absolute_url(),
            "name": row.known.name,
            "principle": row.principle_id,
            "verdict": row.get_known_verdict_display(),
            "votes": row.votes,  # type: ignore[attr-defined]  # annotated above
            "is_open": row.is_undecided,
            "planted_by": str(row.known.planted_by or "a command"),
            "planted_at": row.known.planted_at,
        }
        for row in counted[:MOST_LISTED]
    ]
