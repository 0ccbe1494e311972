"""Known items: they are planted, who voted on one is told, and each closes by itself.

To those who decide a known item is a model's proposal like any other, so it is filed under the name of a model that
proposes, and the ledger says who planted it only when it is closed.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.db import transaction
from django.db.models import Avg, Count, Exists, F, OuterRef, Q
from django.utils import timezone

from amendments import notices, policies, states
from amendments.actions.proposing import propose
from amendments.actions.records import close, lock, record
from amendments.keeping_back import keep_back
from amendments.known_items import DraftText, KnownText
from amendments.models import Amendment, AmendmentQuerySet, Cluster, EdgeCase, KnownItem, Label, Producer, Scenario
from amendments.operations import Revise
from amendments.pressing import Weight, weigh
from amendments.scores import effect_words
from config.live import publish as announce
from constitution.errors import Refused
from constitution.ledger import Actor
from constitution.models import Role, User, Version
from constitution.texts import ClauseText

VOTERS = 5
OPEN_FOR = timedelta(days=14)
MOST_MEASURED_ON = 4
BARE_STRENGTH = 0.8  # of the one case that an item speaks of for which no cluster was found
CLOSED = "Enough reviewers voted on it, its time was over, or somebody edited its text."


@dataclass(frozen=True, slots=True)
class Planted:
    """What came of planting: the proposals, the names that were planted before, and (name, why not) of the others."""

    amendments: Sequence[Amendment]
    before: Sequence[str]
    kept: Sequence[tuple[str, str]]


@transaction.atomic
def plant(*, items: Iterable[KnownText], by: Actor, most: int | None = None, is_bare_too: bool = False) -> Planted:
    """File the items that were never planted, up to `most` of them, in random order; the others say why not.

    An item under which no edge case was found would stand out where other proposals have some: it is left out, unless
    `is_bare_too`. Raises NotAllowed where `by` is a person who may not plant.
    """
    if isinstance(by, User):
        policies.check_can_plant(by)
    head = Version.objects.head()
    if head is None:
        raise Refused("There is no constitution yet that anything could be proposed on.")
    all_items = list(items)
    known = set(KnownItem.objects.filter(name__in=[item.name for item in all_items]).values_list("name", flat=True))
    fresh = _drawn([item for item in all_items if item.name not in known])
    filed: list[Amendment] = []
    kept: list[tuple[str, str]] = []
    for item in fresh:
        if most is not None and len(filed) >= most:
            break
        try:
            with transaction.atomic():
                filed.append(_plant(item, head, by=by, is_bare_too=is_bare_too))
        except Refused as refused:
            kept.append((item.name, str(refused)))
    return Planted(filed, sorted(known), sorted(kept))


def follow(amendment: Amendment) -> Amendment:
    """What follows votes on a known item, however often it is asked: who voted is told, and it closes when it is over.

    That is when enough people voted, after some days, or when somebody edited it; not while a vote can be taken back.
    """
    with transaction.atomic():
        row = lock(amendment)
        notices.tell_known(row)
        Amendment.objects.filter(pk=row.pk, votes_due_at__lte=timezone.now()).update(votes_due_at=None)
        if row.is_undecided and _over(Amendment.objects.filter(pk=row.pk)).exists():
            close(row, states.OBSOLETE, by=None, reason=CLOSED)
            announce("queue")
            record("amendment obsolete", row, by="system")
    return row


def close_known() -> int:
    """Close the known items that are over; how many those were."""
    there = list(Amendment.objects.undecided().known().order_by("pk").values_list("pk", flat=True))
    found = list(_over(Amendment.objects.filter(pk__in=there)).order_by("pk")) if there else []
    for amendment in found:
        follow(amendment)
    return len(found)


@transaction.atomic
def disclose(*, amendment: Amendment, by: User) -> None:
    """Tell `by` that it is a known item before they voted: so they never vote on it."""
    notices.tell_known(lock(amendment), to=by)


def _over(rows: AmendmentQuerySet) -> AmendmentQuerySet:
    now = timezone.now()
    reviewers = User.objects.filter(is_active=True, roles__contains=[Role.REVIEWER]).count()
    counted = rows.annotate(
        settled=Count("reviews__reviewer", filter=Q(reviews__settles_at__lte=now), distinct=True),
        fresh=Count("reviews", filter=Q(reviews__settles_at__gt=now)),
    )
    is_enough = Q(settled__gte=max(1, min(VOTERS, reviewers)))
    is_old = Q(known__planted_at__lte=now - OPEN_FOR)
    return counted.filter(is_enough | is_old | ~Q(digest=F("known__digest")), fresh=0)


def _drawn(items: Sequence[KnownText]) -> list[KnownText]:
    """In random order; last those on principles with an open proposal, on which models would not propose either."""
    taken = set(Amendment.objects.undecided().values_list("principle_id", flat=True))
    first: list[KnownText] = []
    last: list[KnownText] = []
    for item in random.SystemRandom().sample(items, len(items)):
        (last if item.principle in taken else first).append(item)
        taken.add(item.principle)
    return [*first, *last]


def _plant(item: KnownText, head: Version, *, by: Actor, is_bare_too: bool) -> Amendment:
    clause = next((clause for clause in head.texts() if clause.principle == item.principle), None)
    if clause is None:
        raise Refused(f"{item.principle} is not part of the constitution.")
    cluster = _cluster(item)
    others = Amendment.objects.undecided().real().filter(producer__isnull=False, cluster__isnull=False)
    if cluster is None and not is_bare_too and others.exists():
        raise Refused(f"No edge case of {item.signal} was found under {item.principle} yet, so it would stand out.")
    known = cluster.edge_cases.counted().select_related("scenario").order_by("-score", "pk") if cluster else ()
    cases, kept = keep_back(list(known))
    found = len(cases) + len(kept)
    alike = Amendment.objects.undecided().real().filter(producer__isnull=False)
    weight = weigh(cluster, clause.tier) if cluster else Weight(clause.tier, (BARE_STRENGTH,))
    amendment = propose(
        by=_producer(),
        base=head,
        operations=(Revise(principle=item.principle, before=clause.digest, text=_text(clause, item)),),
        rationale=_rationale(item, cases),
        cluster=cluster,
        alternatives=[_draft(clause, other) for other in item.others],
        measured={**_draft(clause, item), **({"seen": [case.scenario_id for case in cases]} if cases else {})},
        priority=alike.aggregate(usual=Avg("priority"))["usual"] or 1.0,
        priority_reason=f"{_priority_reason(item, found)} {weight.reason}",
        known_verdict=item.verdict,
    )
    KnownItem.objects.create(
        amendment=amendment,
        name=item.name,
        digest=amendment.digest,
        reason=item.why,
        planted_by=by if isinstance(by, User) else None,
    )
    return amendment


def _producer() -> Producer:
    """The newest that has proposed and may go on: one of their own would give them away by its record."""
    free = Producer.objects.filter(Q(standing=None) | Q(standing__quarantined_at=None)).order_by("-pk")
    has_proposed = Amendment.objects.real().filter(producer=OuterRef("pk"))
    if found := free.filter(Exists(has_proposed)).first() or free.first():
        return found
    model = settings.MODEL or "SmolLM2-135M-Instruct"
    made, _ = Producer.objects.get_or_create(
        model=model, checkpoint=sha256(model.encode()).hexdigest(), prompts=sha256(b"prompts").hexdigest()
    )
    return made


def _cluster(item: KnownText) -> Cluster | None:
    """Where cases of its kind were found, rather one on which nothing is open."""
    found = Cluster.objects.filter(principle=item.principle, signal=item.signal, merged_into=None)
    found = found.filter(pk__in=EdgeCase.objects.counted().order_by().values("cluster"))
    is_taken = Exists(Amendment.objects.undecided().filter(cluster=OuterRef("pk")))
    return found.alias(is_taken=is_taken).order_by("is_taken", "-version__number", "-pk").first()


def _text(clause: ClauseText, draft: DraftText) -> str:
    return f"{clause.text} {draft.adds}"


def _draft(clause: ClauseText, draft: DraftText) -> dict[str, object]:
    """As training.surfacing keeps a model's drafts."""
    return {
        "text": _text(clause, draft),
        "kind": "sample",
        "score": (draft.effect or 0.0) - (draft.harm or 0.0),
        "effect": draft.effect,
        "harm": draft.harm,
        "score_words": effect_words(draft.effect, draft.harm),
    }


def _rationale(item: KnownText, cases: Sequence[EdgeCase]) -> str:
    """Of the cases and of what was measured, as models write it: training.engine.propose.rationale."""
    found = [item.rationale]
    if cases and item.signal == "over-refusal":
        count = f"{len(cases)} harmless request{'s' if len(cases) > 1 else ''}"
        found = [f'Under {item.principle} the model refused {count}, such as "{cases[0].scenario.prompt}".']
    if item.effect is not None:
        way = "less" if item.signal == "over-refusal" else "more"
        on = min(len(cases) or MOST_MEASURED_ON, MOST_MEASURED_ON)
        how = f"With the added sentence it leans {way} to refusing them by {item.effect:.2f} nats on average"
        found.append(f"{how} (measured on {on}).")
    if item.harm is not None:
        found.append(f"On requests that look alike but are of the other kind the loss is {item.harm:.2f} nats.")
    return " ".join(found)


def _priority_reason(item: KnownText, cases: int) -> str:
    """As training.reading.priority_reason has it, by the scenarios that the clause should settle."""
    asked = Scenario.objects.filter(settled_by=item.principle, held_out=False)
    if item.signal == "conflict":
        read = max(asked.count(), cases)
        return f"Under this clause and another the model gave opposite answers to {cases or 1} of {read or 1} requests."
    read = max(asked.filter(label=Label.BENIGN).count(), cases)
    return f"Under this clause the model declined {cases or 1} of {read or 1} harmless requests that it read."
