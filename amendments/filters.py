"""What the queue can be narrowed to: a form over its address, and counts that cost the same however much there is."""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.contrib.postgres.search import SearchQuery
from django.db.models import Exists, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.forms import Form, NumberInput, Select, TextInput
from django.utils import timezone
from django_filters import CharFilter, ChoiceFilter, FilterSet, NumberFilter

from amendments import places, states
from amendments.models import Amendment, AmendmentQuerySet, BoardVote, Producer, Review, Signal
from amendments.policies import tiers_before_board
from amendments.visibility import in_sight
from constitution.models import Role, Tier, User

DECIDED = "decided"
STATES = (
    (states.OPEN, "Open"),
    (states.CONFLICTED, "Conflicted"),
    (states.CHANGES_REQUESTED, "Changes requested"),
    (states.NEEDS_REBASE, "Clashes with the head"),
    (DECIDED, "Decided, however"),
    (states.ACCEPTED, "Accepted"),
    (states.REJECTED, "Rejected"),
    (states.WITHDRAWN, "Withdrawn"),
    (states.DUPLICATE, "Duplicate"),
    (states.OBSOLETE, "Closed: its clause changed"),
)
KINDS = (
    ("add", "Add a clause"),
    ("revise", "Reword a clause"),
    ("repeal", "Repeal a clause"),
    ("retier", "Move to another tier"),
    ("rescope", "Change where it holds"),
    ("merge", "Join clauses"),
    ("split", "Split a clause"),
    ("add_example", "Add an example"),
)
PRODUCER = re.compile(r"machine-(\d{1,18})")
NUMBER = re.compile(r"#(\d{1,18})")
PRINCIPLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*-\d+")
LONGEST = 200
LIST = "in"  # in a proposal's address: the filters of the list that its reader came by
MOST_PRODUCERS, MOST_PEOPLE = 20, 200


class BoundedCount(Subquery):
    """How many rows a sliced query has: no more of them are looked at than its slice allows."""

    template = "(SELECT count(*) FROM (%(subquery)s) AS bounded)"
    output_field = IntegerField()


def bounded_counts(queries: Mapping[str, tuple[QuerySet[Any], int]], *, viewer: User) -> dict[str, int]:
    """The size of each, looked at up to its limit, in one statement; one more stands for anything above that."""
    if not queries:
        return {}
    counts = [BoundedCount(rows.order_by().values("pk")[: most + 1]) for rows, most in queries.values()]
    found = User.objects.filter(pk=viewer.pk).annotate(
        **{f"count_{place}": count for place, count in enumerate(counts)}
    )
    sizes = found.order_by().values_list(*(f"count_{place}" for place in range(len(counts))))[0]
    return dict(zip(queries, sizes, strict=True))


def awaiting(rows: AmendmentQuerySet, viewer: User) -> AmendmentQuerySet:
    """Those on which it is the turn of `viewer`: undecided, not deferred, not theirs, and not reviewed by them as
    they stand; where changes were requested it is the proposer's turn. Of the board alone: what is before it, and what
    they have not voted on.
    """
    mine = rows.undecided().filter(_is_not_deferred()).exclude(state=states.CHANGES_REQUESTED).exclude(author=viewer)
    if viewer.has_role(Role.BOARD) and not viewer.has_role(Role.REVIEWER):
        voted = BoardVote.objects.filter(amendment=OuterRef("pk"), member=viewer, digest=OuterRef("digest"))
        return before_board(mine).filter(~Exists(voted))
    said = Review.objects.filter(amendment=OuterRef("pk"), reviewer=viewer, digest=OuterRef("digest"))
    return mine.filter(~Exists(said))


def before_board(rows: AmendmentQuerySet) -> AmendmentQuerySet:
    """Those that the advisory board is asked to vote on."""
    return rows.filter(Q(referred_at__isnull=False) | Q(tier__in=tiers_before_board()))


def _is_not_deferred() -> Q:
    return Q(deferred_until=None) | Q(deferred_until__lte=timezone.now())


@dataclass(frozen=True, slots=True)
class Chip:
    """An active filter in words, and the query part of the address without it."""

    name: str
    label: str
    without: str


class QueueFilter(FilterSet):  # type: ignore[misc]
    """The queue's filters. What is not a choice is left out and named in `ignored`."""

    q = CharFilter(method="found", label="Words, or an id", max_length=LONGEST)
    state = ChoiceFilter(choices=STATES, method="unchanged", label="State", empty_label="Undecided")
    turn = ChoiceFilter(
        choices=[("mine", "My turn"), ("board", "The board’s")], method="in_turn", label="Turn", empty_label="Anybody’s"
    )
    tier = ChoiceFilter(choices=Tier.choices, label="Tier", empty_label="Any")
    kind = ChoiceFilter(choices=KINDS, method="of_kind", label="What it does", empty_label="Anything")
    signal = ChoiceFilter(choices=Signal.choices, label="Signal", empty_label="Any")
    by = CharFilter(method="proposed_by", label="From", max_length=LONGEST, widget=Select)
    scope = CharFilter(
        method="holding_in",
        label="Where it holds",
        help_text="A place such as region:EU, or only its name.",
        max_length=LONGEST,
        validators=[places.check_known],
        widget=TextInput(attrs={"list": "scope-places", "autocomplete": "off"}),
    )
    assignee = CharFilter(method="assigned_to", label="Assigned to", max_length=LONGEST, widget=Select)
    older = NumberFilter(
        method="waiting", label="Older than, days", min_value=1, max_value=3650, widget=NumberInput(attrs={"min": 1})
    )
    deferred = ChoiceFilter(
        choices=[("only", "Only deferred"), ("too", "Deferred too")],
        method="unchanged",
        label="Deferred",
        empty_label="Left out",
    )
    hand = ChoiceFilter(
        choices=[("me", "In my hands"), ("free", "In nobody’s hands")],
        method="in_hand",
        label="In hand",
        empty_label="In anybody’s",
    )

    class Meta:
        model = Amendment
        fields: tuple[str, ...] = ()

    places_on_offer: Sequence[tuple[str, str]] = ()

    def __init__(self, data: Mapping[str, Any], *, viewer: User, beside: "QueueFilter | None" = None) -> None:
        self.viewer = viewer
        asked = {name: data.get(name, "").replace("\x00", "") for name in self.base_filters}
        super().__init__(asked, beside.queryset if beside else in_sight(Amendment.objects.all(), viewer))
        self.form.is_valid()

    def beside(self, query: str) -> AmendmentQuerySet:
        """What the same viewer gets by the query part of another address."""
        rows: AmendmentQuerySet = QueueFilter(dict(parse_qsl(query)), viewer=self.viewer, beside=self).qs
        return rows

    def get_form_class(self) -> type[Form]:
        """One for all: a page has a form for each view whose size it shows, and each would make a class of its own."""
        return _form_class()

    @property
    def values(self) -> dict[str, str]:
        """What was chosen, as it stands in the address."""
        return {name: str(value) for name, value in self.form.cleaned_data.items() if value not in ("", None)}

    @property
    def words(self) -> str:
        return self.values.get("q", "")

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but words was chosen."""
        return bool(self.values.keys() - {"q"})

    @property
    def query(self) -> str:
        return urlencode(self.values)

    @property
    def trail(self) -> str:
        """What the address of a proposal ends with that is read in this list; nothing of the whole queue's."""
        return f"?{urlencode({LIST: self.query})}" if self.query and not self.is_decided else ""

    @property
    def ignored(self) -> list[str]:
        """The names of filters whose value is none that there is."""
        return [self.form.fields[name].label for name in self.form.errors]

    @property
    def is_decided(self) -> bool:
        state = self.values.get("state", "")
        return state == DECIDED or state in states.AMENDMENT.final

    def chips(self) -> list[Chip]:
        chosen = self.values
        return [Chip(name, self._words(name, value), _without(chosen, name)) for name, value in chosen.items()]

    def near_places(self) -> list[dict[str, str]]:
        """What an unknown place may have meant, each with the query part of the address that asks for it instead."""
        if "scope" not in self.form.errors:
            return []
        near = places.close_to(self.form["scope"].value())
        return [
            {"place": place, "name": name, "query": urlencode({**self.values, "scope": place})} for place, name in near
        ]

    def offer(self) -> None:
        """Fill the choices with the places, people and machines that there are, newest machines first."""
        self.places_on_offer = places.offered()
        people = list(User.objects.filter(is_active=True, roles__overlap=_PROPOSERS).order_by("username")[:MOST_PEOPLE])
        machines = list(Producer.objects.order_by("-pk")[:MOST_PRODUCERS])
        names = [(f"@{person.username}", str(person)) for person in people]
        reviewers = [(f"@{person.username}", str(person)) for person in people if person.has_role(Role.REVIEWER)]
        made = [(f"machine-{producer.pk}", str(producer)) for producer in machines]
        _choose(self, "by", [("", "Anybody"), ("people", "People"), ("machines", "Machines"), *made, *names])
        _choose(self, "assignee", [("", "Anybody or nobody"), ("me", "Me"), ("nobody", "Nobody"), *reviewers])

    def filter_queryset(self, queryset: AmendmentQuerySet) -> AmendmentQuerySet:
        rows: AmendmentQuerySet = super().filter_queryset(queryset)
        state = self.values.get("state", "")
        rows = rows.decided() if self.is_decided else self._deferred(rows.undecided())
        return rows.filter(state=state) if state and state != DECIDED else rows

    def ordered(self) -> AmendmentQuerySet:
        """Most pressing first; of what is decided, the last decision first."""
        rows: AmendmentQuerySet = self.qs
        return rows.order_by("-decided_at", "-id") if self.is_decided else rows.in_queue_order()

    def _deferred(self, rows: AmendmentQuerySet) -> AmendmentQuerySet:
        chosen = self.values.get("deferred")
        if chosen == "only":
            return rows.filter(deferred_until__gt=timezone.now())
        return rows if chosen else rows.filter(_is_not_deferred())

    def unchanged(self, rows: AmendmentQuerySet, _name: str, _value: str) -> AmendmentQuerySet:
        """For filters whose empty value means something too: see `filter_queryset`."""
        return rows

    def found(self, rows: AmendmentQuerySet, _name: str, value: str) -> AmendmentQuerySet:
        if number := NUMBER.fullmatch(value):
            return rows.filter(pk=int(number[1]))
        if PRINCIPLE.fullmatch(value):
            return rows.filter(touches__overlap=[value, value.upper()])
        return rows.filter(found_by=SearchQuery(value, config="english", search_type="websearch"))

    def in_turn(self, rows: AmendmentQuerySet, _name: str, value: str) -> AmendmentQuerySet:
        return before_board(rows) if value == "board" else awaiting(rows, self.viewer)

    def of_kind(self, rows: AmendmentQuerySet, _name: str, value: str) -> AmendmentQuerySet:
        return rows.filter(kinds__contains=[value])

    def proposed_by(self, rows: AmendmentQuerySet, _name: str, value: str) -> AmendmentQuerySet:
        if value in ("people", "machines"):
            return rows.filter(author__isnull=value == "machines")
        if machine := PRODUCER.fullmatch(value):
            return rows.filter(producer=int(machine[1]))
        return rows.filter(author=_person(value))

    def holding_in(self, rows: AmendmentQuerySet, _name: str, value: str) -> AmendmentQuerySet:
        return rows.filter(scopes__overlap=places.meant(value))

    def assigned_to(self, rows: AmendmentQuerySet, _name: str, value: str) -> AmendmentQuerySet:
        if value == "nobody":
            return rows.filter(Q(assignee=None) | Q(assignee__is_active=False))
        return rows.filter(assignee=self.viewer if value == "me" else _person(value))

    def waiting(self, rows: AmendmentQuerySet, _name: str, value: int) -> AmendmentQuerySet:
        return rows.filter(created_at__lt=timezone.now() - timedelta(days=int(value)))

    def in_hand(self, rows: AmendmentQuerySet, _name: str, value: str) -> AmendmentQuerySet:
        now = timezone.now()
        if value == "me":
            return rows.filter(claim__holder=self.viewer, claim__until__gt=now)
        return rows.filter(Q(claim=None) | Q(claim__until__lte=now))

    def _words(self, name: str, value: str) -> str:
        field = self.form.fields[name]
        known = dict(getattr(field.widget, "choices", ()))
        typed = {str(key): label for key, label in known.items()}
        return f"{field.label}: {typed.get(value, value)}"


@cache
def _form_class() -> type[Form]:
    fields = {name: each.field for name, each in deepcopy(QueueFilter.base_filters).items()}
    return type("QueueForm", (Form,), fields)


_PROPOSERS = [Role.REVIEWER.value, Role.BOARD.value, Role.RESEARCHER.value]


def _choose(filters: QueueFilter, name: str, choices: Iterable[tuple[str, str]]) -> None:
    """The choices of a select, and what the address names beside them."""
    offered = list(choices)
    value = filters.values.get(name, "")
    if value not in dict(offered):
        offered.append((value, value))
    filters.form.fields[name].widget.choices = offered


def _without(chosen: Mapping[str, str], name: str) -> str:
    return urlencode({other: value for other, value in chosen.items() if other != name})


def _person(name: str) -> Subquery:
    """The key of the person of that name, with or without an @."""
    return Subquery(User.objects.filter(username=name.removeprefix("@")).values("pk")[:1])
