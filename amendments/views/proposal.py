"""One proposal: the change, why, the evidence, who made it, what is needed, and the way to decide."""

from functools import cached_property
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from amendments import board, policies, previews, scores, states
from amendments.context import moved_around
from amendments.models import AcceptanceRule, Amendment, BoardVerdict, Revision
from amendments.operations import Merge, Operations, Split, apply, wording
from amendments.opposed import opposed_anew
from amendments.views.comments import Said, discussion
from amendments.views.example_form import example_form
from amendments.views.hands import claim_context
from amendments.views.origin import evidence, producer
from amendments.views.panels import Attempt, decision
from amendments.views.previews import section
from amendments.views.surroundings import beside, overlaps, precedents
from amendments.views.trail import Trail
from amendments.views.words import KNOWN_CLOSED, STATE_LABELS, assignee_label, kind_label, known_words
from amendments.visibility import Seen, consolidating_since, visible_reviews
from config.http import render_page
from constitution.diffs import Change, changes, redline
from constitution.models import Clause, User, Version, VersionClause
from constitution.people import PersonRequest
from constitution.texts import ClauseText
from constitution.views.history.parts import comparison

TEMPLATE = "amendments/amendment_page.html"
AHEAD = 60  # seconds for which the browser may keep what it has loaded ahead; the page then brings itself up to date
PARTIALS = {"standing", "decision", "preview"}


@require_safe
def detail(request: PersonRequest, pk: int) -> HttpResponse:
    response = page(request, pk, Attempt())
    if request.headers.get("Sec-Purpose", "").startswith("prefetch"):
        patch_cache_control(response, private=True, max_age=AHEAD)
    return response


def page(request: PersonRequest, pk: int, attempt: Attempt, *, said: Said | None = None) -> HttpResponse:
    """The proposal's page as it stands now, with what the person just tried to decide or to say."""
    amendment = load(pk)
    view = Standing(amendment, request.user)
    found = evidence(amendment)
    context = {
        "amendment": view.facts(),
        **found,
        "producer": producer(amendment),
        "score": view.score(),
        "alternatives": view.alternatives(),
        "requirements": _requirements(amendment),
        **section(amendment, request.user, view.conflicts),
        **_reviews(request, amendment),
        **overlaps(amendment, view.operations, view.law),
        "beside": beside(amendment.principle_id, view.law_in_force),
        **precedents(amendment, view.clause, [case["prompt"] for case in found["evidence"]]),
        "discussion": discussion(amendment, request.user, before=request.GET.get("before", ""), said=said),
        "outdated": view.outdated(),
        "decided": view.decided(),
        "known": view.known(),
        **decision(request, amendment, view, attempt),
        "example": example_form(view.operations, attempt),
        **claim_context(amendment, request.user),
        "may_withdraw": amendment.author_id == request.user.pk and amendment.is_undecided,
        **Trail(request, amendment).context(),
    }
    status = said.status if said else attempt.status
    return render_page(request, TEMPLATE, context, partials=PARTIALS, status=status)


def load(pk: int) -> Amendment:
    people = ("author", "assignee", "decided_by", "known")
    rows = Amendment.objects.select_related("base", "cluster__merged_into", "producer", "version", *people)
    return get_object_or_404(rows, pk=pk)


class Standing:
    """An amendment beside the law, for `viewer`: what it says, what it would say, and what the head says by now."""

    def __init__(self, amendment: Amendment, viewer: User) -> None:
        self.amendment = amendment
        self.viewer = viewer
        self.is_score_hidden = scores.is_hidden(amendment, viewer)
        self.is_told = policies.is_told(amendment, viewer)
        self.revisions: list[Revision] = list(amendment.revisions.select_related("author").order_by("number"))
        self.law = amendment.base.texts()
        self.clause = next((clause for clause in self.law if clause.principle == amendment.principle_id), None)
        self.operations = self.revisions[-1].content
        self.after = self.wording(self.operations)
        self.head = Version.objects.head()

    @property
    def before(self) -> str:
        return self.clause.text if self.clause else ""

    @property
    def title(self) -> str:
        """The clause's title; of one that is added, its new one."""
        clauses = [self.clause] if self.clause else apply(self.operations, self.law)
        return next(clause.title for clause in clauses if clause.principle == self.amendment.principle_id)

    def wording(self, operations: Operations) -> str:
        """What the clause that the amendment is about says after the operations."""
        return wording(operations, self.law, self.amendment.principle_id)

    def facts(self) -> dict[str, Any]:
        amendment = self.amendment
        return {
            "pk": amendment.pk,
            "principle": amendment.principle_id,
            "title": self.title,
            "tier": amendment.tier,
            "kind_label": kind_label(amendment),
            "state": amendment.state,
            "state_label": STATE_LABELS[amendment.state],
            "is_open": amendment.is_undecided and not self.is_told,
            "rationale": scores.without_score(amendment.rationale) if self.is_score_hidden else amendment.rationale,
            "created_at": amendment.created_at,
            "base_number": amendment.base.number,
            "assignee": assignee_label(amendment),
            "deferred_until": amendment.deferred_until if policies.is_deferred(amendment) else None,
            "duplicate_of": amendment.duplicate_of_id,
            "changed_beside": self.changed_beside(),
            "contradictions": self.contradictions(),
            "has_life": self.clause is not None,
            "digest": amendment.digest,
            "before": self.before,
            "after": self.after,
            "changes": self.changes(),
        }

    def changes(self) -> list[dict[str, Any]]:
        """Every clause that it touches, the one that it is about first, each with both texts."""
        found = changes(self.law, apply(self.operations, self.law))
        fates = _fates(self.operations)
        return [
            comparison(change)
            | {
                "fate": fates.get(change.principle, change.kind),
                "before": change.before.text if change.before else "",
                "after": change.after.text if change.after else "",
            }
            for change in sorted(found, key=self._is_beside)
        ]

    @cached_property
    def law_in_force(self) -> list[ClauseText]:
        return self.law if self.head is None or self.head == self.amendment.base else self.head.texts()

    def changed_beside(self) -> list[str]:
        """The principles beside its own that say something else by now than when it was written."""
        is_open = self.amendment.is_undecided
        return moved_around(self.law, self.law_in_force, set(self.amendment.touches)) if is_open else []

    def contradictions(self) -> list[str]:
        """The requests that the law would have decided in opposite ways by what is proposed, in words."""
        return self.conflicts["made"] if self.amendment.is_undecided else []

    @cached_property
    def conflicts(self) -> dict[str, list[str]]:
        """The requests that are decided in opposite ways by what is proposed and not without it, and the other way
        round, in words."""
        after = apply(self.operations, self.law)
        found = {"made": opposed_anew(after, self.law), "ended": opposed_anew(self.law, after)}
        return {name: [f"“{one.request}”: {one.sentence}" for one in rows] for name, rows in found.items()}

    def _is_beside(self, change: Change) -> bool:
        return change.principle != self.amendment.principle_id

    def alternatives(self) -> list[dict[str, Any]]:
        return [
            {
                "index": index,
                "text": found["text"],
                "score_words": "" if self.is_score_hidden else found.get("score_words", ""),
                "redline": redline(self.before, found["text"]),
                "refusal": found.get("refusal", ""),
            }
            for index, found in enumerate(self.amendment.alternatives)
        ]

    def score(self) -> dict[str, Any]:
        """The model's own score of its draft, or that it is kept from the viewer for now."""
        shown = "" if self.is_score_hidden else self.amendment.measured.get("score_words", "")
        return {"is_hidden": self.is_score_hidden, "words": shown, "one_in": scores.ONE_IN}

    def known(self) -> dict[str, str] | None:
        """What to say of a known item: to who voted what is right, to the others nothing before it is closed."""
        if self.is_told:
            return known_words(self.amendment, self.viewer)
        is_closed = self.amendment.is_known and not self.amendment.is_undecided
        return {"sentence": "", "why": ""} if is_closed else None

    def outdated(self) -> dict[str, Any] | None:
        """What to say where the base is no longer the head; None where it is, or where it was accepted."""
        amendment, head = self.amendment, self.head
        if head is None or amendment.base == head or amendment.state == states.ACCEPTED:
            return None
        now = _clause(head, amendment.principle_id)
        is_same = now is not None and self.clause is not None and now.digest == self.clause.digest
        intro = f"It was written against {amendment.base}; version {head.number} is in force now."
        unchanged = f"{amendment.principle_id} still says the same there, so it can be accepted as it is."
        what_now = (
            "edit the text to settle that." if amendment.is_undecided else "it could not have been accepted any more."
        )
        moved = f"{amendment.principle_id} says something else there: {what_now}"
        return {
            "sentence": f"{intro} {unchanged if is_same else moved}",
            "head_number": head.number,
            "redline": [] if is_same else redline(self.before, now.text if now else ""),
        }

    def decided(self) -> dict[str, Any] | None:
        amendment = self.amendment
        if amendment.is_undecided:
            return None
        rounds = amendment.version.rounds.order_by("-pk") if amendment.version else None
        first_text = self.wording(self.revisions[0].content)
        was_edited = amendment.version_id and first_text != self.after
        return {
            "label": KNOWN_CLOSED if amendment.is_known else STATE_LABELS[amendment.state],
            "by": amendment.decided_by or "the system",
            "at": amendment.decided_at,
            "note": amendment.reason,
            "version_number": amendment.version.number if amendment.version else None,
            "round_pk": rounds.values_list("pk", flat=True).first() if rounds is not None else None,
            "final_redline": redline(first_text, self.after) if was_edited else [],
        }

    def text_with_digest(self, digest: str) -> str:
        """The text of the revision that a person saw; the present one where there is none such."""
        for revision in self.revisions:
            if revision.digest == digest:
                return self.wording(revision.content)
        return self.after


def _fates(operations: Operations) -> dict[str, str]:
    """What becomes of the clauses that others take in or give off."""
    found: dict[str, str] = {}
    for operation in operations:
        if isinstance(operation, Merge):
            found |= {clause.principle: f"joined into {operation.principle}" for clause in operation.absorbs}
        elif isinstance(operation, Split):
            found |= {part.principle: f"split off from {operation.principle}" for part in operation.parts}
    return found


def _clause(version: Version, principle: str) -> Clause | None:
    row = VersionClause.objects.select_related("clause").filter(version=version, principle=principle).first()
    return row.clause if row else None


def _requirements(amendment: Amendment) -> list[dict[str, str]]:
    rule = policies.rule_for(amendment.tier)
    preview = previews.requirement(amendment) if rule.needs_preview else None
    votes = _board_requirement(amendment, rule) if board.is_asked(amendment, rule) else None
    found = policies.requirements(amendment, rule, amendment.reviews.all(), preview=preview, board=votes)
    return [
        {
            "sentence": requirement.sentence,
            "state": "satisfied" if requirement.satisfied else "unsatisfied",
            "detail": requirement.detail,
        }
        for requirement in found
    ]


def _board_requirement(amendment: Amendment, rule: AcceptanceRule) -> policies.Requirement:
    vetoes = amendment.board_votes.filter(
        digest=amendment.digest, verdict=BoardVerdict.VETO, settles_at__lte=timezone.now()
    ).select_related("member")
    appointed = board.appointed(amendment).count()
    return policies.board_requirement(amendment, rule, vetoes.order_by("at", "pk"), appointed=appointed)


def _reviews(request: PersonRequest, amendment: Amendment) -> dict[str, Any]:
    """The reviews that the person may read, and where the reviewing is."""
    wanted = policies.rule_for(amendment.tier).reviewers
    return {
        "reviews": [_review(amendment, seen) for seen in visible_reviews(amendment, request.user)],
        "is_blind": amendment.is_undecided and wanted > 1,
        "consolidating_since": consolidating_since(amendment) if amendment.is_undecided else None,
        "is_conflicted": amendment.state == states.CONFLICTED,
        "conflicted_since": amendment.conflicted_since,
        "is_changes_requested": amendment.state == states.CHANGES_REQUESTED,
    }


def _review(amendment: Amendment, seen: Seen) -> dict[str, Any]:
    review = seen.review
    return {
        "by": str(review.reviewer) if seen.is_named else "A reviewer",
        "verdict_label": review.get_verdict_display(),
        "at": review.at,
        "note": review.reason,
        "is_of_earlier": review.digest != amendment.digest,
    }
