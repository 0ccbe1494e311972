"""Many proposals at once: one verb on each, each in a transaction of its own, and what came of each.

Nothing here decides by itself: every proposal goes through the verb that its own page would use, and what that refuses
is left out with the sentence it gave.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from amendments import actions, policies
from amendments.models import AcceptanceRule, Amendment
from constitution.errors import NotAllowed, Refused
from constitution.models import Tier, User

MOST = 500
# Each acceptance publishes a version, which is checked and proved: some seconds a page may take, not minutes.
MOST_ACCEPTED = 20

Verb = Callable[[Amendment, str], object]


@dataclass(frozen=True, slots=True)
class Item:
    """A proposal that was chosen, and the digest of the content that the person saw."""

    pk: int
    digest: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one: done, or skipped with the sentence that says why."""

    amendment: Amendment
    digest: str
    is_done: bool
    sentence: str


def reject(*, items: Sequence[Item], by: User, reason: str) -> list[Outcome]:
    reason = policies.check_says_why(reason)
    return _each(
        items,
        lambda row, seen: actions.reject(amendment=row, by=by, seen_digest=seen, reason=reason),
        lambda row: "Your rejection is in." if row.is_undecided else "Rejected.",
    )


def defer(*, items: Sequence[Item], by: User, until: date, reason: str) -> list[Outcome]:
    reason = policies.check_says_why(reason)
    return _each(
        items,
        lambda row, _: actions.defer(amendment=row, by=by, until=until, reason=reason),
        lambda _: f"Deferred until {until:%-d %B %Y}.",
    )


def assign(*, items: Sequence[Item], by: User, to: User | None) -> list[Outcome]:
    done = f"Assigned to {to}." if to else "Assigned to nobody."
    return _each(items, lambda row, _: actions.assign(amendment=row, by=by, to=to), lambda _: done)


def mark_duplicate(*, items: Sequence[Item], by: User, of: Amendment, reason: str) -> list[Outcome]:
    return _each(
        items,
        lambda row, _: actions.mark_duplicate(amendment=row, by=by, of=of, reason=reason),
        lambda _: f"Closed as a duplicate of #{of.pk}.",
    )


def accept(*, items: Sequence[Item], by: User) -> list[Outcome]:
    """Approve each. Only style that one reviewer accepts: anything more is read by itself.

    Raises Refused for more than `MOST_ACCEPTED`.
    """
    if len(items) > MOST_ACCEPTED:
        raise Refused(
            f"At most {MOST_ACCEPTED} are accepted at once, because each becomes a version. Choose fewer; "
            "nothing was decided."
        )
    rule = policies.rule_for(Tier.STYLE)

    def approve(row: Amendment, seen: str) -> object:
        check_can_accept_among_many(row, rule)
        return actions.accept(amendment=row, by=by, seen_digest=seen)

    return _each(items, approve, lambda row: "Your approval is in." if row.is_undecided else "Accepted.")


def check_can_accept_among_many(amendment: Amendment, rule: AcceptanceRule) -> None:
    """Raise where acceptance takes more than one reviewer's approval. `rule` is that of style."""
    if amendment.tier != Tier.STYLE:
        raise NotAllowed("It touches more than style: it is accepted on its own page, one by one.")
    if amendment.referred_at:
        raise NotAllowed("It is before the advisory board: it is accepted on its own page.")
    if rule.reviewers > 1 or policies.missing(rule):
        raise NotAllowed("More than one reviewer has to approve style here: it is accepted on its own page.")


def _each(items: Sequence[Item], verb: Verb, said: Callable[[Amendment], str]) -> list[Outcome]:
    """Do it to one after the other. A refusal skips that one alone.

    Raises Refused for more than `MOST`, and for none.
    """
    if not items:
        raise Refused("Nothing is chosen. Tick the proposals that you mean.")
    if len(items) > MOST:
        raise Refused(f"At most {MOST} are decided at once. Choose fewer; nothing was decided.")
    return list(_outcomes(items, Amendment.objects.in_bulk([item.pk for item in items]), verb, said))


def _outcomes(
    items: Iterable[Item], rows: dict[int, Amendment], verb: Verb, said: Callable[[Amendment], str]
) -> Iterator[Outcome]:
    for item in items:
        row = rows.get(item.pk)
        if row is None:
            continue
        try:
            verb(row, item.digest)
        except Refused as refused:
            yield Outcome(row, item.digest, is_done=False, sentence=str(refused))
        else:
            row.refresh_from_db(fields=["state", "decided_at"])
            yield Outcome(row, item.digest, is_done=True, sentence=said(row))
